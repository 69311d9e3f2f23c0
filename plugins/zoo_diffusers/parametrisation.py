"""What a network of diffusers is asked at a noise level, and what its answer says of x_0.

With y = x_0 + sigma n, F the network and D = E[x_0 | y],

    ddpm  x = y / sqrt(1 + sigma^2), at the time step n of sigma, between two by log sigma;
          epsilon: D = y - sigma F;  sample: D = F;
          v_prediction: D = (x - sigma F) / sqrt(1 + sigma^2)
    flow  t = sigma / (1 + sigma), x = (1 - t) y = (1 - t) x_0 + t n, at N t;  D = x - t F
    edm   x = y / sqrt(sigma^2 + s^2), at log(sigma) / 4, s = sigma_data;
          D = (s^2 y +- sigma s sqrt(sigma^2 + s^2) F) / (sigma^2 + s^2), + epsilon, - v_prediction
    ve    x = (y + 1) / 2, at sigma / 2, as of images in [0, 1];  D = y + sigma^2 F / 2, F the score

Sources: DDPM, arXiv:2006.11239; v prediction, arXiv:2202.00512, appendix D; flow matching,
arXiv:2210.02747; EDM, arXiv:2206.00364, table 1 and equation 213; score SDE, arXiv:2011.13456.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Part, check_choice, check_integer, check_positive, over
from zoo_diffusers.schedule import MOST_STEPS, levels, prediction

Predict = Callable[[Tensor, Tensor], Tensor]
# Where flow matching begins, no data are left. In float32, the time step there is the last one.
_NO_DATA = 1e9
_LEAST, _MOST = 1e-9, 1e9


class Parametrisation(ABC):
    """A scheduler's settings as noise levels in [low, high] and the network's part in D.

    Attributes:
        low, high: the levels that the network knows.
        kernel: that it was trained under.
        sigma_data: standard deviation of the data, where the settings have it.
        kept: the names of the settings that matter.
    """

    low: float
    high: float
    kernel: Part
    sigma_data: float | None = None
    kept: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __init__(self, scheduler: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def time(self, level: Tensor) -> Tensor:
        """Return what the network is given for a noise level, like level, float64."""

    @abstractmethod
    def denoise(self, predict: Predict, x_t: Tensor, ratio: Tensor, level: Tensor) -> Tensor:
        """Return D of y = ratio x_t, shape of x_t (B, *); ratio and level (B,), float64."""


class Steps(Parametrisation):
    """DDPM and DDIM: time steps, at which the signal is scaled down."""

    kept = (
        "num_train_timesteps",
        "beta_schedule",
        "beta_start",
        "beta_end",
        "trained_betas",
        "prediction_type",
        "predict_epsilon",
        "rescale_betas_zero_snr",
    )

    def __init__(self, scheduler: Mapping[str, Any]) -> None:
        self.prediction = prediction(scheduler)
        table = levels(scheduler)
        self.log_levels = torch.tensor(table, dtype=torch.float64, device="cpu").log()
        self.low, self.high = self.log_levels[[0, -1]].exp().tolist()
        self.kernel = Part("gaussian", {"t_min": table[0], "t_max": table[-1]})

    def time(self, level: Tensor) -> Tensor:
        """Return the time step, a float."""
        table = self.log_levels.to(level.device)
        log = level.double().log()
        right = torch.searchsorted(table, log.contiguous()).clamp(1, len(table) - 1)
        left = right - 1
        return left + (log - table[left]) / (table[right] - table[left])

    def denoise(self, predict: Predict, x_t: Tensor, ratio: Tensor, level: Tensor) -> Tensor:
        """Return D."""
        y = over(ratio, x_t) * x_t
        root = (1 + level.square()).rsqrt()
        x = over(root, x_t) * y
        out = predict(x, self.time(level))
        match self.prediction:
            case "epsilon":
                return y - over(level, x_t) * out
            case "v_prediction":
                return over(root, x_t) * (x - over(level, x_t) * out)
        return out


class Flow(Parametrisation):
    """Flow matching, with Euler's or Heun's scheduler: the network predicts the velocity n - x_0.

    A shift moves the first time; grids of the sampler are no matter of the ODE.
    """

    kept = ("num_train_timesteps", "shift", "use_dynamic_shifting", "invert_sigmas")
    high = _NO_DATA

    def __init__(self, scheduler: Mapping[str, Any]) -> None:
        if scheduler.get("invert_sigmas"):
            raise ZooError("invert_sigmas: times that run from noise to data are not read")
        if (kind := scheduler.get("prediction_type", "velocity")) not in ("velocity", "flow"):
            raise ZooError(f"prediction_type = {kind!r:.60}; flow matching predicts velocities")
        steps = scheduler.get("num_train_timesteps", 1000)
        self.steps = check_integer("num_train_timesteps", steps, 2, MOST_STEPS)
        shift = 1.0 if scheduler.get("use_dynamic_shifting") else scheduler.get("shift", 1.0)
        shift = check_positive("shift", shift, 1000)
        first = shift / (self.steps + shift - 1)
        if shift < 1:  # samplers shift the last of their times once more
            first = shift * first / (1 + (shift - 1) * first)
        self.low = first / (1 - first)
        self.kernel = Part("flow", {"t_min": first})

    def time(self, level: Tensor) -> Tensor:
        """Return N t."""
        return self.steps * level / (1 + level)

    def denoise(self, predict: Predict, x_t: Tensor, ratio: Tensor, level: Tensor) -> Tensor:
        """Return D."""
        t = level / (1 + level)
        x = over(ratio / (1 + level), x_t) * x_t
        return x - over(t, x_t) * predict(x, self.time(level))


class EDM(Parametrisation):
    """EDM's preconditioning around the network."""

    kept = ("sigma_min", "sigma_max", "sigma_data", "prediction_type")

    def __init__(self, scheduler: Mapping[str, Any]) -> None:
        self.low, self.high = _range(scheduler, 0.002, 80.0)
        self.sigma_data = _positive("sigma_data", scheduler.get("sigma_data", 0.5))
        kind = scheduler.get("prediction_type", "epsilon")
        check_choice("prediction_type", kind, ("epsilon", "v_prediction"))
        self.sign = 1.0 if kind == "epsilon" else -1.0
        self.kernel = Part("gaussian", {"t_min": self.low, "t_max": self.high})

    def time(self, level: Tensor) -> Tensor:
        """Return log(sigma) / 4."""
        return level.log() / 4

    def denoise(self, predict: Predict, x_t: Tensor, ratio: Tensor, level: Tensor) -> Tensor:
        """Return D."""
        data = float(self.sigma_data or 1.0)
        y, scale = over(ratio, x_t) * x_t, torch.hypot(level, torch.full_like(level, data))
        out = predict(y / over(scale, x_t), self.time(level))
        amount = self.sign * level * data / scale
        return over((data / scale).square(), x_t) * y + over(amount, x_t) * out


