"""The ODE that a solver integrates: the field of a model, with checked times and counted calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.checks import all_finite
from zoo.interfaces.kernel import FieldKernel, over, randn
from zoo.interfaces.network import Predicts

# (x, t) -> prediction, or (x, t, labels) where the flow has labels, or (x, t, labels, condition).
Predict = Callable[..., Tensor]
# number of the step -> N(0, I), shape (B, *)
StepNoise = Callable[[int], Tensor]
NETWORK_OUTPUT = "the network's output"


class Flow:
    """The ODE dx/dt = field(x, t) of one kernel and one predictor.

    States are float64, or `state_dtype` where a solver takes few steps; the predictor sees them in
    its own dtype. This is the one place where they are cast to it.

    Args:
        kernel: the field kernel.
        predict: the network as a function of (x, t), of (x, t, labels), or, where there is a
            condition, of (x, t, labels or None, condition).
        predicts: "denoised" for E[x_0 | x_t], "field" for dx/dt.
        dtype: of the predictor.
        labels: class numbers (B,), or None.
        condition: (B, *), as the network sees it, or None.
        sigma_data: standard deviation of the data, in data units; None where it is not known.
        noise: for stochastic solvers, noise(step) -> N(0, I), (B, *); a pure function, such that a
            sample's noise is its own in any batch. None for one that knows the batch alone.
        said: what errors call the predictor's result.

    Attributes:
        kernel, labels, condition, sigma_data: as given.
        nfe: number of predictor evaluations so far (number of function evaluations).
        guard: check after every evaluation that it is finite; costs a synchronisation.
        rows: which samples of the batch x holds, (B',), where a solver has let some of them go;
            None for all, in order. It is for the solver to set, and says whose label and condition
            is whose.
    """

    def __init__(
        self,
        kernel: FieldKernel,
        predict: Predict,
        predicts: Predicts = "denoised",
        *,
        dtype: torch.dtype = torch.float32,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
        sigma_data: float | None = None,
        noise: StepNoise | None = None,
        said: str = NETWORK_OUTPUT,
    ) -> None:
        self.said = said
        self.kernel, self.nfe, self.guard = kernel, 0, False
        self.labels, self.condition, self.sigma_data = labels, condition, sigma_data
        self._noise = noise
        self.rows: Tensor | None = None
        self._predict, self._predicts, self._dtype = predict, predicts, dtype
        # By the identity of a time: the time itself, so that it stays its own, and as shown.
        self._prepared: dict[int, tuple[Tensor, Tensor]] = {}

    def prepare_times(self, times: Tensor) -> list[Tensor]:
        """Return times (n, B) as n times (B,) to evaluate at, checked and cast in one pass.

        Any other time is checked and cast when it is used.

        Raises:
            ZooError: one lies outside the kernel's times.
        """
        self._check_time(times)
        rows = [*times.unbind()]
        shown = times.to(self._dtype).unbind()
        self._prepared = {id(t): (t, cast) for t, cast in zip(rows, shown, strict=True)}
        return rows

    def predict(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return what the predictor says of x, shape of x (B, *), in its own dtype.

        It is given labels and conditions, and a copy of x that it may overwrite or give back.
        """
        given: tuple[Tensor | None, ...] = (self.labels, self.condition)
        if self.rows is not None:
            given = tuple(None if each is None else each[self.rows] for each in given)
        while given and given[-1] is None:
            given = given[:-1]
        shown = x.to(self._dtype, copy=True)
        known = self._prepared.get(id(t))
        at = _at(t, self._dtype, x.device) if known is None else known[1]
        return self._predict(shown, at, *given)

    def _evaluate(self, x: Tensor, t: Tensor | float) -> Tensor:
        if id(t) not in self._prepared:
            self._check_time(t)
        self.nfe += 1
        out = self.predict(x, t)
        if self.guard and not all_finite(out):
            last = float(t.max()) if isinstance(t, Tensor) else t
            raise ZooError(f"{self.said} is not finite at t = {last:g}")
        return out

    def _check_time(self, t: Tensor | float) -> None:
        """Raise ZooError unless t is within the kernel's times; not looked at on accelerators."""
        if isinstance(t, float):
            if not self.kernel.t_min <= t <= self.kernel.t_max:
                self.kernel.check_time(t)
        elif not isinstance(t, Tensor) or t.device.type == "cpu":
            self.kernel.check_time(t)

    @property
    def state_dtype(self) -> torch.dtype:
        """The dtype of `denoise`, in which a state of few steps loses nothing by comparison.

        float64 where the predictor gives the field itself: small steps of it are summed.
        """
        short = self._predicts == "denoised" and self._dtype.itemsize <= 4
        return torch.float32 if short else torch.float64

    def noise(self, step: int, like: Tensor) -> Tensor:
        """Return N(0, I) for one step of a stochastic solver, shape, dtype and device of `like`.

        The same step gives the same numbers. A flow that was given no noise draws them from a
        generator whose seed is the number of the step.
        """
        if self._noise is None:
            return randn(like.shape, like, torch.Generator().manual_seed(step))
        return self._noise(step).to(like)

    def noised(self, x: Tensor, keep: Tensor, amount: Tensor, noise: Tensor) -> Tensor:
        """Return the state keep x + amount noise, noise ~ N(0, I) like x; numbers or (B,)."""
        return over(keep, x) * x + over(amount, x) * noise

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return dx/dt at (x, t), shape (B, *); t a scalar or (B,) within [t_min, t_max]."""
        out = self._evaluate(x, t)
        out = out.to(x.dtype)
        if self._predicts == "field":
            return out
        return self.kernel.velocity(x, out, _at(t, torch.float64, x.device))

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t = x], shape (B, *), with the predictor's digits: float32 or float64.

        Raises:
            ZooError: the kernel's velocity is not affine in x_0.
        """
        out = self._evaluate(x, t)
        if self._predicts == "denoised":
            return out.float() if out.dtype.itemsize < 4 else out
        return self.kernel.denoised(out.to(x.dtype), x, _at(t, torch.float64, x.device))


def _at(t: Tensor | float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return t as a tensor, a scalar made on the device: copying one there would wait for it."""
    if isinstance(t, Tensor):
        return t.to(device, dtype)
    return torch.full((), t, dtype=dtype, device=device)
