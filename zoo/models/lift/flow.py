"""The lifted ODE with each sample's noise level in its state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import Flow, IsotropicKernel, over
from zoo.interfaces.checks import all_finite
from zoo.interfaces.flow import Predict
from zoo.networks.lifted import level_rate


class AugmentedFlow(Flow):
    """The lifted ODE of (x, sigma), flat: (B, d + 1), each sample with a level of its own.

    The level travels in the state, as one more coordinate of the size that all others have:
    solvers may drop samples that have arrived, or estimate errors and levels from the state.

    Args:
        kernel: isotropic, of random level.
        by_level: D(x, level), the Gaussian denoiser.
        high: the largest level that the denoiser knows.
        shape: of one sample.
        options: as for `Flow`; `noise` gives (B, *shape), without the level.
    """

    kernel: IsotropicKernel
    state_dtype = torch.float64

    def __init__(
        self,
        kernel: IsotropicKernel,
        by_level: Predict,
        high: float,
        shape: tuple[int, ...],
        **options: Any,
    ) -> None:
        super().__init__(kernel, by_level, **options)
        self.high, self.shape = high, shape
        self._known: tuple[Tensor, Tensor] | None = None

    def start(self, x: Tensor) -> Tensor:
        """Return the state of x_T, shape (B, *shape), whose radius around 0 gives its level sigma.

        Where sigma > high, D is m, the mean of the data, up to O(sigma_data^2 / high^2), and

            x' = m + (x - m) high / sigma

        is on level `high` what the ODE makes of x. Since dx/dsigma = (x - D) / sigma whatever
        the kernel, the trajectory from there is that of a sample with level `high` at t_max. The
        network is asked for m at x high / sigma: once, for this is the first evaluation of the
        trajectory, D(x', high) = m up to O(|m| sigma_data^2 / high^2). Samples below `high` start
        as they are.
        """
        flat = x.flatten(1)
        sigma = flat.square().mean(dim=1).sqrt().clamp(min=torch.finfo(x.dtype).tiny)
        level = sigma.clamp(max=self.high)
        ratio = over(level / sigma, x)
        d = self._predicted(ratio * x, level, self.kernel.t_max, guard=True)
        x = ratio * x + (1 - ratio) * d
        state = torch.cat([x.flatten(1), level[:, None]], dim=1)
        self._known = (state, d)
        return state

    def unpack(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x, sigma), shapes (B, *shape) and (B,)."""
        return split_level(state, self.shape)

    def _predicted(self, x: Tensor, level: Tensor, t: Tensor | float, guard: bool) -> Tensor:
        self.nfe += 1
        d = self.predict(x, level).to(x.dtype)
        if guard and not all_finite(d):
            t = float(torch.as_tensor(t).max())
            raise ZooError(f"{self.said} is not finite at t = {t:g}")
        return d

    def _parts(self, state: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (x, D, level, t); the level stays positive where a long step would not."""
        if not isinstance(t, Tensor) or t.device.type == "cpu":
            self.kernel.check_time(t)
        x, level = self.unpack(state)
        level = level.clamp(min=torch.finfo(x.dtype).tiny)
        known, self._known = self._known, None
        at_start = known and torch.equal(known[0], state)
        d = known[1] if known and at_start else self._predicted(x, level, t, self.guard)
        return x, d, level, torch.as_tensor(t, dtype=torch.float64, device=x.device)

    def noise(self, step: int, like: Tensor) -> Tensor:
        """Return N(0, I) for the samples of a step and 0 for their levels, (B, d + 1)."""
        samples = super().noise(step, self.unpack(like)[0])
        return torch.cat([samples.flatten(1), like.new_zeros(len(like), 1)], dim=1)

    def noised(self, x: Tensor, keep: Tensor, amount: Tensor, noise: Tensor) -> Tensor:
        """Return the state with noise added: variances add, so the level goes to the hypotenuse."""
        moved = super().noised(x, keep, amount, noise)
        moved[:, -1] = torch.hypot(keep * x[:, -1], amount.expand(len(x)))
        return moved

    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the time derivative of the state x, shape (B, d + 1)."""
        point, d, level, t = self._parts(x, t)
        rate = level_rate(self.kernel, level, t)[:, None]
        return torch.cat([rate * (point - d).flatten(1), rate * level[:, None]], dim=1)

    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return (D, 0), shape (B, d + 1): without noise the level is 0."""
        _, d, level, _ = self._parts(x, t)
        return torch.cat([d.flatten(1), torch.zeros_like(level)[:, None]], dim=1)


def split_level(state: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return (x, sigma), shapes (B, *shape) and (B,), of a state (x, sigma), (B, d + 1)."""
    return state[:, :-1].reshape(-1, *shape), state[:, -1]
