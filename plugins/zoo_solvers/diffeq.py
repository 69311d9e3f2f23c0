"""torchdiffeq's methods, integrated in log t and never outside the interval.

Left to themselves its adaptive solvers step past the end and interpolate back, and probe for a
first step wherever that leads. Here the variable is s in [0, 1] with t = t_from (t_to/t_from)^s,

    dx/ds = log(t_to / t_from) t f(x, t),

a step is forced to land on s = 1 (`step_t`), the first step is given, and t is clamped.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow
from zoo.interfaces.solver import StepCallback
from zoo_solvers.checks import count, positive
from zoo_solvers.walk import CheckedSolver


class _LogTime:
    """dx/ds as torchdiffeq calls it, and its callbacks turned into the zoo's."""

    def __init__(self, flow: Flow, t_from: float, t_to: float, after: StepCallback) -> None:
        self._flow, self._from, self._after = flow, t_from, after
        self._log_ratio = math.log(t_to / t_from)
        self._low, self._high = min(t_from, t_to), max(t_from, t_to)
        self.taken, self.reached = -1, t_from

    def __call__(self, s: Tensor, x: Tensor) -> Tensor:
        t = (s * self._log_ratio).exp().mul(self._from).clamp(self._low, self._high)
        return self._flow.field(x, t) * (t * self._log_ratio)

    def step_begins(self, s: Tensor, x: Tensor, ds: Tensor) -> None:
        """Report the step before: torchdiffeq speaks before a step, the zoo after it."""
        del ds
        if self.taken >= 0:
            self.reached = self._from * math.exp(float(s) * self._log_ratio)
            self._after(self.taken, self.reached, x)
        self.taken += 1


class TorchDiffEq(CheckedSolver):
    """One of torchdiffeq's methods, named by `method` in a subclass."""

    method: str
    # Which of torchdiffeq's callbacks announces a step; "" for none.
    _announces: str

    @abstractmethod
    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        """Return what odeint is given: options, rtol, atol."""

    def walk(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, after: StepCallback
    ) -> Tensor:
        """Return x at t_to."""
        from torchdiffeq import odeint

        slope = _LogTime(flow, t_from, t_to, after)
        if self._announces:
            setattr(slope, self._announces, slope.step_begins)
        ends = torch.tensor([0.0, 1.0], dtype=x.dtype, device=x.device)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "Functional iteration did not converge")
                arguments = self._arguments(steps, x)
                path: Tensor = odeint(slope, x, ends, method=self.method, **arguments)
        except (AssertionError, UserWarning) as error:
            raise self._gave_up(slope.reached, str(error)) from error
        if len(path) != 2:
            raise self._gave_up(slope.reached, "no more progress")
        after(max(slope.taken, 0), t_to, path[-1])
        return path[-1]

    def _gave_up(self, t: float, why: str) -> ZooError:
        return ZooError(
            f"torchdiffeq's {self.method} gave up after t = {t:g} ({why.splitlines()[0]}); "
            "use more steps or a larger rtol"
        )


class FixedStep(TorchDiffEq):
    """Equal steps in log t; `order` is the method's own."""

    _announces = "callback_step"

    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        nodes = torch.linspace(0, 1, steps + 1, dtype=x.dtype, device=x.device)
        return {"options": {"grid_constructor": lambda *_: nodes}}


class Euler(FixedStep):
    """Euler."""

    method, order = "euler", 1


class Midpoint(FixedStep):
    """The explicit midpoint rule."""

    method, order = "midpoint", 2


class Heun2(FixedStep):
    """Heun's method of order 2."""

    method, order = "heun2", 2


class Heun3(FixedStep):
    """Heun's method of order 3."""

    method, order = "heun3", 3


class RK4(FixedStep):
    """The 3/8 rule of order 4, three thirds of a step and its end."""

    method, order = "rk4", 4


class ExplicitAdams(FixedStep):
    """Adams-Bashforth of order 4, started by Runge-Kutta.

    torchdiffeq's own default, order 11, is stable only for steps below a thousandth in log t.
    """

    method, order = "explicit_adams", 4

    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        arguments = super()._arguments(steps, x)
        arguments["options"]["max_order"] = self.order + 1
        return arguments


class ImplicitAdams(FixedStep):
    """Adams-Bashforth-Moulton of order 4; its corrector iterates until the batch converges.

    Options:
        rtol: relative change at which the corrector's iteration stops.
        max_iterations: of the corrector, each one evaluation.
    """

    method, order, couples_samples = "implicit_adams", 4, True

    def __init__(self, *, rtol: float = 1e-6, max_iterations: int = 50) -> None:
        self._rtol = positive("rtol", rtol)
        self._iterations = count("max_iterations", max_iterations)

    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        arguments = super()._arguments(steps, x)
        arguments["options"] |= {"max_order": self.order, "max_iters": self._iterations}
        return {**arguments, "rtol": self._rtol, "atol": self._rtol}


class Adaptive(TorchDiffEq):
    """An embedded pair with one step size for the whole batch; `steps` sets the first step.

    Options:
        rtol, atol: tolerances of the root mean square error over the batch, per step.
        max_steps: an error follows, rather than a run without end.
    """

    couples_samples = True
    _announces = "callback_accept_step"

    def __init__(self, *, rtol: float = 1e-4, atol: float = 1e-4, max_steps: int = 10_000) -> None:
        self._rtol, self._atol = positive("rtol", rtol), positive("atol", atol)
        self._max_steps = count("max_steps", max_steps)

    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        options = {
            "first_step": 1 / steps,
            "max_num_steps": self._max_steps,
            "step_t": torch.ones(1, dtype=x.dtype, device=x.device),
        }
        return {"options": options, "rtol": self._rtol, "atol": self._atol}


class AdaptiveHeun(Adaptive):
    """Heun with an embedded Euler."""

    method, order = "adaptive_heun", 2


class Fehlberg2(Adaptive):
    """Fehlberg's pair of orders 2 and 1."""

    method, order = "fehlberg2", 2


class Bosh3(Adaptive):
    """Bogacki and Shampine's pair of orders 3 and 2."""

    method, order = "bosh3", 3


class Dopri5(Adaptive):
    """Dormand and Prince's pair of orders 5 and 4."""

    method, order = "dopri5", 5


class Dopri8(Adaptive):
    """Dormand and Prince's pair of orders 8 and 7."""

    method, order = "dopri8", 8


class ScipySolver(Adaptive):
    """SciPy's LSODA on the CPU: Adams or BDF, of orders up to 12, as stiffness asks.

    The callback is called once, at the end: SciPy reports no steps.
    """

    method, order, _announces = "scipy_solver", 12, ""

    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        del steps, x
        return {"options": {"solver": "LSODA"}, "rtol": self._rtol, "atol": self._atol}
