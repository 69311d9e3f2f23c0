"""What a solver walks on: the field of a model, with times checked and evaluations counted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.kernel import FieldKernel
from zoo.interfaces.network import Predicts

# (x, t) -> prediction, or (x, t, labels) where the flow has labels.
Predict = Callable[..., Tensor]


class Flow:
    """The ODE dx/dt = field(x, t) of one kernel and one predictor.

    States are float64; the predictor sees them in its own dtype. This is the one place where
    they are cast.

    Attributes:
        kernel: the field kernel.
        nfe: number of predictor evaluations so far (number of function evaluations).
        guard: check after every evaluation that it is finite; costs a synchronisation.
        rows: which samples of the batch x holds, (B',), where a solver has let some of them go;
            None for all, in order. It is for the solver to set, and says whose label is whose.
    """

    def __init__(
        self,
        kernel: FieldKernel,
        predict: Predict,
        predicts: Predicts = "denoised",
        *,
        dtype: torch.dtype = torch.float32,
        labels: Tensor | None = None,
    ) -> None:
        self.kernel, self.nfe, self.guard = kernel, 0, False
        self.labels = labels
        self.rows: Tensor | None = None
        self._predict, self._predicts, self._dtype = predict, predicts, dtype

    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """Return what the predictor says of the samples in x and their labels, in its own dtype."""
        given = () if self.labels is None else (self._labels_of(self.labels),)
        return self._predict(x.to(self._dtype), t.to(self._dtype), *given)

    def _labels_of(self, labels: Tensor) -> Tensor:
        return labels if self.rows is None else labels[self.rows]

    def _evaluate(self, x: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        if not isinstance(t, Tensor) or t.device.type == "cpu":
            self.kernel.check_time(t)
        self.nfe += 1
        t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
        out = self.predict(x, t).to(x.dtype)
        if self.guard and not bool(out.isfinite().all()):
            raise ZooError(f"the network's output is not finite at t = {float(t.max()):g}")
        return out, t

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return dx/dt at (x, t), shape (B, *); t a scalar or (B,) within [t_min, t_max]."""
        out, t = self._evaluate(x, t)
        return out if self._predicts == "field" else self.kernel.velocity(x, out, t)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t = x], shape (B, *).

        Raises:
            ZooError: the kernel's velocity is not affine in x_0.
        """
        out, t = self._evaluate(x, t)
        return out if self._predicts == "denoised" else self.kernel.denoised(out, x, t)
