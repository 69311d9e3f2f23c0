"""Functions of time that no graph can compute, such as roots, as tables of their values.

A kernel given by a formula finds its marginal, and times of levels, by roots or by quadrature. Each
is a smooth function of one number, so a graph interpolates it, in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.exporting.record import Input, has_no_values, record
from zoo.interfaces import FieldKernel
from zoo.models.model import FieldModel

# Knots: a cubic through them is right to some 1e-11 over eight decades.
_KNOTS = 4096
_TINY, _LARGEST = 1e-300, 1e300
# As far as a relative difference of 5e-7 goes beyond the ends, and more.
_BEYOND = 1e-5


class Table:
    """A function f of a positive number u, cubic in log u between values of f or of log f.

    Args:
        function: f.
        low: the least u; the table goes on a little beyond both, where rates are differences.
        high: the largest u.
        log: whether log f is interpolated, f being positive.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], low: float, high: float, *, log: bool = True
    ) -> None:
        self._log = log
        self._first, last = math.log(low) - _BEYOND, math.log(high) + _BEYOND
        self._step = (last - self._first) / (_KNOTS - 1)
        u = torch.linspace(self._first, last, _KNOTS, dtype=torch.float64).exp()
        values = function(u).double()
        self._values = (values.clamp(min=_TINY).log() if log else values).expand(_KNOTS).clone()

    def __call__(self, u: Tensor) -> Tensor:
        """Return f(u), shape of u, float64; beyond the ends it goes on as at them."""
        place = ((u.double().log() - self._first) / self._step).clamp(0, _KNOTS - 1)
        left = place.floor().clamp(1, _KNOTS - 3)
        f, i = place - left, left.long()
        a, b, c, d = (self._values[i + k] for k in (-1, 0, 1, 2))
        # Lagrange's polynomial through four knots.
        value = (
            -f * (f - 1) * (f - 2) / 6 * a
            + (f + 1) * (f - 1) * (f - 2) / 2 * b
            - (f + 1) * f * (f - 2) / 2 * c
            + (f + 1) * f * (f - 1) / 6 * d
        )
        return value.exp() if self._log else value


def with_tables(model: FieldModel) -> FieldModel:
    """Return the model, whose kernels now have tables where a graph needs them."""
    kernels = [model.kernel]
    for module in model.modules():
        kernels += [k for k in vars(module).values() if isinstance(k, FieldKernel)]
    for kernel in {id(kernel): kernel for kernel in kernels}.values():
        _tabulate(kernel)
    return model


def _tabulate(kernel: FieldKernel) -> None:
    """Replace the functions of one number of a kernel that cannot be recorded."""
    times = kernel.t_min, kernel.t_max
    if not _records(lambda t: torch.stack(kernel.marginal(t))):
        exact = kernel.marginal
        alpha = Table(lambda t: exact(t)[0], *times, log=False)
        sigma = Table(lambda t: exact(t)[1], *times)
        _use(kernel, "marginal", lambda t: (alpha(t), sigma(t)))
    if not _records(kernel.least_level):
        _use(kernel, "least_level", Table(kernel.least_level, *times))
    if not _records(kernel.time_at):
        low, high = kernel.level(torch.tensor(times, dtype=torch.float64)).tolist()
        _use(kernel, "time_at", Table(kernel.time_at, low, min(high, _LARGEST)))


def _records(function: Callable[[Tensor], Tensor]) -> bool:
    try:
        record(function, [Input("t", (), torch.float64)])
    except ZooError:
        return False
    return True


def _use(kernel: FieldKernel, name: str, table: Callable[[Tensor], object]) -> None:
    """Let a kernel use a table wherever a graph is recorded, and its own method elsewhere."""
    own = getattr(kernel, name)

    def either(t: Tensor | float) -> object:
        return table(t) if isinstance(t, Tensor) and has_no_values(t) else own(t)

    setattr(kernel, name, either)
