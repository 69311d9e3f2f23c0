"""The results of `zoo eval`, as one JSON file."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import msgspec
import numpy
import torch
from msgspec import Struct, field

import zoo
from zoo.errors import ZooError
from zoo.evaluation.intervals import Estimate
from zoo.files import replacing

JACKKNIFE = "delete-a-group jackknife over the samples of one seed, 10 groups"
OVER_SEEDS = "Student's t over seeds"


class Setting(Struct, frozen=True, omit_defaults=True):
    """How samples are drawn.

    Attributes:
        solver: name of the solver.
        steps: number of steps, the last one to t = 0 included.
        nfe: evaluations of the network per sample.
        noise: noise added after each step, relative to sigma (zoo.evaluation.perturb).
        bits: bits of the quantised weights; None if they are not quantised.
    """

    solver: str
    steps: int
    nfe: int
    noise: float = 0.0
    bits: int | None = None

    @property
    def plain(self) -> bool:
        """Whether there is neither noise nor quantisation."""
        return not self.noise and self.bits is None


class Outcome(Struct, frozen=True):
    """The figures under one setting; the seconds that drawing and measuring took."""

    setting: Setting
    metrics: dict[str, Estimate]
    seconds: float


class Report(Struct, frozen=True):
    """A whole results file.

    Attributes:
        model: name or reference of the model.
        weights: sha256 by file.
        data: reference, name, split and number of images of the data.
        features: name and title of the features.
        samples: number of samples per seed.
        seeds: one set of samples is drawn for each.
        intervals: method of the 95 % intervals.
        outcomes: one per setting.
        model_metrics: figures of the model itself: bits per dimension; in older files class
            accuracy too, under the first setting.
        training_images: figures of as many training images.
        held_out: figures of the held-out data itself.
        kernel: the kernel that samples are drawn under; "" if it has no name, or in older files.
        classes: number of classes, with the same number of samples each; 0 if there are none.
        training_seed: train.seed of the model's recipe; None where it has none, or in older files.
        machine: system, processor, cores, threads and device.
        versions: versions of Python and of the packages.
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
    training_seed: int | None = None
    machine: dict[str, str | int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def machine(device: str) -> dict[str, str | int]:
    """Return the machine that the figures are computed on."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": device,
    }


def versions() -> dict[str, str]:
    """Return the versions that the figures depend on."""
    return {
        "python": platform.python_version(),
        "fieldzoo": zoo.__version__,
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
    }


def write(results: Struct, path: Path) -> None:
    """Write results as JSON, whole or not at all; ZooError where they cannot be written."""
    with replacing(path) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def read(path: Path) -> Report:
    """Return the report in a file; ZooError where there is none, or one of another format."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} is not a results file of zoo eval: {error}") from error
