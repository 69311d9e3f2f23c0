"""What `zoo eval` found, as one JSON file."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

import zoo
from zoo.errors import ZooError
from zoo.evaluation.intervals import Estimate
from zoo.files import replacing

HOW_ONE = "delete-a-group jackknife over the samples of one seed, 10 groups"
HOW_SEEDS = "Student's t over seeds"


class Setting(Struct, frozen=True, omit_defaults=True):
    """How samples are drawn.

    Attributes:
        solver: its name.
        steps: of the solver, the last one to t = 0 included.
        nfe: evaluations of the network per sample.
        noise: injected after each step, relative to the level (zoo.evaluation.perturb).
        bits: of the weights, None as they are.
    """

    solver: str
    steps: int
    nfe: int
    noise: float = 0.0
    bits: int | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing is disturbed."""
        return not self.noise and self.bits is None


class Outcome(Struct, frozen=True):
    """The figures under one setting; seconds to draw and measure them."""

    setting: Setting
    metrics: dict[str, Estimate]
    seconds: float


class Report(Struct, frozen=True):
    """A whole results file.

    Attributes:
        model: its name or reference.
        weights: sha256 by file.
        data: reference, name, split and number of images of what samples are compared with.
        features: name and title of what images are compared by.
        samples: number of samples per seed.
        seeds: one set of samples each.
        intervals: how the 95 % intervals come about.
        outcomes: one per setting.
        model_metrics: figures that are not of a set of samples: bits per dimension, class accuracy.
        training_images: what as many training images score.
        held_out: what the held-out data itself scores.
        kernel: that samples are drawn under; "" where it has no name, or in older files.
        classes: of which as many samples each are drawn; 0 where the model has none.
    """

    format: Literal[1]
    model: str
    weights: dict[str, str]
    data: dict[str, str | int]
    features: dict[str, str]
    samples: int
    seeds: tuple[int, ...]
    intervals: str
    outcomes: tuple[Outcome, ...]
    model_metrics: dict[str, Estimate] = field(default_factory=dict)
    training_images: dict[str, float] = field(default_factory=dict)
    held_out: dict[str, float] = field(default_factory=dict)
    kernel: str = ""
    classes: int = 0
    machine: dict[str, str | int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def machine(device: str) -> dict[str, str | int]:
    """Return what the figures were computed on."""
    import torch

    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": device,
    }


def versions() -> dict[str, str]:
    """Return the versions that the figures depend on."""
    import numpy
    import torch

    return {
        "python": platform.python_version(),
        "fieldzoo": zoo.__version__,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
    }


def plain(report: Report) -> Any:
    """Return the report as dicts, lists, numbers and text."""
    return msgspec.to_builtins(report)


def write(report: Report, path: Path) -> None:
    """Write the report as JSON, whole or not at all.

    Raises:
        ZooError: the file cannot be written.
    """
    with replacing(path) as beside:
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read(path: Path) -> Report:
    """Return the report in a file.

    Raises:
        ZooError: there is none, or it is of another form.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} is not a results file of zoo eval: {error}") from error
