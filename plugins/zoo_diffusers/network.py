"""UNet2DModel as a Gaussian denoiser at any noise level.

A DDPM network knows time steps n, at which it has seen x = (x_0 + sigma_n z) / sqrt(1 + sigma_n^2).
Here it is asked for E[x_0 | x_0 + sigma z = y]: the VP scaling is put in front of it, the time step
is that of sigma, between two steps by interpolation of log sigma, and from what it says,

    epsilon:       D = y - sigma epsilon
    sample:        D = x_0
    v_prediction:  D = (x - sigma v) / sqrt(1 + sigma^2)

Source: DDPM, arXiv:2006.11239; v prediction, arXiv:2202.00512, appendix D.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo import ZooError
from zoo.interfaces import FieldKernel, over
from zoo.networks import GaussianDenoiser, refuse_random_level
from zoo_diffusers.schedule import levels, prediction

NEEDS = "diffusers>=0.42"


class DiffusersNetwork(GaussianDenoiser):
    """D(x_t, t) = E[x_0 | x_t] from a UNet2DModel, under any kernel whose noise is Gaussian.

    Levels outside those of the schedule need no training: see `GaussianDenoiser`.

    Args:
        shape: (C, H, W).
        kernel: gaussian, vp, flow, ...: one whose noise level is a function of t.
        unet: the configuration of the network, as its config.json has it.
        scheduler: the noise schedule and the kind of prediction, as scheduler_config.json has them.

    Raises:
        ZooError: diffusers is not installed; the noise level is random; the schedule is unknown;
            the network is of another number of channels.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        *,
        unet: Mapping[str, Any],
        scheduler: Mapping[str, Any],
    ) -> None:
        super().__init__(kernel)
        refuse_random_level(kernel, "diffusers' networks")
        channels = [unet.get(name, 3) for name in ("in_channels", "out_channels")]
        if len(shape) != 3 or channels != [shape[0]] * 2:
            raise ZooError(
                f"shape = {tuple(shape)}; this UNet2DModel makes {channels[1]} channels of "
                f"{channels[0]}"
            )
        self.prediction = prediction(scheduler)
        self.unet = _build(unet)
        self.log_levels = torch.tensor(levels(scheduler), dtype=torch.float64, device="cpu").log()
        self.low, self.high = self.log_levels[[0, -1]].exp().tolist()

    def timestep(self, level: Tensor) -> Tensor:
        """Return the time step of a noise level within the schedule's, like level, float64."""
        table = self.log_levels.to(level.device)
        log = level.double().log()
        right = torch.searchsorted(table, log.contiguous()).clamp(1, len(table) - 1)
        left = right - 1
        return left + (log - table[left]) / (table[right] - table[left])

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape (B, C, H, W); t is a scalar or (B,), labels are not used."""
        del labels
        y, level = self._seen(x_t, t)
        root = (1 + level.square()).rsqrt()
        x, step = over(root, x_t) * y, self.timestep(level).to(x_t)
        out: Tensor = self.unet(x, step).sample
        match self.prediction:
            case "epsilon":
                return y - over(level, x_t) * out
            case "v_prediction":
                return over(root, x_t) * (x - over(level, x_t) * out)
        return out


def _build(config: Mapping[str, Any]) -> nn.Module:
    """Return a UNet2DModel; settings that this version does not know are left out, as there."""
    try:
        from diffusers import UNet2DModel
    except ImportError as error:
        raise ZooError(
            f"the network needs the package diffusers, which cannot be imported ({error}): "
            f"pip install '{NEEDS}'"
        ) from error
    known = inspect.signature(UNet2DModel.__init__).parameters
    unet: nn.Module = UNet2DModel(**{k: v for k, v in config.items() if k in known})
    return unet
