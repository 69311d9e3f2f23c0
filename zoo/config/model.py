"""config.json of a model folder: data only, no import paths, unknown keys are errors."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from zoo.config.columns import MOST_COLUMNS, Column, check_columns
from zoo.config.condition import Condition, check_condition
from zoo.config.decode import decode
from zoo.config.distilled import SOLVER, Distilled
from zoo.config.latent import Latent
from zoo.config.part import NAME, Part, SolverPart
from zoo.config.standardise import Standardise
from zoo.config.training import TrainingRecord
from zoo.errors import ZooError, brief, one_line

# owner/name@revision, of a repository on the Hub.
_HUB_ID = re.compile(r"^(hub:)?[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-]+)?\Z", re.ASCII)
MAX_CONFIG_BYTES = 1_000_000
MAX_STEPS = 100_000
# Of one sample: an image of 4,700 x 4,700 pixels in colour.
MAX_COORDINATES = 2**26
# Of a model that does not name its own number of solver steps.
DEFAULT_STEPS = 18

# Of printable characters: control characters have no business on a terminal or in a card.
ClassName = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z", max_length=200)]
Positive = Annotated[int, Meta(ge=1, le=2**31)]


class Data(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the model generates: shape (C, H, W) or (d,), range, number and names of classes.

    `standardise` is the map to the coordinates that the parts work with; None for data units.
    `columns` are those of the table that the model was fitted on, `frame` the table's library.
    `condition` is what each sample is drawn given, None for nothing.
    `latent` is what the parts work with where samples are decoded, None where they are not.
    """

    shape: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=4)]
    range: tuple[float, float] | None = (-1.0, 1.0)
    labels: Annotated[int, Meta(ge=0, le=2**31)] = 0
    name: str = ""
    classes: Annotated[tuple[ClassName, ...], Meta(max_length=100_000)] = ()
    standardise: Standardise | None = None
    columns: Annotated[tuple[Column, ...], Meta(max_length=MOST_COLUMNS)] = ()
    frame: Literal["pandas", "polars"] = "pandas"
    condition: Condition | None = None
    latent: Latent | None = None

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape of what kernel, prior, network and solver see: that of latents, else `shape`."""
        return self.shape if self.latent is None else self.latent.shape

    @property
    def dim(self) -> int:
        """Number of coordinates d of what the kernel sees."""
        return math.prod(self.state_shape)

    def of_latents(self) -> Data:
        """Return what the model generates before it is decoded."""
        if self.latent is None:
            return self
        return msgspec.structs.replace(self, shape=self.latent.shape, range=None, latent=None)

    @property
    def unit(self) -> str:
        """What samples are called, "images", "series", "points" or "rows"; see `unit_of`."""
        return unit_of(self.shape)


def unit_of(shape: tuple[int, ...]) -> str:
    """Return what samples of a shape are called: images, series; points, up to 3 numbers; rows."""
    if len(shape) in (2, 3):
        return "images" if len(shape) == 3 else "series"
    return "points" if math.prod(shape) <= 3 else "rows"


class WeightFile(Struct, frozen=True, forbid_unknown_fields=True):
    """Size in bytes and sha256 of one weight file."""

    size: Annotated[int, Meta(ge=0, le=2**50)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


FileName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.safetensors\Z", max_length=200)
]


class Weights(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The weight files, in the folder itself or in the Hub repository that it points at."""

    files: dict[FileName, WeightFile] = field(default_factory=dict)
    repo: str | None = None
    revision: str | None = None


