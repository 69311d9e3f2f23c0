"""The solver: walks the ODE dx/dt = f(x, t), in either direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from zoo.config.part import Part
from zoo.interfaces.flow import Flow

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
