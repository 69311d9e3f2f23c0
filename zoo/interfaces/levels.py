"""The noise of one sample as Tweedie's formula sees it, where the time leaves its level open.

For noise of density phi_t(r), r = |x - x_0|, the denoiser's Jacobian is

    grad D = Cov(x_0, grad_x log phi) = Cov(x_0, lambda(r) (x_0 - x)),   lambda = -dlog phi / r dr

To first order in x_0 - D, with n = x - D and V = Cov(x_0 | x),

    grad D = V (lambda + 2 lambda' n n^T),   lambda' = dlambda / d(r^2)

The second term is not small: noise of a level that x alone tells grows with |n|. Under gravity it
turns the sign of grad D along n, as D = d C x / |x|^2 shows, that of data N(0, C) far out. In terms
of kappa = -dlog phi / dlog r, lambda = kappa / r^2, and

    V = s^2 grad D (1 + (c - 1) n n^T / |n|^2)^{-1},  s^2 = r^2 / kappa,
    c = 1 + (dlog kappa / dlog r - 2) |n|^2 / r^2

Gaussian noise has kappa = r^2 / t^2 and c = 1; a Student law s^2 = (t^2 + r^2) / (d + D). The
radius is that of the sample itself, E[r^2 | x] = |n|^2 + tr V: the root of an increasing function.

A network that reads the level off x, as images show it, has a second term of its own, along the
gradient of its reading: of a median that is one detail of four pixels, and nothing like n. With its
level held (`levels_held`) the rest is the Jacobian of E[x_0 | x, s], and V = s^2 grad D: c = 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from zoo.interfaces.isotropic import IsotropicKernel

# Where the radius is looked for: logarithms, over the typical one, and how many.
_LEAST, _MOST, _COUNT = -12.0, 20.0, 1024
# Of a derivative of log phi where phi has underflowed.
_LARGE = 1e30
# Where phi underflows kappa jumps; no law that it holds is steeper.
_STEEPEST = 8.0
# Of kappa near r = 0.
_ROUNDING = 1e-3
# Where c is near 0, grad D says little of V along n, and 1 / c would make its errors the largest
# eigenvalue of V: it becomes c^3 / (c^4 + this), at most 1.8.
_RIDGE = 1e-2


# Of each kernel: the last time that was asked for alone, and its tables.
_last: WeakKeyDictionary[IsotropicKernel, tuple[float, tuple[Tensor, Tensor, Tensor]]] = (
    WeakKeyDictionary()
)


class Held:
    """Levels that are constants while it is in force.

    Attributes:
        read: whether a network has read one.
    """

    def __init__(self) -> None:
        self.read = False


_held: ContextVar[Held | None] = ContextVar("held", default=None)


@contextmanager
def levels_held() -> Iterator[Held]:
    """Differentiate networks in the block with the levels that they read off x held."""
    held = Held()
    token = _held.set(held)
    try:
        yield held
    finally:
        _held.reset(token)


def as_read(level: Tensor) -> Tensor:
    """Return a level, (B,), that a network has read off x: detached under `levels_held`."""
    # Compiled code is not for posteriors, and could not ask.
    held = None if torch.compiler.is_compiling() else _held.get()
    if held is None:
        return level
    held.read = True
    return level.detach()


class OwnNoise(NamedTuple):
    """The noise of each sample: V = s^2 grad D (1 + turn n n^T / |n|^2), float64, (B,)."""

    variance: Tensor
    turn: Tensor


def own_noise(
    kernel: IsotropicKernel,
    square: Tensor,
    trace: Tensor,
    along: Tensor,
    t: Tensor,
    *,
    held: bool = False,
) -> OwnNoise:
    """Return the noise of each sample, by a table of kappa: s^2 is right to a relative 1e-3.

    Args:
        kernel: of random level.
        square: |n|^2, (B,).
        trace: tr grad D, (B,).
        along: n^T grad D n / |n|^2, (B,), 0 where it is not known.
        t: time, () or (B,).
        held: grad D is that at a level held, so turn = 0.
    """
    square, trace = square.double().clamp(min=1e-60)[:, None], trace.double()[:, None]
    log_r, kappa, rise = _tables(kernel, t.to(square).reshape(-1, 1))
    c = 1 + (rise - 2) * (square.log() - 2 * log_r).clamp(max=0).exp()
    turn = torch.zeros_like(c) if held else c.pow(3) / (c.pow(4) + _RIDGE) - 1
    spread = (trace + turn * along[:, None]).clamp(0, kernel.dim)
    left = (1 - spread / kappa).clamp(min=1 / _LARGE)
    # log of r^2 - tr V over |n|^2, which is 0 at the radius.
    excess = 2 * log_r + left.log() - square.log()
    above = (excess < 0).sum(dim=1, keepdim=True).clamp(1, _COUNT - 1)
    ends = torch.cat([above - 1, above], dim=1)
    low, high = excess.gather(1, ends).unbind(dim=1)
    part = (low / (low - high)).nan_to_num(0.5).clamp(0, 1)

    def at_radius(table: Tensor) -> Tensor:
        below, beyond = table.expand_as(excess).gather(1, ends).unbind(dim=1)
        return below + part * (beyond - below)

    return OwnNoise(at_radius(2 * log_r - kappa.log()).exp(), at_radius(turn))


def _tables(kernel: IsotropicKernel, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log radii at times (1 or B, 1), and `slopes` there, (1 or B, count).

    The last one of a kernel is kept: all tiles of a batch on the CPU ask at one time.
    """
    time = float(t) if t.numel() == 1 and t.device.type == "cpu" else None
    last = _last.get(kernel)
    if time is not None and last is not None and last[0] == time:
        return last[1]
    steps = torch.linspace(_LEAST, _MOST, _COUNT, dtype=torch.float64, device=t.device)
    log_r = (kernel.level(t) * math.sqrt(kernel.dim)).log() + steps
    found = (log_r, *slopes(kernel, log_r, t))
    if time is not None:
        _last[kernel] = time, found
    return found


def slopes(kernel: IsotropicKernel, log_r: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return kappa = -dlog phi_t / dlog r, and dlog kappa / dlog r, at log radii, like log_r.

    The second by differences of neighbours.
    """
    kappa = _kappa(kernel, log_r, t).clamp(1 / _LARGE, _LARGE)
    (rise,) = torch.gradient(kappa.log(), spacing=(_MOST - _LEAST) / (_COUNT - 1), dim=1)
    return kappa, rise.clamp(-_STEEPEST, _STEEPEST)


def _kappa(kernel: IsotropicKernel, log_r: Tensor, t: Tensor) -> Tensor:
    with torch.enable_grad():
        at = log_r.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(kernel.log_phi(at.exp(), t).sum(), at)
    return found.neg().nan_to_num(nan=_LARGE)


def density_rises(kernel: IsotropicKernel) -> bool:
    """Whether phi_t(r) rises with r somewhere, so that kappa and s^2 = r^2 / kappa are negative."""
    t = torch.tensor([kernel.t_min, kernel.t_max], dtype=torch.float64)[:, None]
    log_r = (kernel.level(t) * math.sqrt(kernel.dim)).log()
    steps = torch.linspace(_LEAST, _MOST, _COUNT, dtype=torch.float64)
    return bool((_kappa(kernel, log_r + steps, t) < -_ROUNDING).any())
