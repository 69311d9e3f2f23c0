"""The networks that are read, UNet2DModel and DiTTransformer2DModel: what their settings say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo import ZooError
from zoo.interfaces import check_integer

UNET, DIT = "UNet2DModel", "DiTTransformer2DModel"
READS = (
    "unconditional and class-conditional models of images are read: UNet2DModel, DiT, and both in "
    "the latents of an AutoencoderKL or VQModel"
)
_MOST_CLASSES = 10**6
_MOST_BLOCKS = 30


def kind_of(settings: Mapping[str, Any], where: str) -> str:
    """Return the class of a network that makes images.

    Raises:
        ZooError: it is another one, or one that predicts variances too, which only a DiT's are
            known to be in its last channels.
    """
    name = settings.get("_class_name")
    if name == "Transformer2DModel" and settings.get("norm_type") == "ada_norm_zero":
        name = DIT  # as diffusers called it until 2024
    if not isinstance(name, str) or name not in (UNET, DIT):
        kind = "a conditional model" if "Condition" in str(name) else "another kind of model"
        raise ZooError(f"{where} is {kind}, {name!s:.60}; {READS}")
    taken, given = channels(name, settings)
    twice = name == DIT and isinstance(taken, int) and given == 2 * taken
    if given != taken and not twice:
        raise ZooError(
            f"{where}: the network takes {taken!r:.30} channels and returns {given!r:.30}; only "
            "those that predict an image are read, and of a DiT variances too"
        )
    return name


def channels(name: str, settings: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return how many channels a network takes and returns."""
    taken = settings.get("in_channels", 3 if name == UNET else 4)
    given = settings.get("out_channels", 3 if name == UNET else None)
    return taken, taken if given is None and name == DIT else given


def shape_of(name: str, settings: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """Return the shape (C, H, W) that a network was trained on.

    Raises:
        ZooError: the settings do not say, or it cannot be cut into the patches of a DiT, or halved
            as often as a UNet2DModel does.
    """
    size = settings.get("sample_size", None if name == UNET else 32)
    sides = size if isinstance(size, list) and name == UNET else [size, size]
    shape = (channels(name, settings)[0], *sides)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    if len(shape) != 3 or not whole or math.prod(shape) > 2**31:
        raise ZooError(f"{where}: sample_size = {size!r:.60}; expected the side of its images")
    if name == UNET:
        check_sides(settings, shape, where)
    else:
        patch = check_integer("patch_size", settings.get("patch_size", 2), 1, shape[1])
        if shape[1] % patch:
            raise ZooError(f"{where}: sample_size = {size} is no multiple of patch_size = {patch}")
    return shape


def check_sides(settings: Mapping[str, Any], shape: tuple[int, ...], where: str) -> None:
    """Raise ZooError unless every block of a UNet2DModel but the last can halve the sides."""
    blocks = settings.get("block_out_channels", [224, 448, 672, 896])
    if not isinstance(blocks, list | tuple) or not 1 <= len(blocks) <= _MOST_BLOCKS:
        raise ZooError(f"{where}: block_out_channels = {blocks!r:.60}; expected a list of numbers")
    factor = 2 ** (len(blocks) - 1)
    if any(side % factor for side in shape[1:]):
        raise ZooError(
            f"{where}: images of {shape[1]}x{shape[2]}; the UNet2DModel of {len(blocks)} blocks "
            f"takes sides that are multiples of {factor}"
        )


def class_count(name: str, settings: Mapping[str, Any], null_class: bool) -> int:
    """Return the number of classes that images have, 0 where the network is not given any.

    A DiT has one more beside its num_embeds_ada_norm classes, for "no class".

    Raises:
        ZooError: the network is given something else than a class, or too few of them.
    """
    if name == DIT:
        count = settings.get("num_embeds_ada_norm", 1000)
        return check_integer("num_embeds_ada_norm", count, 1, _MOST_CLASSES)
    count, kind = settings.get("num_class_embeds"), settings.get("class_embed_type")
    if kind is not None:
        raise ZooError(
            f"the network is conditional on classes by class_embed_type = {kind!r:.60}; "
            "num_class_embeds alone is read"
        )
    if count is None:
        if null_class:
            raise ZooError("null_class: the network has no classes")
        return 0
    least = 2 if null_class else 1
    return check_integer("num_class_embeds", count, least, _MOST_CLASSES) - bool(null_class)
