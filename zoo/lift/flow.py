"""The lifted ODE, with and without each sample's noise level in its state."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, IsotropicKernel
from zoo.interfaces.flow import Predict
from zoo.lift.network import LiftedNetwork, level_rate
from zoo.model import conditioned


class CarryingFlow(Flow):
    """The lifted ODE of (x, sigma), flat: (B, d + 1), each sample with a level of its own.

    The level travels in the state, as one more coordinate of the size that all others have:
    solvers may drop samples that have arrived, or estimate errors and levels from the state.

    Args:
        kernel: isotropic, of random level.
        by_level: D(x, level), the Gaussian denoiser.
        shape: of one sample.
        dtype: of the denoiser.
        labels: class numbers (B,), or None.
    """

    def __init__(
        self,
        kernel: IsotropicKernel,
        by_level: Predict,
        shape: tuple[int, ...],
        *,
        dtype: torch.dtype,
        labels: Tensor | None = None,
    ) -> None:
        super().__init__(kernel, by_level, dtype=dtype, labels=labels)
        self.shape = shape

    def pack(self, x: Tensor) -> Tensor:
        """Return the state of x_T, shape (B, *shape), whose radius around 0 gives its level."""
        flat = x.flatten(1)
        level = flat.square().mean(dim=1, keepdim=True).sqrt()
        return torch.cat([flat, level.clamp(min=torch.finfo(x.dtype).tiny)], dim=1)

    def unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x, sigma), shapes (B, *shape) and (B,)."""
        return state[:, :-1].reshape(-1, *self.shape), state[:, -1]

    def _parts(self, state: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (x, D, level, t); the level stays positive where a long step would not."""
        if not isinstance(t, Tensor) or t.device.type == "cpu":
            self.kernel.check_time(t)
        self.nfe += 1
        x, level = self.unpack(state)
        level = level.clamp(min=torch.finfo(x.dtype).tiny)
        d = self.predict(x, level).to(x.dtype)
        if self.guard and not bool(d.isfinite().all()):
            raise ZooError(
                f"the network's output is not finite at t = {float(torch.as_tensor(t).max()):g}"
            )
        return x, d, level, torch.as_tensor(t, dtype=torch.float64, device=x.device)

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the time derivative of the state x, shape (B, d + 1)."""
        point, d, level, t = self._parts(x, t)
        rate = level_rate(self.kernel, level, t)[:, None]
        return torch.cat([rate * (point - d).flatten(1), rate * level[:, None]], dim=1)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return (D, 0), shape (B, d + 1): without noise the level is 0."""
        _, d, level, _ = self._parts(x, t)
        return torch.cat([d.flatten(1), torch.zeros_like(level)[:, None]], dim=1)


class LiftedFlow(Flow):
    """The ODE of (x, t) alone, and the denoiser by level for whoever knows the level."""

    def __init__(
        self,
        kernel: FieldKernel,
        network: LiftedNetwork,
        labels: Tensor | None,
        guidance: float,
        dtype: torch.dtype,
    ) -> None:
        predict = conditioned(network, guidance, kernel.dim)
        super().__init__(kernel, predict, network.predicts, dtype=dtype, labels=labels)
        self._by_level = conditioned(network.denoiser, guidance, kernel.dim)

    def carrying(self, shape: tuple[int, ...]) -> CarryingFlow:
        """Return the ODE of (x, sigma), for samples of one shape.

        Raises:
            ZooError: the kernel is not isotropic.
        """
        if not isinstance(self.kernel, IsotropicKernel):
            raise ZooError(f"{type(self.kernel).__name__} is not isotropic: it has no radius")
        return CarryingFlow(
            self.kernel, self._by_level, shape, dtype=self._dtype, labels=self.labels
        )
