"""UNet2DModel as a Gaussian denoiser at any noise level; see `parametrisation`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo import ZooError
from zoo.interfaces import FieldKernel, check_integer
from zoo.networks import GaussianDenoiser, refuse_random_level
from zoo_diffusers.parametrisation import Steps, parametrisation

NEEDS = "diffusers>=0.42"


class DiffusersNetwork(GaussianDenoiser):
    """D(x_t, t) = E[x_0 | x_t] from a UNet2DModel, under any kernel whose noise is Gaussian.

    Levels outside those of the schedule need no training: see `GaussianDenoiser`.

    Args:
        shape: (C, H, W).
        kernel: gaussian, vp, flow, ...: one whose noise level is a function of t.
        unet: the configuration of the network, as its config.json has it.
        scheduler: the noise schedule and the kind of prediction, as scheduler_config.json has them.
        null_class: whether the last of the network's classes stands for "no class".

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
        null_class: bool = False,
    ) -> None:
        super().__init__(kernel)
        refuse_random_level(kernel, "diffusers' networks")
        channels = [unet.get(name, 3) for name in ("in_channels", "out_channels")]
        if len(shape) != 3 or channels != [shape[0]] * 2:
            raise ZooError(
                f"shape = {tuple(shape)}; this UNet2DModel makes {channels[1]} channels of "
                f"{channels[0]}"
            )
        self.parametrisation = parametrisation(scheduler)
        self.low, self.high = self.parametrisation.low, self.parametrisation.high
        self.sigma_data = self.parametrisation.sigma_data
        self.labels = class_count(unet, null_class)
        self.null_class = bool(null_class)
        self.unet = _build(unet)

    @property
    def log_levels(self) -> Tensor:
        """Logarithms of sigma at every time step of a DDPM, float64."""
        if not isinstance(self.parametrisation, Steps):
            raise AttributeError("log_levels: the network knows no time steps")
        return self.parametrisation.log_levels

    def timestep(self, level: Tensor) -> Tensor:
        """Return what the network is given for a noise level within its own, float64."""
        return self.parametrisation.time(level)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return E[x_0 | x_t], shape (B, C, H, W); t is a scalar or (B,), labels (B,).

        Raises:
            ZooError: no class, for a network that was given one with every image.
        """
        given = self._classes(labels, x_t) if self.labels else ()

        def predict(x: Tensor, time: Tensor) -> Tensor:
            out: Tensor = self.unet(x, time.to(x), *given).sample
            return out

        return self.parametrisation.denoise(predict, x_t, *self._scaled(x_t, t))

    def _classes(self, labels: Tensor | None, x: Tensor) -> tuple[Tensor]:
        """Return the classes that the network is given, (B,)."""
        if labels is None:
            labels = torch.full((len(x),), -1, device=x.device)
        if not self.null_class:
            if bool((labels < 0).any()):
                raise ZooError(
                    f"the network was given one of its {self.labels} classes with every image and "
                    'none for "no class": give labels=, one for each, and no guidance; if its last '
                    "class stands for no class, load it with format_options={'null_class': True}"
                )
            return (labels,)
        return (torch.where(labels < 0, self.labels, labels),)


def class_count(unet: Mapping[str, Any], null_class: bool) -> int:
    """Return the number of classes that images have, 0 where the network is not given any.

    Raises:
        ZooError: the network is given something else than a class, or too few of them.
    """
    count, kind = unet.get("num_class_embeds"), unet.get("class_embed_type")
    if kind is not None:
        raise ZooError(
            f"the network is conditional on classes by class_embed_type = {kind!r:.60}; "
            "num_class_embeds alone is read"
        )
    if count is None:
        if null_class:
            raise ZooError("null_class: the network has no classes")
        return 0
    return check_integer("num_class_embeds", count, 2 if null_class else 1, 10**6) - bool(
        null_class
    )


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
