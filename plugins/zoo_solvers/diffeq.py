"""torchdiffeq's methods, integrated in log t and never outside the interval.

Left to themselves its adaptive solvers step past the end and interpolate back, and probe for a
first step wherever that leads. Here the variable is s in [0, 1] with t = t_from (t_to/t_from)^s,

    dx/ds = log(t_to / t_from) t f(x, t),

a step is forced to land on s = 1 (`step_t`), the first step is given, and t is clamped.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from inspect import Parameter, Signature
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import (
    FieldKernel,
    Flow,
    Solver,
    StepCallback,
    check_integer,
    check_positive,
    did_you_mean,
)
from zoo_solvers import ADAPTIVE, METHODS

# torchdiffeq's own default, order 11, is stable only for steps below a thousandth in log t.
_MAX_ORDER = {"explicit_adams": 5, "implicit_adams": 4}


class TorchDiffEq(Solver):
    """A method of torchdiffeq: of equal steps in log t, or adaptive with one step for the batch.

    Adaptive ones take `steps` for the first step alone: adaptive_heun, fehlberg2, bosh3, dopri5,
    dopri8, and scipy_solver (LSODA, on the CPU; the callback is called once, at the end).

    Args:
        method: its name.
        rtol, atol: tolerances of the root mean square error over the batch, per step; rtol of
            implicit_adams is the relative change at which its corrector's iteration stops.
        max_steps: of adaptive methods; an error follows, rather than a run without end.
        max_iterations: of implicit_adams' corrector, each one evaluation.

    Raises:
        ZooError: there is no such method, it has no such option, or a value is out of range.
    """

    def __init__(self, method: str, **options: Any) -> None:
        if method not in METHODS:
            raise ZooError(f"torchdiffeq has no method {method!r}: {did_you_mean(method, METHODS)}")
        self.method = method
        _, self.order, self._stages, defaults = METHODS[method]
        self.couples_samples = bool(defaults)  # a tolerance is met by the batch as a whole
        self._adaptive = defaults is ADAPTIVE
        self._options = {**defaults}
        for name, value in options.items():
            if name not in defaults:
                raise ZooError(f"torchdiffeq's {method} has no option {name!r}")
            whole = name.startswith("max_")
            self._options[name] = (
                check_integer(name, value, 1) if whole else check_positive(name, value)
            )

    def times(self, kernel: FieldKernel, t_from: float, t_to: float, steps: int) -> Tensor:
        """Return steps + 1 times, equally spaced in log t."""
        if self._adaptive:
            return super().times(kernel, t_from, t_to, steps)
        s = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        times = t_from * (s * math.log(t_to / t_from)).exp()
        times[-1] = t_to
        return times

    def evaluations(self, steps: int) -> int:
        """Return the number of evaluations of so many steps; an iteration's are not fixed."""
        return super().evaluations(steps) if self._stages is None else self._stages * steps

    def _integrate(
        self, flow: Flow, x: Tensor, t_from: float, t_to: float, steps: int, callback: StepCallback
    ) -> Tensor:
        from torchdiffeq import odeint

        slope = _LogTime(flow, t_from, t_to, callback)
        if self.method != "scipy_solver":  # it reports no steps
            name = "callback_accept_step" if self._adaptive else "callback_step"
            setattr(slope, name, slope.step_begins)
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
        callback(max(slope.taken, 0), t_to, path[-1])
        return path[-1]

    def _arguments(self, steps: int, x: Tensor) -> dict[str, Any]:
        """Return what odeint is given: options, rtol, atol."""
        given, options = self._options, dict[str, Any]()
        if self.method == "scipy_solver":
            options["solver"] = "LSODA"
        elif self._adaptive:
            options["first_step"], options["max_num_steps"] = 1 / steps, given["max_steps"]
            options["step_t"] = torch.ones(1, dtype=x.dtype, device=x.device)
        else:
            nodes = torch.linspace(0, 1, steps + 1, dtype=x.dtype, device=x.device)
            options["grid_constructor"] = lambda *_: nodes
        if self.method in _MAX_ORDER:
            options["max_order"] = _MAX_ORDER[self.method]
        if "max_iterations" in given:
            options["max_iters"] = given["max_iterations"]
        if "rtol" not in given:
            return {"options": options}
        return {"options": options, "rtol": given["rtol"], "atol": given.get("atol", given["rtol"])}

    def _gave_up(self, t: float, why: str) -> ZooError:
        return ZooError(
            f"torchdiffeq's {self.method} gave up after t = {t:g} ({why.splitlines()[0]}); "
            "use more steps or a larger rtol"
        )


class _LogTime:
    """dx/ds as torchdiffeq calls it, and its callbacks turned into the zoo's."""

    def __init__(self, flow: Flow, t_from: float, t_to: float, callback: StepCallback) -> None:
        self._flow, self._from, self._callback = flow, t_from, callback
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
            self._callback(self.taken, self.reached, x)
        self.taken += 1


def __getattr__(name: str) -> partial[TorchDiffEq]:
    """Return `TorchDiffEq` with one method: the target of the component torchdiffeq-rk4 is rk4."""
    if name not in METHODS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    bound = partial(TorchDiffEq, name)
    bound.__doc__ = TorchDiffEq.__doc__
    options = METHODS[name].options.items()
    vars(bound)["__signature__"] = Signature(
        [Parameter(option, Parameter.KEYWORD_ONLY, default=value) for option, value in options]
    )
    return bound
