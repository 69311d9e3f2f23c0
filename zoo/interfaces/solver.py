"""The solver: walks the ODE dx/dt = f(x, t), in either direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.config.part import Part
from zoo.errors import ZooError
from zoo.interfaces.flow import Flow
from zoo.interfaces.kernel import FieldKernel

StepCallback = Callable[[int, float, Tensor], None]


class Solver(ABC):
    """A numerical method. A component is called as component(**options).

    Attributes:
        order: global order of convergence in the number of steps.
        couples_samples: a sample's steps depend on the batch it is in (one step size for all);
            such a solver is run on fixed groups, so that samples stay reproducible.
    """

    part: Part | None = None
    order: int
    couples_samples: bool = False

    @abstractmethod
    def integrate(
        self,
        flow: Flow,
        x: Tensor,
        t_from: float,
        t_to: float,
        *,
        steps: int,
        callback: StepCallback | None = None,
    ) -> Tensor:
        """Return x at t_to, shape (B, *), having started at t_from; float64 in, float64 out.

        Never evaluates the field outside the interval between t_from and t_to. `steps` is the
        number of steps; adaptive methods take it as a hint. `callback(i, t, x)` is called after
        each step, with x in the digits that the solver holds it in.
        """

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> Tensor:
        """Return the times that `integrate` steps through, float64, shape (steps + 1,).

        Where the noise level of a sample is random, these are the times of a typical sample.

        Raises:
            ZooError: the solver chooses its own steps.
        """
        return self._on_zero_field(kernel, t_from, t_to, steps)[0]

    def evaluations(self, steps: int) -> int:
        """Return the number of field evaluations (NFE) of `integrate` with so many steps.

        Raises:
            ZooError: the solver chooses its own steps.
        """
        return self._on_zero_field(_Line(dim=1, t_min=1.0, t_max=2.0), 2.0, 1.0, steps)[1]

    def _on_zero_field(
        self, kernel: FieldKernel, t_from: float, t_to: float, steps: int
    ) -> tuple[Tensor, int]:
        times, flow = [t_from], Flow(kernel, lambda y, *_: torch.zeros_like(y), "field")
        x = torch.ones(1, kernel.dim, dtype=torch.float64)
        self.integrate(
            flow, x, t_from, t_to, steps=steps, callback=lambda _i, t, _x: times.append(t)
        )
        if len(times) != steps + 1:
            raise ZooError(f"{self._name} chooses its own steps: it has no grid of times")
        times[-1] = t_to
        return torch.tensor(times, dtype=torch.float64), flow.nfe

    @property
    def _name(self) -> str:
        return self.part.use if self.part else type(self).__name__


class _Line(FieldKernel):
    """x_t = x_0 + t n."""

    def marginal(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = torch.as_tensor(t, dtype=torch.float64)
        return torch.ones_like(t), t

    def velocity(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        return (x_t - x_0) / t

    def log_density(self, x_t: Tensor, x_0: Tensor, t: Tensor | float) -> Tensor:
        raise NotImplementedError

    def sample(
        self, x_0: Tensor, t: Tensor | float, generator: torch.Generator | None = None
    ) -> Tensor:
        raise NotImplementedError
