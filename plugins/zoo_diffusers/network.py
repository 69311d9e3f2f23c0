"""UNet2DModel and DiT as Gaussian denoisers at any noise level; see `parametrisation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Decoder, FieldKernel
from zoo.networks import GaussianDenoiser, refuse_random_level
from zoo_diffusers.autoencoder import Autoencoder
from zoo_diffusers.denoisers import DIT, UNET, channels, check_sides, class_count, shape_of
from zoo_diffusers.modules import build, run
from zoo_diffusers.parametrisation import Steps, parametrisation


class DiffusersNetwork(GaussianDenoiser):
    """D(x_t, t) = E[x_0 | x_t] from a UNet2DModel or a DiT, under kernels of Gaussian noise.

    Levels outside those of the schedule need no training: see `GaussianDenoiser`. A DiT that
    predicts variances too has them in its last channels, which are left out.

    Args:
        shape: (C, H, W), of latents where there is an autoencoder.
        kernel: gaussian, vp, flow, ...: one whose noise level is a function of t.
        unet: the configuration of a UNet2DModel, as its config.json has it.
        transformer: the configuration of a DiTTransformer2DModel instead.
        scheduler: the noise schedule and the kind of prediction, as scheduler_config.json has them.
        null_class: whether the last of the network's classes stands for "no class".
        autoencoder: the configuration of the AutoencoderKL or VQModel that decodes its latents.

    Raises:
        ZooError: diffusers is not installed; the noise level is random; the schedule is unknown;
            the network is of another number of channels, or its autoencoder of other latents.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        kernel: FieldKernel,
        *,
        scheduler: Mapping[str, Any],
        unet: Mapping[str, Any] | None = None,
        transformer: Mapping[str, Any] | None = None,
        null_class: bool = False,
        autoencoder: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(kernel)
        refuse_random_level(kernel, "diffusers' networks")
        kind, settings = (DIT, transformer) if unet is None else (UNET, unet)
        if settings is None or (unet is not None and transformer is not None):
            raise ZooError("give unet or transformer, the settings of one network")
        if not isinstance(settings, Mapping):
            raise ZooError(f"{kind}'s settings are {settings!r:.60}; expected a mapping")
        _check_shape(kind, settings, shape)
        self.parametrisation = parametrisation(scheduler)
        self.low, self.high = self.parametrisation.low, self.parametrisation.high
        self.sigma_data = self.parametrisation.sigma_data
        self.labels = class_count(kind, settings, null_class)
        self.null_class = bool(null_class)
        self.inner = "transformer" if kind == DIT else "unet"
        self.add_module(self.inner, build(kind, settings))
        self.autoencoder = None if autoencoder is None else Autoencoder(autoencoder, tuple(shape))

    @property
    def latent_decoder(self) -> Decoder | None:
        """The autoencoder, of a latent model."""
        return self.autoencoder

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
        asked: Any = self.get_submodule(self.inner)

        def predict(x: Tensor, time: Tensor) -> Tensor:
            out: Tensor = run(self.inner, lambda: asked(x, time.to(x), *given).sample)
            return out[:, : x.shape[1]]

        return self.parametrisation.denoise(predict, x_t, *self._scaled(x_t, t))

    def _classes(self, labels: Tensor | None, x: Tensor) -> tuple[Tensor]:
        """Return the classes that the network is given, (B,)."""
        if labels is None:
            labels = torch.full((len(x),), -1, device=x.device)
        if not self.null_class:
            if bool((labels < 0).any()):
                raise ZooError(
                    f"the network was given one of its {self.labels} classes with every image and "
                    'none for "no class": give labels= (--label), one for each, no guidance; if '
                    "its last class stands for no class, load it with format_options="
                    "{'null_class': True} (zoo pull --set null_class=true)"
                )
            return (labels,)
        return (torch.where(labels < 0, self.labels, labels),)


def _check_shape(kind: str, settings: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    """Raise ZooError unless a network makes samples of a shape; a UNet2DModel has no own size."""
    taken, given = channels(kind, settings)
    fits = len(shape) == 3 and taken == shape[0] and (kind == DIT or given == taken)
    if not fits or (kind == DIT and tuple(shape) != shape_of(kind, settings, kind)):
        raise ZooError(f"shape = {tuple(shape)}; this {kind} makes {given} channels of {taken}")
    if kind == UNET:
        check_sides(settings, shape, kind)
