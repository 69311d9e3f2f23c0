"""The field kernel: the Green's function G that decides how data spreads into noise.

G solves div_(t,x) G = 0 with G_1(0) = delta(x_t - x_0). Its first component is the conditional
density p_t(x_t | x_0) and v = G_{>1} / G_1 the conditional velocity; a model's field is
f_t(x) = E[v(x_t, x_0, t) | x_t = x].

Source: Su Jianlin, kexue.fm/archives/9370, sections "simplified equation" and "Green's function".
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from zoo.config.part import Part, described
from zoo.errors import ZooError
from zoo.interfaces.checks import (
    check_integer,
    check_number,
    check_real,
    describe_value,
    values_unknown,
)

# A network is given t in float32, whose numbers end at 3e38 and 1e-38.
LARGEST_TIME = 1e30


def over(t: Tensor | float, x: Tensor) -> Tensor:
    """Return t shaped (1, 1, ...) or (B, 1, ...) so that it broadcasts over x, shape (B, *).

    t keeps float64 only if x has it: times are exact where the state is.

    Raises:
        ZooError: t is neither a scalar nor one value per sample.
    """
    t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    if t.ndim == 0 or t.numel() == 1:
        return t.reshape((1,) * x.ndim)
    if t.ndim != 1 or t.shape[0] != x.shape[0]:
        raise ZooError(f"t has shape {tuple(t.shape)}; expected a scalar or ({x.shape[0]},)")
    return t.reshape((-1,) + (1,) * (x.ndim - 1))


def randn(
    shape: tuple[int, ...] | torch.Size,
    like: Tensor,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw N(0, 1) on the generator's own device, then move: one seed, one result, any device."""
    device = like.device if generator is None else generator.device
    x = torch.randn(shape, generator=generator, device=device, dtype=dtype or like.dtype)
    return x.to(like.device)


def moved(x_0: Tensor, scale: Tensor, noise: Tensor) -> Tensor:
    """Return x_0 + scale noise, shape of x_0 (B, *); the noise is written over.

    In one pass over memory, where no derivative is asked for: drawing costs little more.
    """
    if x_0.requires_grad or scale.requires_grad or noise.requires_grad:
        return x_0 + scale * noise
    return torch.addcmul(x_0, noise, scale, out=noise)


