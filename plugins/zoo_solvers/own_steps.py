"""Solvers that are made for samples in one number of steps, the last of them to data."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor

from zoo import ZooError
from zoo.interfaces import FieldKernel, Flow, StepCallback
from zoo_solvers.adams import Exponential


class OwnSteps(Exponential):
    """N evaluations at N nodes; after the last one, which may lie above t_min, comes the data.

    A leaf sets `own_steps` and a grid, whose times for N steps are the nodes and t_min, and gives
    weights for N steps: those between the nodes, and that from the last node to data.

    Attributes:
        name: of the component, for errors.
        own_steps: N.
    """

    name: str
    own_steps: int

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> Tensor:
        """Return the times of the nodes; of `own_steps` steps t_min after them, for the data."""
        ends = kernel.t_max, kernel.t_min
        if steps not in (self.own_steps - 1, self.own_steps) or (t_from, t_to) != ends:
            self._refuse()
        return self.grid.times(kernel, t_from, t_to, steps).detach()

    def _refuse(self) -> NoReturn:
        raise ZooError(
            f"{self.name} is made for samples in {self.own_steps} steps, from noise to data; leave "
            "steps out, or name another solver, such as exp-abm3"
        )

    def to_data(
        self, flow: Flow, x: Tensor, *, steps: int, callback: StepCallback | None = None
    ) -> Tensor:
        """Return data from x at t_max, shape (B, *), float64."""

        def before_last(i: int, t: float, state: Tensor) -> None:
            if callback is not None and i < steps - 1:
                callback(i, t, state)

        if steps != self.own_steps:
            self._refuse()
        ends = flow.kernel.t_max, flow.kernel.t_min
        return super().integrate(flow, x, *ends, steps=steps, callback=before_last)

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
        """Refuse: its walk ends at data, not at t_min.

        Raises:
            ZooError: always.
        """
        del flow, x, t_from, t_to, steps, callback
        self._refuse()
