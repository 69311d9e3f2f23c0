"""Noise schedules of diffusers' DDPM and DDIM schedulers, as noise levels.

    sigma_n = sqrt(1 / abar_n - 1),   abar_n = (1 - beta_0) ... (1 - beta_n)

Source: DDPM, arXiv:2006.11239, section 4; cosine, arXiv:2102.09672, eq. 17; sigmoid,
arXiv:2203.02923; Laplace, arXiv:2407.03297.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo import ZooError
from zoo.interfaces import check_choice

PREDICTIONS = ("epsilon", "sample", "v_prediction")
MOST_STEPS = 100_000
_LARGEST_BETA = 0.999
_MOST_LOG_SIGNAL = 700.0  # -ln abar, of which exp is still a number


def _even(start: float, end: float, steps: int) -> list[float]:
    return [start + (end - start) * n / (steps - 1) for n in range(steps)]


def _scaled_linear(start: float, end: float, steps: int) -> list[float]:
    return [root**2 for root in _even(math.sqrt(start), math.sqrt(end), steps)]


def _sigmoid(start: float, end: float, steps: int) -> list[float]:
    return [start + (end - start) / (1 + math.exp(-u)) for u in _even(-6.0, 6.0, steps)]


def _cosine(_start: float, _end: float, steps: int) -> list[float]:
    """Return the betas of abar(u) = cos^2(pi/2 (u + s) / (1 + s)), s = 0.008, capped."""
    return _of_signal(lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2, steps)


def _laplace(_start: float, _end: float, steps: int) -> list[float]:
    """Return the betas of diffusers' abar(u) = sqrt(r / (1 + r)), capped.

    -2 ln r is ln(2 u) up to u = 1/2, then -ln(2 - 2 u).
    """

    def abar(u: float) -> float:
        away = math.sqrt(1 - 2 * abs(0.5 - u) + 1e-6)
        return 1 / math.sqrt(1 + (away if u <= 0.5 else 1 / away))

    return _of_signal(abar, steps)


def _of_signal(abar: Callable[[float], float], steps: int) -> list[float]:
    found = [abar(n / steps) for n in range(steps + 1)]
    return [min(1 - found[n + 1] / found[n], _LARGEST_BETA) for n in range(steps)]


_SCHEDULES: dict[str, Callable[[float, float, int], list[float]]] = {
    "linear": _even,
    "scaled_linear": _scaled_linear,
    "squaredcos_cap_v2": _cosine,
    "sigmoid": _sigmoid,
    "laplace": _laplace,
}


def betas(scheduler: Mapping[str, Any]) -> list[float]:
    """Return beta_0, beta_1, ... of a scheduler's configuration, with diffusers' defaults.

    Raises:
        ZooError: an unknown schedule, or values that are none.
    """
    if scheduler.get("rescale_betas_zero_snr"):
        raise ZooError(
            "rescale_betas_zero_snr: the last time step has no signal at all, so no noise level"
        )
    given = scheduler.get("trained_betas")
    if given is not None:
        return _checked(given)
    name = check_choice("beta_schedule", scheduler.get("beta_schedule", "linear"), _SCHEDULES)
    steps = scheduler.get("num_train_timesteps", 1000)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= MOST_STEPS:
        raise ZooError(f"num_train_timesteps = {steps!r}; expected 2 to {MOST_STEPS}")
    start, end = _checked([scheduler.get("beta_start", 1e-4), scheduler.get("beta_end", 0.02)])
    return _checked(_SCHEDULES[name](start, end, steps))


def _checked(values: Any) -> list[float]:
    if not isinstance(values, Sequence) or not 2 <= len(values) <= MOST_STEPS:
        raise ZooError(f"betas = {values!r:.60}; expected 2 to {MOST_STEPS} numbers")
    for value in values:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not 0 < value < 1:
            raise ZooError(f"beta = {value!r:.60}; expected a number between 0 and 1")
    return [float(value) for value in values]


def levels(scheduler: Mapping[str, Any]) -> list[float]:
    """Return sigma_0 < sigma_1 < ..., one per time step.

    Raises:
        ZooError: what `betas` raises, or a level that is no number any more.
    """
    total, found = 0.0, []
    for step, beta in enumerate(betas(scheduler)):
        total -= math.log1p(-beta)
        if total > _MOST_LOG_SIGNAL:
            raise ZooError(f"betas: from time step {step} on there is no signal, so no noise level")
        found.append(math.sqrt(math.expm1(total)))
    return found


def prediction(scheduler: Mapping[str, Any]) -> str:
    """Return what the network predicts: "epsilon", "sample" or "v_prediction".

    Raises:
        ZooError: anything else.
    """
    before_2022 = "epsilon" if scheduler.get("predict_epsilon", True) else "sample"
    kind = scheduler.get("prediction_type", before_2022)
    return check_choice("prediction_type", kind, PREDICTIONS)