class Score(Parametrisation):
    """The VE SDE of images in [0, 1]; here images are in [-1, 1], and sigma twice as large."""

    kept = ("sigma_min", "sigma_max")
    unit, least, most = 2.0, 0.01, 1348.0

    def __init__(self, scheduler: Mapping[str, Any]) -> None:
        low, high = _range(scheduler, self.least, self.most)
        self.low, self.high = self.unit * low, self.unit * high
        if (kind := scheduler.get("prediction_type", "score")) != "score":
            raise ZooError(f"prediction_type = {kind!r:.60}; networks of the VE SDE predict scores")
        self.kernel = Part("gaussian", {"t_min": self.low, "t_max": self.high})

    def time(self, level: Tensor) -> Tensor:
        """Return sigma / 2, that of images in [0, 1]."""
        return level / 2

    def denoise(self, predict: Predict, x_t: Tensor, ratio: Tensor, level: Tensor) -> Tensor:
        """Return D."""
        y = over(ratio, x_t) * x_t
        out = predict((y + 1) / 2, self.time(level))
        return y + over(level.square() / 2, x_t) * out


class KarrasScore(Score):
    """The same network with Karras's VE scheduler, whose sigma is that of images in [-1, 1]."""

    unit, least, most = 1.0, 0.02, 100.0


_KINDS: dict[str, type[Parametrisation]] = {
    "DDPMScheduler": Steps,
    "DDIMScheduler": Steps,
    "FlowMatchEulerDiscreteScheduler": Flow,
    "FlowMatchHeunDiscreteScheduler": Flow,
    "EDMEulerScheduler": EDM,
    "EDMDPMSolverMultistepScheduler": EDM,
    "ScoreSdeVeScheduler": Score,
    "KarrasVeScheduler": KarrasScore,
}
# What users may call one, with the defaults of its class.
SHORT = {
    "ddpm": "DDPMScheduler",
    "ddim": "DDIMScheduler",
    "flow": "FlowMatchEulerDiscreteScheduler",
    "edm": "EDMEulerScheduler",
    "ve": "ScoreSdeVeScheduler",
}


def parametrisation(scheduler: Mapping[str, Any]) -> Parametrisation:
    """Return the parametrisation that scheduler_config.json describes; without a name, DDPM's.

    Raises:
        ZooError: the scheduler is unknown, or a setting is none.
    """
    name = scheduler.get("_class_name", "DDPMScheduler")
    if not isinstance(name, str) or name not in _KINDS:
        raise ZooError(f"the scheduler {name!s:.60} is unknown; {', '.join(_KINDS)} are read")
    return _KINDS[name](scheduler)


def kept(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a known scheduler that say what its network predicts."""
    name = scheduler["_class_name"]
    kind = _KINDS[name]
    named = {} if kind is Steps else {"_class_name": name}
    return named | {k: scheduler[k] for k in kind.kept if scheduler.get(k) is not None}


def _positive(name: str, value: Any) -> float:
    number = check_positive(name, value, _MOST)
    if number < _LEAST:
        raise ZooError(f"{name} = {number:g}; expected at least {_LEAST:g}")
    return number


def _range(scheduler: Mapping[str, Any], least: float, most: float) -> tuple[float, float]:
    low = _positive("sigma_min", scheduler.get("sigma_min", least))
    high = _positive("sigma_max", scheduler.get("sigma_max", most))
    if not low < high:
        raise ZooError(f"sigma_min = {low:g}, sigma_max = {high:g}; expected sigma_min < sigma_max")
    return low, high
