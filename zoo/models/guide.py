"""Autoguidance: a model led away from the errors of another one on the same data.

    D = D_guide + w (D - D_guide)

The guide may be of another kernel: its denoiser is asked at the time of its own kernel with the
noise level of the sample, as a lift does (zoo.networks.lifted).
Source: Karras et al. 2024, arXiv:2406.02507; of the interval: Kynkaanniemi et al. 2024,
arXiv:2404.07724.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError, brief
from zoo.interfaces import Decoder, FieldKernel, Network
from zoo.interfaces.flow import Predict
from zoo.models.parts import ModelParts
from zoo.networks.levels import LevelTable
from zoo.networks.lifted import LiftedNetwork
from zoo.sampling.guidance import Guidance, check_interval, check_weight
from zoo.sampling.modes import evaluation_mode
from zoo.sampling.predict import autocast_predict, shown_dtype, unwrapped


def guidance_of(
    model: ModelParts,
    weight: float | None,
    guide: Any,
    interval: Any,
    guides: dict[Any, Any],
    *,
    by_default: bool = False,
) -> Guidance:
    """Return what `FieldModel.sample` is asked for, checked.

    Args:
        model: to guide.
        weight: None where none is given.
        guide: a model, a reference to one, or None.
        interval: two noise levels, or None.
        guides: by reference, device and dtype, those that were loaded before; added to.
        by_default: the interval is the model's own: its levels may all lie outside the kernel's,
            where the model was lifted.

    Raises:
        ZooError: a guide of other data, one without a weight; a weight or interval that is none.
    """
    if isinstance(guide, str | Path):
        ref = str(guide)
        key = ref, str(model.device), model.dtype
        if key not in guides:
            if model.load_guide is None:
                told = f"give guide=zoo.load({brief(ref)})"
                raise ZooError(f"guide = {brief(ref)} is not loaded: {told}")
            guides[key] = model.load_guide(guide, device=model.device, dtype=model.dtype)
        guide = guides[key]
    if guide is not None:
        check_guide(model, guide)
        if weight is None:
            raise ZooError("guide does nothing without guidance: give guidance=, such as 2")
    weight = check_weight(1.0 if weight is None else weight)
    if interval is not None:
        if guide is None and weight == 1.0:
            raise ZooError("guidance_interval does nothing without guidance: give guidance=")
        interval = check_interval(interval, None if by_default else model.kernel)
    return Guidance(weight, None if weight == 1.0 else guide, interval)


def check_guide(model: ModelParts, guide: object) -> None:
    """Raise ZooError unless `guide` is a model of the data that `model` is of."""
    if not isinstance(guide, ModelParts):
        raise ZooError(f"guide is {brief(guide)}; expected a FieldModel, or a reference to one")
    guide.needs_field("be a guide")
    if guide._around is not None:
        raise ZooError("a posterior guides nothing: let the model that was asked be the guide")
    decoders = [unwrapped(each.network).latent_decoder for each in (guide, model)]
    guide, model = guide.latents, model.latents
    classes, own = unwrapped(guide.network).labels, unwrapped(model.network).labels
    said = {
        "samples of shape": (guide.shape, model.shape),
        "data in the range": (guide.range, model.range),
        "its network on": (guide.device, model.device),
    }
    for what, (its, wanted) in said.items():
        if its != wanted:
            raise ZooError(f"the guide has {what} {its}, the model {wanted}")
    if not _same_decoder(*decoders):
        raise ZooError("the guide's latents are those of another autoencoder than the model's")
    if guide.standardise != model.standardise:
        raise ZooError("the guide standardises its data in another way than the model")
    if classes and (classes, guide.classes) != (own, model.classes):
        names = guide.classes != model.classes and classes == own
        raise ZooError(f"the guide has {classes} classes, the model {'others' if names else own}")
    if guide.condition not in (None, model.condition):
        raise ZooError(
            f"the guide is given {brief(guide.condition)}, the model {brief(model.condition)}"
        )
    around: Any = model._around
    if around is not None and getattr(around.method, "reweighs", False):
        raise ZooError("this posterior weighs the data itself, and asks no denoiser: no guidance")


def _same_decoder(a: Decoder | None, b: Decoder | None) -> bool:
    """Return whether latents of two decoders mean the same, up to the rounding of their dtypes.

    Of a network without one it is not known, and taken to be so.
    """
    if a is None or b is None or a is b:
        return True
    if _facts(a) != _facts(b):
        return False
    state, other = a.state_dict(), b.state_dict()
    return state.keys() == other.keys() and all(_close(state[name], other[name]) for name in state)


def _facts(decoder: Decoder) -> dict[str, Any]:
    """Return shapes and numbers of a decoder that are not in its state, such as its scale."""
    known = {k: v for k, v in vars(decoder).items() if isinstance(v, str | int | float)}
    shapes = {"shape": decoder.shape, "latent_shape": decoder.latent_shape}
    return {**known, **shapes, "training": None, "type": type(decoder)}


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    if not (a.is_floating_point() and b.is_floating_point()):
        return bool((a == b).all())
    eps = max(torch.finfo(each.dtype).eps for each in (a, b))
    return torch.allclose(a.to(b.dtype), b, rtol=eps, atol=eps)


def guide_under(how: Guidance, model: ModelParts, network: nn.Module) -> tuple[Predict, int]:
    """Return the guide in the place of `network`, one of the model's, and its least tile.

    As a function of (x, t, labels, condition), or of the level in the place of t, of the denoiser
    or the field, as `network` is.

    Raises:
        ZooError: the kernels differ, and one of them is neither isotropic nor Gaussian.
    """
    guide, own = how.guide, unwrapped(network)
    if own not in how.asked:  # a table of levels takes a second to fit: once for all batches
        how.asked[own] = _asked(guide, model, own)
    asked = how.asked[own]
    inner, kernel = unwrapped(asked), model.kernel
    dtype = shown_dtype(guide.dtype)
    predict = autocast_predict(asked, guide.dtype)

    def ask(
        x: Tensor, t: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> Tensor:
        given = () if inner.condition is None else (_as(condition, dtype),)
        labels = labels if inner.labels else None
        with evaluation_mode(guide):
            out = predict(x.to(dtype), t.to(dtype), labels, *given).to(x.dtype)
        if inner.predicts == own.predicts:
            return out
        if own.predicts == "denoised":
            return kernel.denoised(out, x, t.double())
        return kernel.velocity(x, out, t.double())

    return ask, inner.tile


def _as(condition: Tensor | None, dtype: Any) -> Tensor | None:
    return None if condition is None else condition.to(dtype)


def _asked(guide: ModelParts, model: ModelParts, own: Network) -> nn.Module:
    """Return the guide's network, as it is or lifted to where the model's own is asked."""
    if not own.by_level and _same(guide.kernel, model.kernel):
        return guide.network
    try:
        denoiser = guide._level_denoiser()
        if own.by_level:
            return denoiser
        lifted = LiftedNetwork(denoiser, model.kernel, model.state_shape).to(guide.device)
    except ZooError as error:
        raise ZooError(
            f"a guide of {type(guide.kernel).__name__} knows no noise level to ask it at under "
            f"{type(model.kernel).__name__} ({error})"
        ) from error
    table = getattr(own, "table", None)
    if lifted.table is not None and isinstance(table, LevelTable):
        lifted.table = table  # fitted to the data
    return lifted


def _same(a: FieldKernel, b: FieldKernel) -> bool:
    """Return whether two kernels have one law at one time, and the same times."""
    ends = (a.t_min, a.t_max) == (b.t_min, b.t_max)
    return a is b or (ends and a.part is not None and a.part == b.part and a.dim == b.dim)