class FieldKernel(ABC):
    """Green's function of the divergence equation in (t, x), for data of `dim` coordinates.

    A kernel writes `_log_density`, `_velocity`, `_sample` and `marginal`; the public methods check
    their arguments and call these.

    Shapes: x_t and x_0 are (B, *) with prod(*) = dim; t is a scalar or (B,), within
    [t_min, t_max]. All methods broadcast t over samples, keep dtype and device, and are
    differentiable. Densities are logarithms, in nats.

    Attributes:
        dim: number of coordinates d.
        t_min: smallest time at which the field is evaluated, > 0.
        t_max: time of the prior.
        affine: the velocity is affine in x_0, so f = velocity(x, E[x_0 | x], t) and a network
            predicts the denoiser E[x_0 | x_t]; otherwise it predicts f itself.
        affine_path: x_t = alpha x_0 + sigma n, with (alpha, sigma) = marginal(t) and n constant
            along conditional trajectories, whatever the law of n (arXiv:2412.06264, section 4.8).
            Then v = (sigma'/sigma) (x_t - alpha x_0) + alpha' x_0, so the linear part of the ODE
            is known and solvers integrate it exactly.
        gaussian: p_t(x_t | x_0) = N(alpha x_0, sigma^2 I) with (alpha, sigma) = marginal(t), so
            data of a Gaussian mixture have closed forms.
        random_level: the noise level of one sample is not a function of t but spreads around
            marginal(t) (gravity: s = t / |eps_t|) and has to be read off x_t.

    Raises:
        ZooError: dim is no whole number of at least 1, or not 0 < t_min < t_max < inf.
    """

    part: Part | None = None
    affine: bool = True
    affine_path: bool = False
    gaussian: bool = False
    random_level: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Withdraw what a base declares of methods that the subclass replaces.

        A law or velocity of one's own is right without declarations, only slower. A class may
        write a public method in place of the one behind it, and then checks its arguments itself.
        """
        super().__init_subclass__(**kwargs)
        own = vars(cls).keys()
        for name in [*own]:
            if getattr(getattr(cls, f"_{name}", None), "__isabstractmethod__", False):
                setattr(cls, f"_{name}", vars(cls)[name])
        if own & {"log_density", "_log_density"} and "gaussian" not in own:
            cls.gaussian = False
        if own & {"velocity", "_velocity"} or not cls.affine:
            cls.affine_path = vars(cls).get("affine_path", False)

    def __init__(self, *, dim: int, t_min: float, t_max: float) -> None:
        self.dim = check_integer("dim", dim, 1)
        self.t_min, self.t_max = check_real("t_min", t_min), check_real("t_max", t_max)
        if not 0 < t_min < t_max:
            raise ZooError(f"t_min = {t_min}, t_max = {t_max}; expected 0 < t_min < t_max < inf")
        if t_min < 1 / LARGEST_TIME or t_max > LARGEST_TIME:
            raise ZooError(
                f"t_min = {t_min:g}, t_max = {t_max:g}; networks are given times in float32: "
                f"expected {1 / LARGEST_TIME:g} to {LARGEST_TIME:g}"
            )

    def __repr__(self) -> str:
        return described(self, dim=self.dim, t_min=self.t_min, t_max=self.t_max)

    def log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return log G_1 = log p_t(x_t | x_0), normalised over x_t, shape (B,).

        Raises:
            ZooError: shapes or a dtype that do not fit, a time outside [t_min, t_max].
        """
        _check_arguments(self, t, x_0=x_0, x_t=x_t)
        return self._log_density(x_t, x_0, t)

    def velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return the conditional velocity v = G_{>1} / G_1, shape (B, *).

        Raises:
            ZooError: shapes or a dtype that do not fit, a time outside [t_min, t_max].
        """
        _check_arguments(self, t, x_0=x_0, x_t=x_t)
        return self._velocity(x_t, x_0, t)

    def sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_t ~ p_t(. | x_0), shape (B, *).

        Raises:
            ZooError: a shape or dtype that does not fit, a time outside [t_min, t_max].
        """
        _check_arguments(self, t, x_0=x_0)
        return self._sample(x_0, t, generator)

    @abstractmethod
    def _log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return what `log_density` does, of checked arguments."""

    @abstractmethod
    def _velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        """Return what `velocity` does, of checked arguments."""

    @abstractmethod
    def _sample(self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None) -> Tensor:
        """Return what `sample` does, of checked arguments."""

    @abstractmethod
    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (alpha, sigma), shaped like t: x_t = alpha x_0 + sigma n, n of unit variance.

        Where the level is random (`random_level`) sigma is the typical one: median radius / sqrt d.
        """

    def green(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return (G_1, G_{>1}), shapes (B,) and (B, *); for small d, since densities underflow."""
        density = self.log_density(x_t, x_0, t).exp()
        return density, over(density, x_t) * self.velocity(x_t, x_0, t)

    def denoised(self, field: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t] from the field, inverting f = velocity(x_t, E[x_0 | x_t], t).

        Coordinate by coordinate: a velocity that mixes them writes its own.

        Raises:
            ZooError: the velocity is not affine in x_0, so the field does not determine it.
        """
        if not self.affine:
            raise ZooError(
                f"{type(self).__name__} has a velocity that is not affine in x_0: "
                "its field does not determine E[x_0 | x_t]"
            )
        at_zero = self.velocity(x_t, torch.zeros_like(x_t), t)
        slope = self.velocity(x_t, torch.ones_like(x_t), t) - at_zero
        return (field - at_zero) / slope

    def level(self, t: Tensor | float) -> Tensor:
        """Return the noise level sigma / alpha, shape of t, data units: EDM's sigma, increasing."""
        alpha, sigma = self.marginal(t)
        return sigma / alpha

    def least_level(self, t: Tensor | float) -> Tensor:
        """Return a level that next to no sample stays below, shape of t: level(t) if t fixes it."""
        return self.level(t)

    def time_at(self, level: Tensor | float) -> Tensor:
        """Return the t in [t_min, t_max] of a noise level, its shape, float64, by bisection."""
        level = torch.as_tensor(level, dtype=torch.float64)
        low, high = torch.full_like(level, self.t_min), torch.full_like(level, self.t_max)
        for _ in range(200):
            middle = (low * high).sqrt()
            below = self.level(middle) < level
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            if bool((high - low <= 1e-15 * high).all()):
                break
        return (low * high).sqrt()

    def match_time(self, other: FieldKernel, t: Tensor | float) -> Tensor:
        """Return this kernel's time with the noise level that `other` has at t, shape of t.

        For isotropic kernels this is equal median radius, the r = sigma sqrt(D) alignment of
        PFGM++ (arXiv:2302.04265) for every kernel. Clamped to [t_min, t_max].

        Raises:
            ZooError: `other` is not a kernel, or t is not a time of it.
        """
        if not hasattr(other, "check_time"):
            raise ZooError(f"other is {describe_value(other)}; expected a FieldKernel")
        if not isinstance(t, Tensor) or (t.device.type == "cpu" and t.numel()):
            other.check_time(t)
        return self._match_time(other, torch.as_tensor(t, dtype=torch.float64))

    def _match_time(self, other: FieldKernel, t: Tensor) -> Tensor:
        return self.time_at(other.level(t))

    def check_time(self, t: Tensor | float) -> None:
        """Raise ZooError unless every t lies in [t_min, t_max], up to rounding."""
        check_number("t", t)
        if isinstance(t, Tensor) and values_unknown():
            return
        ends = torch.aminmax(t.detach()) if isinstance(t, Tensor) else (t, t)
        try:
            low, high = (float(end) for end in ends)
        except OverflowError:  # a whole number beyond all floats
            low = high = math.inf
        slack = 1e-6
        if not (low >= self.t_min * (1 - slack) and high <= self.t_max * (1 + slack)):
            raise ZooError(
                f"t = {low if low < self.t_min or low != low else high:g} is outside "
                f"[{self.t_min:g}, {self.t_max:g}], the times of {type(self).__name__}"
            )


def _check_arguments(kernel: FieldKernel, t: Tensor | float, **points: Tensor) -> None:
    """Raise ZooError unless x_0 (and x_t) are (B, *) with kernel.dim coordinates and t fits them.

    A batch of one broadcasts. Times on an accelerator are not looked at: that would wait for it.
    """
    for name, x in points.items():
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise ZooError(
                f"{name} is {describe_value(x)}; expected a tensor of floating-point numbers"
            )
        if x.ndim < 2 or math.prod(x.shape[1:]) != kernel.dim:
            raise ZooError(
                f"{name} has shape {tuple(x.shape)}; expected (B, ...) with {kernel.dim} "
                f"coordinates per sample, the dim of {type(kernel).__name__}"
            )
    x_0 = points["x_0"]
    count = len(x_0)
    if "x_t" in points:
        x_t = points["x_t"]
        if x_t.shape[1:] != x_0.shape[1:] or (len(x_t) != count and 1 not in (len(x_t), count)):
            shapes = f"x_t has shape {tuple(x_t.shape)} and x_0 {tuple(x_0.shape)}"
            raise ZooError(f"{shapes}; expected equal shapes")
        count = max(count, len(x_t)) if count and len(x_t) else 0
    if not isinstance(t, Tensor):
        kernel.check_time(t)
        return
    one = t.numel() == 1
    if not one and t.shape != (count,):
        raise ZooError(f"t has shape {tuple(t.shape)}; expected a scalar or ({count},)")
    check_number("t", t)
    if t.device.type == "cpu" and (one or count) and not values_unknown():
        kernel.check_time(float(t.detach()) if one else t.detach())
