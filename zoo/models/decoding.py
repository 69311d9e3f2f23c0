"""Images of latents and latents of images, for a model whose decoder makes samples.

In batches of one size on the CPU, where the bits of an image are the same in every batch; elsewhere
in batches that are halved where they do not fit into memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.errors import ZooError, check_flag
from zoo.interfaces import Decoder
from zoo.interfaces.checks import all_finite, check_integer
from zoo.models.parts import ModelParts
from zoo.sampling.modes import evaluating
from zoo.sampling.predict import (
    autocast_predict,
    fixed_batch_size,
    fixed_size_batches,
    in_batches,
    shown_dtype,
)
from zoo.sampling.progress import bar

# Coordinates of images at a time off the CPU: 16 of 3x256x256.
_COORDINATES = 2**21 + 2**20


@evaluating
def decoded(
    model: ModelParts, z: Tensor, batch_size: int | None = None, progress: bool = False
) -> Tensor:
    """Return the images of latents (n, *latent_shape) in the range of the data, on the CPU.

    Args:
        model: with a decoder.
        z: latents.
        batch_size: images at a time, at most; None for as many as fit.
        progress: show a progress bar.

    Raises:
        ZooError: an image is not finite or of another shape; an option out of range.
    """
    decoder = _decoder(model)
    x = _through(decoder.decode, model, z, decoder.shape, batch_size, progress)
    _check_finite(model, x, "images of latents")
    return x if model.range is None else x.clamp_(*model.range)


@evaluating
def encoded(
    model: ModelParts, x: Tensor, batch_size: int | None = None, progress: bool = False
) -> Tensor:
    """Return the latents of images (n, *shape), on the CPU; arguments and errors as `decoded`."""
    decoder = _decoder(model)
    z = _through(decoder.encode, model, x, decoder.latent_shape, batch_size, progress)
    _check_finite(model, z, "latents of images")
    return z


def _decoder(model: ModelParts) -> Decoder:
    assert model.decoder is not None, "the caller asks"
    return model.decoder


def _check_finite(model: ModelParts, x: Tensor, what: str) -> None:
    if not all_finite(x):
        low = "; load it with dtype float32" if model.dtype == torch.float16 else ""
        raise ZooError(f"{_decoder(model).name} made {what} that are not finite{low}")


def _through(
    apply: Callable[[Tensor], Tensor],
    model: ModelParts,
    x: Tensor,
    shape: tuple[int, ...],
    batch_size: int | None,
    progress: bool,
) -> Tensor:
    """Return apply(x), (n, *shape), batch by batch.

    Raises:
        ZooError: it is of another shape; an option out of range.
    """
    dim, dtype = math.prod(model.shape), shown_dtype(model.dtype)
    least = fixed_batch_size(dim) if model.device.type == "cpu" else 1
    asked = None if batch_size is None else check_integer("batch_size", batch_size, 1)
    size = max(1, min(_COORDINATES // dim, asked or _COORDINATES) // least) * least
    predict = autocast_predict(lambda x, _t: apply(x), model.dtype)
    tiled, t = fixed_size_batches(predict, least), torch.zeros((), device=model.device)

    def part(a: int, b: int) -> Tensor:
        found = tiled(x[a:b].to(model.device, dtype), t)
        if found.shape != (b - a, *shape):
            raise ZooError(
                f"{_decoder(model).name} made {tuple(found.shape[1:])} of {tuple(x.shape[1:])}; "
                f"it says that it makes {shape}"
            )
        shown.update(b - a)
        return found.to("cpu", dtype)

    with bar(total=len(x), unit="image", shown=check_flag("progress", progress)) as shown:
        parts = [*in_batches(part, 0, len(x), size, least)]
    return torch.cat(parts) if parts else torch.empty(0, *shape, dtype=dtype)
