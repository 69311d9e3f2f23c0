"""`zoo convert`: a user's file of EDM, PFGM, PFGM++ or score SDE becomes a model folder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from zoo.config.model import Config, Data
from zoo.config.part import Part
from zoo.config.training import TrainingRecord
from zoo.convert.card import converted_card
from zoo.convert.modules import attributes, class_name, state_dict
from zoo.convert.score_sde import averaged, is_checkpoint, renamed
from zoo.convert.songunet import architecture
from zoo.convert.torch_file import read_torch, state_of
from zoo.convert.trained import trained_as
from zoo.convert.unpickler import Inert, read_pickle
from zoo.errors import ZooError
from zoo.folder.card import LICENCE
from zoo.folder.read import describe, reading
from zoo.folder.weights import network_with, read_weights
from zoo.host import build
from zoo.host.build import kernel_of, network_of, prior_of, solver_of
from zoo.host.requirements import requirements
from zoo.models.model import FieldModel

# EDM's settings (arXiv:2206.00364, table 1), PFGM++'s too at t = sigma sqrt D.
_SIGMA_MIN, _SIGMA_MAX = 0.002, 80.0
_STEPS_SMALL, _STEPS_LARGE, _SMALL_SIDE = 18, 40, 32
_REFERENCE_LICENCE = "cc-by-nc-sa-4.0"
_PRECONDITIONED = "EDMPrecond"
_LARGEST_SIDE = 2**14


@dataclass(frozen=True)
class Contents:
    """What a file holds that matters here.

    Attributes:
        state: the network's tensors, without the wrapper's "model.".
        sigma_data: standard deviation of the data that it was trained with.
        degrees: PFGM++'s D, None for EDM.
        licence: of the weights.
        score_sde: it has score SDE's layout, and was trained as there or as PFGM, not as EDM does.
    """

    state: dict[str, Tensor]
    sigma_data: float = 0.5
    degrees: float | None = None
    licence: str = "unknown"
    score_sde: bool = False


def convert(
    file: str | Path,
    out: str | Path,
    *,
    degrees: float | None = None,
    side: int | None = None,
    licence: str | None = None,
) -> Path:
    """Write the weights in `file` as a model folder of the zoo, and return its path.

    The file is a network snapshot of EDM or PFGM++ (.pkl), or the state of such a network alone
    (.pt, .pth, .safetensors), or a checkpoint of score SDE (.pth) with a DDPM++ network of the VP
    SDE or an NCSN++ network of the VE SDE, or of PFGM with a DDPM++ network, which becomes a model
    of gravity. It is read as data: nothing in it is run.

    Args:
        file: the user's own file.
        out: the folder to write.
        degrees: D of PFGM++, where the file does not tell; None for EDM's Gaussian kernel.
        side: of the images in pixels, which checkpoints of score SDE and PFGM do not tell.
        licence: of the weights, where the file does not tell: an identifier of the Hub.

    Raises:
        ZooError: the file asks for more than data, or holds no network of this kind; an argument
            is none.
        PluginError: the plugin of the networks is absent.
    """
    path, folder = Path(file).expanduser(), Path(out).expanduser()
    if not path.is_file():
        raise ZooError(f"there is no file {path}")
    if side is not None and not 1 <= side <= _LARGEST_SIDE:
        raise ZooError(f"side = {side}; expected a number of pixels up to {_LARGEST_SIDE}")
    if licence is not None and not LICENCE.fullmatch(licence):
        raise ZooError(f"licence = {licence!r}; expected one word of the Hub's, such as cc-by-4.0")
    contents = read(path, side)
    network, shape = architecture(contents.state, str(path))
    kernel = _kernel(contents.degrees if degrees is None else degrees)
    prior = Part(kernel.use)
    if contents.score_sde:
        network, kernel, prior = trained_as(network, shape, contents.state, str(path))
    if contents.sigma_data != Contents.sigma_data:
        network = Part(network.use, {**network.options, "sigma_data": contents.sigma_data})
    steps = _STEPS_SMALL if shape[1] <= _SMALL_SIDE else _STEPS_LARGE
    source = describe(path)
    config = Config(
        format=1,
        data=Data(shape, labels=network.options.get("labels", 0)),
        kernel=kernel,
        prior=prior,
        network=network,
        solver=Part("heun", {"steps": steps}),
        training=TrainingRecord(
            other={"converted_from": {"file": path.name, "sha256": source.sha256}}
        ),
    )
    card = converted_card(folder.resolve().name, path.name, config, licence or contents.licence)
    return _model(config, contents.state, card, str(path)).save_pretrained(folder)


def _kernel(degrees: float | None) -> Part:
    if degrees is None:
        return Part("gaussian", {"t_min": _SIGMA_MIN, "t_max": _SIGMA_MAX})
    build.kernel("pfgmpp", dim=1, D=degrees)  # says what is wrong with D
    root = math.sqrt(degrees)
    times = {"t_min": _SIGMA_MIN * root, "t_max": _SIGMA_MAX * root}
    return Part("pfgmpp", {"D": degrees, **times})


def _model(config: Config, state: Mapping[str, Tensor], card: str, where: str) -> FieldModel:
    kernel = kernel_of(config.kernel, config.data.dim)
    tensors = {f"backbone.{name}": tensor for name, tensor in state.items()}
    network = network_with(
        lambda: network_of(config.network, config.data.shape, kernel), tensors, where
    )
    model = FieldModel(
        kernel,
        prior_of(config.prior, kernel),
        network,
        solver_of(config.solver),
        config.data.shape,
        config=config,
        card=card,
    )
    model.config = msgspec.structs.replace(config, requires=requirements(config))
    return model


def read(path: Path, side: int | None = None) -> Contents:
    """Return what a file holds, whatever way it was written.

    Args:
        path: of the file.
        side: of the images, for checkpoints of score SDE and PFGM.

    Raises:
        ZooError: as for `convert`.
    """
    try:
        with reading(path):
            return _contents(path, side)
    except MemoryError as error:
        raise ZooError(f"{path} asks for more memory than there is") from error


def _contents(path: Path, side: int | None) -> Contents:
    with path.open("rb") as file:
        start = file.read(16)
        file.seek(0)
        if path.suffix == ".safetensors":
            return Contents(_unwrapped(read_weights([path])))
        zipped = start.startswith(b"PK\x03\x04")
        found = None if zipped else read_pickle(file, path)
    # torch.save before its format of 2020 begins with a pickle of one number.
    if zipped or isinstance(found, int):
        found = read_torch(path)
        if is_checkpoint(found):
            return _checkpoint(found, path, side)
        return Contents(_unwrapped(state_of(found, path)))
    return _snapshot(found, path)


def _checkpoint(found: Mapping[str, Any], path: Path, side: int | None) -> Contents:
    if side is None:
        raise ZooError(
            f"{path} is of score SDE or PFGM and does not tell its images' side; say --side 32"
        )
    state = averaged(found, str(path))
    return Contents(renamed(state, side, str(path)), score_sde=True)


def _unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's own names, without those of what it was wrapped into."""
    if all(name.startswith("model.") for name in state):
        return {name.removeprefix("model."): tensor for name, tensor in state.items()}
    return dict(state)


