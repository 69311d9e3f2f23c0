"""Weights averaged over any length, after the training: `zoo.ema` and `zoo ema`.

Source: Karras et al., arXiv:2312.02696, section 3 and appendix C.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.config.recipe import Recipe, from_dict
from zoo.config.training import TrainingOutcome
from zoo.errors import ZooError, one_line
from zoo.files import as_path, refuse_special
from zoo.folder.read import CONFIG
from zoo.folder.run import CHECKPOINT, MODEL
from zoo.models.load import load_folder
from zoo.models.model import FieldModel
from zoo.numerics.power_average import LONGEST, SHORTEST, Profile, check_length, combine
from zoo.training import checkpoint
from zoo.training.power_ema import ABOUT, FOLDER, snapshots, told
from zoo.training.restored import check_counts, check_tensors

# Largest relative error of the profile of weights over time; that of the weights is far smaller,
# since a network's weights change little over the time in which the profiles differ.
MOST_ERROR = 0.05
_SCANNED = 100
Read = Callable[[int, str], Tensor]


class Averaged(NamedTuple):
    """A model with weights of another length.

    Attributes:
        model: with the weights, in float32, on the CPU.
        error: relative error of the profile, in [0, 0.05].
        snapshots: how many times of the training the weights are made of.
    """

    model: FieldModel
    error: float
    snapshots: int


def ema(run: str | Path, length: float) -> FieldModel:
    """Return the model of a run with weights averaged over a relative length, at its checkpoint.

        theta(T) = int tau^gamma theta(tau) dtau / int tau^gamma dtau,   0 < tau < T

    `length` is the standard deviation of the weight tau^gamma, over T. The run was trained with
    `train.ema_lengths`; the average is the combination of its snapshots whose profile is nearest.

        zoo.ema("runs/garments", 0.08).save_pretrained("garments-ema-0.08")

    Raises:
        ZooError: no run, model or snapshots are there, they are damaged, or they cannot make this
            length: its profile would be more than 5 % off.
    """
    return average(run, length).model


def average(run: str | Path, length: float) -> Averaged:
    """Return the model that `ema` returns, and how it was made."""
    length = check_length(length)
    folder = as_path(run, "run")
    if not (folder / CHECKPOINT).is_file():
        raise ZooError(f"{folder} is no folder of a training run: it has no {CHECKPOINT}")
    if not (folder / MODEL / CONFIG).is_file():
        raise ZooError(
            f"{folder} has no {MODEL} yet: `zoo train RECIPE -o {folder} --resume --stop` makes it "
            "of the last checkpoint"
        )
    recipe, state = _run_of(folder / CHECKPOINT)
    lengths = recipe.train.ema_lengths
    if lengths is None:
        raise ZooError(
            f"{folder} kept no averages to make others of; train with train.ema_lengths = "
            "[0.05, 0.1]"
        )
    paths = {step: path for step, path in snapshots(folder).items() if step < state["step"]}
    if not paths:
        raise ZooError(
            f"{folder} has no snapshots in {FOLDER}/ but that of its checkpoint, at step "
            f"{state['step']:,}; a length is made of at least two times: train on"
        )
    steps = [*paths, state["step"]]
    known = [Profile(own, step) for step in steps for own in lengths]
    shares, error = _shares(known, length, folder)
    try:
        model = load_folder(folder / MODEL)
        check_tensors("network", state["network"], model.network.state_dict())
        model.network.load_state_dict(state["network"])
        total = {name: torch.zeros(p.shape, dtype=torch.float64) for name, p in _named(model)}
        for number, path in enumerate((*paths.values(), None)):
            own = shares[2 * number : 2 * number + 2]
            if path is None:
                _add(total, own, lambda k, name: state["powers"][k][name])
            else:
                _add_file(total, own, path, steps[number], lengths)
        with torch.no_grad():
            for name, parameter in _named(model):
                parameter.copy_(total[name])
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as problem:
        reason = one_line(problem)[:250]
        raise ZooError(f"{folder}: its checkpoint does not fit {MODEL}: {reason}") from problem
    _record(model, state, recipe, length)
    return Averaged(model, error, len(steps))


def _run_of(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe of a checkpoint and all that it holds; ZooError where it is none."""
    state = checkpoint.read(path)
    check_counts(path, state)
    return from_dict(state["recipe"], str(path)), state


def _named(model: FieldModel) -> list[tuple[str, Tensor]]:
    return [*model.network.named_parameters()]


def _shares(known: list[Profile], length: float, run: Path) -> tuple[list[float], float]:
    """Return the share of each average, and the error of the profile; ZooError if too large."""
    last = known[-1].step
    scanned = np.geomspace(SHORTEST, LONGEST, _SCANNED)
    found, errors = combine(known, [Profile(each, last) for each in (length, *scanned)])
    if errors[0] > MOST_ERROR:
        possible = scanned[errors[1:] <= MOST_ERROR]
        raise ZooError(
            f"length = {length:g} is out of range: the {len(known) // 2} snapshots of {run} make "
            f"lengths from {possible.min():.3g} to {possible.max():.3g}"
        )
    return found[0].tolist(), float(errors[0])


def _add(total: dict[str, Tensor], shares: list[float], read: Read) -> None:
    """Add the parts that two averages of one time have in the weights.

    Raises:
        KeyError, ValueError: a tensor is not there, not finite, or of another shape.
    """
    for name, sum_ in total.items():
        for k, share in enumerate(shares):
            value = read(k, name)
            check_tensors(f"powers.{k}", {name: value}, {name: sum_.float()})
            sum_.add_(value.double(), alpha=share)


def _add_file(
    total: dict[str, Tensor],
    shares: list[float],
    path: Path,
    step: int,
    lengths: tuple[float, ...],
) -> None:
    """Add the parts that a snapshot has in the weights; ZooError where it is not as written."""
    refuse_special(path)
    try:
        with ExitStack() as opened:
            file = opened.enter_context(safe_open(path, framework="pt"))
            if (file.metadata() or {}).get(ABOUT) != told(step, lengths):
                raise ValueError("it is of another run")
            _add(total, shares, lambda k, name: file.get_tensor(f"{k}.{name}"))
    except (OSError, SafetensorError, LookupError, ValueError) as error:
        raise ZooError(
            f"{path} is no snapshot of this run, or damaged: {one_line(error)[:250]}; move it away"
        ) from error


def _record(model: FieldModel, state: dict[str, Any], recipe: Recipe, length: float) -> None:
    """Say in the config what the model is; figures and card of the run's own are left out."""
    assert model.config is not None, "it comes from a folder"
    record = model.config.training
    outcome = msgspec.structs.replace(
        record.outcome or TrainingOutcome(),
        images_seen=state["step"] * recipe.train.batch,
        steps=state["step"],
        validation_loss=None,
        ema_length=length,
    )
    model.config = msgspec.structs.replace(
        model.config, training=record.replace(outcome=outcome, evaluation=())
    )
    model.card = ""