class DefaultGuidance(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the model samples unless it is told otherwise: guided by another model.

    `guide` is the name of a model or a Hub id owner/name[@revision], no path: those of one machine
    mean nothing on another. `interval` are noise levels.
    """

    guide: Annotated[str, Meta(max_length=300)]
    weight: float
    interval: tuple[float, float] | None = None


Requires = Annotated[str, Meta(max_length=200)]


class Config(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole config.json.

    `lifted_from` is the kernel that the network was trained under, where it is not `kernel`.
    `guidance` is that of default sampling, None for none. `distilled` marks a few-step student.
    """

    format: Literal[1]
    data: Data
    kernel: Part
    prior: Part
    network: Part
    solver: SolverPart
    weights: Weights = Weights()
    requires: Annotated[tuple[Requires, ...], Meta(max_length=64)] = ()
    training: TrainingRecord = field(default_factory=TrainingRecord)
    lifted_from: Part | None = None
    guidance: DefaultGuidance | None = None
    distilled: Distilled | None = None

    def __post_init__(self) -> None:
        """Take a solver that is written as any other part."""
        if not isinstance(self.solver, SolverPart):
            force_setattr(self, "solver", SolverPart.of(self.solver))

    @property
    def steps(self) -> int:
        """Number of solver steps, as `FieldModel.sample` counts them."""
        return DEFAULT_STEPS if self.solver.steps is None else self.solver.steps


def _encode_hook(value: Any) -> Any:
    if isinstance(value, Part | TrainingRecord):
        return value.encode()
    raise TypeError(f"cannot encode {type(value).__name__}")


def parse_config(raw: bytes, where: str) -> Config:
    """Return the Config written as JSON in `raw`; `where` names it in errors.

    Raises:
        ZooError: too large, not JSON, an unknown key, a wrong type or an impossible value.
    """
    if len(raw) > MAX_CONFIG_BYTES:
        raise ZooError(f"{where}: {len(raw)} bytes; a config.json has at most {MAX_CONFIG_BYTES}")
    try:
        table = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ZooError(f"{where}: not a JSON file: {one_line(error)}") from error
    config = decode(table, Config, where)
    if max(config.data.dim, math.prod(config.data.shape)) > MAX_COORDINATES:
        raise ZooError(f"{where}: data.shape = {list(config.data.shape)} is impossibly large")
    check_steps(config.solver, where)
    if config.data.classes and len(config.data.classes) != config.data.labels:
        raise ZooError(
            f"{where}: data.classes has {len(config.data.classes)} names for data.labels = "
            f"{config.data.labels}"
        )
    if twice := [name for name, n in Counter(config.data.classes).items() if n > 1]:
        raise ZooError(f"{where}: data.classes names {brief(twice[0])} twice")
    if config.data.range is not None and not config.data.range[0] < config.data.range[1]:
        raise ZooError(f"{where}: data.range = {list(config.data.range)} is not [low, high]")
    if config.data.standardise and not config.data.standardise.fits(config.data.shape):
        raise ZooError(
            f"{where}: data.standardise has {len(config.data.standardise.mean)} numbers; expected "
            f"{config.data.shape[0]}, one per coordinate of vectors or channel of images"
        )
    if config.data.latent and (config.data.standardise or len(config.data.shape) != 3):
        raise ZooError(f"{where}: data.latent goes with images (C, H, W) that are not standardised")
    if config.data.columns and config.data.shape != (len(config.data.columns),):
        raise ZooError(
            f"{where}: data.columns names {len(config.data.columns)} columns of data of shape "
            f"{list(config.data.shape)}"
        )
    check_columns(config.data.columns, where)
    if config.data.condition is not None:
        check_condition(config.data.condition, where)
    if config.guidance is not None:
        _check_guidance(config.guidance, where)
    if config.distilled is not None:
        _check_distilled(config, config.distilled, where)
    return config


def _check_distilled(config: Config, mark: Distilled, where: str) -> None:
    if mark.evaluations != config.steps:
        raise ZooError(
            f"{where}: distilled.evaluations = {mark.evaluations}, but solver.steps = "
            f"{config.steps}; a student takes the steps that it learned"
        )
    if config.solver.use != SOLVER:
        raise ZooError(
            f"{where}: solver is {config.solver.use}; a student (distilled) takes the steps that "
            f"it learned, and its solver is {SOLVER}"
        )
    if config.lifted_from is not None or config.guidance is not None:
        raise ZooError(f"{where}: a student (distilled) is neither lifted nor guided")


def _check_guidance(guidance: DefaultGuidance, where: str) -> None:
    if not (NAME.match(guidance.guide) or _HUB_ID.match(guidance.guide)):
        raise ZooError(
            f"{where}: guidance.guide = {brief(guidance.guide)}; expected the name of a model or a "
            "Hub id owner/name[@revision], no path: this folder may be read anywhere"
        )
    if not math.isfinite(guidance.weight):
        raise ZooError(f"{where}: guidance.weight = {guidance.weight}; expected a finite number")
    if guidance.interval is not None and not 0 <= guidance.interval[0] < guidance.interval[1]:
        raise ZooError(
            f"{where}: guidance.interval = {[*guidance.interval]}; expected 0 <= low < high"
        )


def check_steps(solver: SolverPart, where: str) -> None:
    """Raise ZooError unless the number of steps, if one is written, is 1 to MAX_STEPS."""
    steps = solver.encode().get("steps", 1)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MAX_STEPS:
        raise ZooError(f"{where}: solver.steps = {steps!r}; expected 1 to {MAX_STEPS}")


def dump_config(config: Config) -> bytes:
    """Return config.json's text for `config`."""
    table = msgspec.to_builtins(config, enc_hook=_encode_hook)
    if not table["training"]:
        del table["training"]
    return msgspec.json.format(msgspec.json.encode(table), indent=2) + b"\n"
