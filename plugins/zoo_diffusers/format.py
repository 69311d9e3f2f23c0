"""Unconditional models of images as diffusers saves them, from the Hub or a folder.

Two layouts: a pipeline's, with model_index.json and the subfolders unet/ and scheduler/, and the
old flat one, with everything at the root.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from zoo import ZooError
from zoo.formats import read_tensors
from zoo.interfaces import Checkpoint, Config, Data, Files, Format, Part, SolverPart
from zoo_diffusers.network import NEEDS
from zoo_diffusers.schedule import levels, prediction

INDEX, SETTINGS, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
SAFE, TORCH = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
_ANY_WEIGHTS = re.compile(r"(unet/)?diffusion_pytorch_model[.-].*\.(safetensors|bin)")
# Attention as diffusers called it until 2023.
_OLD = re.compile(r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

_SCHEDULERS = ("DDPMScheduler", "DDIMScheduler")
_KEPT = (
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "trained_betas",
    "prediction_type",
    "predict_epsilon",
    "rescale_betas_zero_snr",
)
_LATENT = {"vae", "vqvae", "movq", "vqgan"}
_TEXT = {"text_encoder", "tokenizer", "bert", "image_encoder", "prior"}
_STEPS = 18


class DiffusersFormat(Format):
    """Unconditional models of images that diffusers saved: a UNet2DModel and a DDPM scheduler."""

    def read(self, files: Files) -> Checkpoint | None:
        """Return the Gaussian model of a folder or a repository, None for those of others.

        Raises:
            ZooError: diffusers saved something else than an unconditional model of images.
        """
        if INDEX in files.names:
            check_index(files.settings(INDEX), files.where)
        elif (
            files.file
            or SETTINGS not in files.names
            or "_class_name" not in files.settings(SETTINGS)
        ):
            return None
        unet, scheduler, weights = layout(files.names, files.where)
        config = translate(files.settings(unet), files.settings(scheduler), files.where)

        def tensors() -> dict[str, Tensor]:
            found = read_tensors(files.path(weights))
            return {f"unet.{_renamed(name)}": value for name, value in found.items()}

        return Checkpoint(config, tensors)


def _renamed(name: str) -> str:
    """Return the name that a tensor has today."""
    old = _OLD.fullmatch(name)
    return f"{old[1]}.{_NEW[old[2]]}.{old[3]}" if old else name


def layout(names: Collection[str], where: str) -> tuple[str, str, str]:
    """Return the paths of the network's settings, the scheduler's and the weights, of `names`."""

    def first(*paths: str) -> str:
        found = next((path for path in paths if path in names), None)
        if found is None:
            wanted = " or ".join(reversed(paths))
            raise ZooError(f"{where} has no {wanted}; expected diffusers' unconditional format")
        return found

    settings = first(f"unet/{SETTINGS}", SETTINGS)
    unet = settings.removesuffix(SETTINGS)
    scheduler = first(f"scheduler/{SCHEDULER}", SCHEDULER)
    weights = {f"{unet}{SAFE}", f"{unet}{TORCH}"}
    others = sorted(n for n in names if _ANY_WEIGHTS.fullmatch(n) and n not in weights)
    if others and not weights & {*names}:
        kind = "in shards" if "-of-" in "".join(others) else "as a variant"
        raise ZooError(
            f"{where} has its weights only {kind}, {others[0]}; one file {SAFE} or {TORCH} is read"
        )
    return settings, scheduler, first(f"{unet}{SAFE}", f"{unet}{TORCH}")


def check_index(index: Mapping[str, Any], where: str) -> None:
    """Raise ZooError unless model_index.json names a U-Net and a scheduler alone."""
    # A part is [library, class]; [null, null] stands for none.
    lists = {k: v for k, v in index.items() if not k.startswith("_") and isinstance(v, list)}
    parts = {k for k, names in lists.items() if any(name is not None for name in names)}
    if latent := sorted(parts & _LATENT):
        raise ZooError(
            f"{where} is a latent model: its network sees what {latent[0]} makes of images, and "
            "fields of images are not to be had from it"
        )
    if text := sorted(parts & _TEXT):
        raise ZooError(f"{where} is a conditional model, it has a {text[0]}; only unconditional do")
    if other := sorted(parts - {"unet", "scheduler"}):
        raise ZooError(f"{where} has a part {other[0]!r}; only a unet and a scheduler are read")


def translate(unet: Mapping[str, Any], scheduler: Mapping[str, Any], where: str) -> Config:
    """Return the config of the Gaussian model: its network under sigma_t = t.

    Raises:
        ZooError: not an unconditional model of images under a schedule that is known.
    """
    _check_unet(unet, where)
    name = scheduler.get("_class_name")
    if name not in _SCHEDULERS:
        raise ZooError(
            f"{where}: the scheduler {name} is unknown; {' and '.join(_SCHEDULERS)} are read"
        )
    try:
        sigmas = levels(scheduler)
        prediction(scheduler)
    except ZooError as error:
        raise ZooError(f"{where}: {SCHEDULER}: {error}") from error
    network = {
        "unet": {k: v for k, v in unet.items() if not k.startswith("_")},
        "scheduler": {k: scheduler[k] for k in _KEPT if scheduler.get(k) is not None},
    }
    return Config(
        format=1,
        data=Data(_shape(unet, where)),
        kernel=Part("gaussian", {"t_min": sigmas[0], "t_max": sigmas[-1]}),
        prior=Part("gaussian"),
        network=Part("diffusers", network),
        solver=SolverPart("heun", steps=_STEPS),
        requires=(NEEDS,),
    )


def _check_unet(unet: Mapping[str, Any], where: str) -> None:
    name = unet.get("_class_name")
    if name != "UNet2DModel":
        kind = "a conditional model" if "Condition" in str(name) else "another kind of model"
        raise ZooError(f"{where} is {kind}, {name}; only unconditional ones, UNet2DModel, are read")
    if unet.get("class_embed_type") is not None or unet.get("num_class_embeds") is not None:
        raise ZooError(f"{where} is conditional on classes; only unconditional models are read")
    channels = unet.get("in_channels", 3), unet.get("out_channels", 3)
    if channels[0] != channels[1]:
        raise ZooError(
            f"{where}: the network takes {channels[0]} channels and returns {channels[1]}; "
            "only those that predict an image are read, not variances too"
        )


def _shape(unet: Mapping[str, Any], where: str) -> tuple[int, ...]:
    size = unet.get("sample_size")
    sides = size if isinstance(size, list) else [size, size]
    shape = (unet.get("in_channels", 3), *sides)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    if len(shape) != 3 or not whole or math.prod(shape) > 2**31:
        raise ZooError(f"{where}: sample_size = {size!r}; expected the side of its images")
    return shape