def _snapshot(found: Any, path: Path) -> Contents:
    """Return the averaged network of a snapshot, {"ema": network, ...}."""
    if isinstance(found, dict) and found and all(isinstance(v, Tensor) for v in found.values()):
        return Contents(_unwrapped(found))
    network = found.get("ema") if isinstance(found, dict) else found
    state = attributes(network)
    if not isinstance(network, Inert) or state is None:
        keys = f"keys {', '.join(map(str, found))[:100]}" if isinstance(found, dict) else "no dict"
        raise ZooError(f"{path} has no averaged network under 'ema': {keys}")
    name = class_name(network)
    if name != _PRECONDITIONED:
        raise ZooError(
            f"{path} holds a {name or 'network without a name'}; only {_PRECONDITIONED}, the "
            "preconditioning of EDM and PFGM++, is known"
        )
    tensors = _unwrapped(state_dict(network, str(path)))
    sigma_data = _number(state, "sigma_data") or Contents.sigma_data
    return Contents(tensors, sigma_data, _degrees(state), _REFERENCE_LICENCE)


def _number(state: Mapping[str, Any], name: str) -> float | None:
    value = state.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < math.inf else None


def _degrees(state: Mapping[str, Any]) -> float | None:
    """Return PFGM++'s D where the wrapper keeps it, among its attributes or its options."""
    options = state.get("_init_kwargs")
    options = options.items if isinstance(options, Inert) else options
    for place in (state, options if isinstance(options, Mapping) else {}):
        off = [
            k for k, v in place.items() if re.fullmatch(r"pfgm(_?pp|plusplus)?", str(k)) and not v
        ]
        if not off and (degrees := _number(place, "D")) is not None:
            return degrees
    return None
