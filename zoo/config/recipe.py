"""A recipe: what `zoo train` reads. One TOML file names data, parts, budget and schedule.

    name = "gravity-digits"
    [data]
    use = "digits"
    [kernel]
    use = "gravity"
    [network]
    use = "unet"
    width = 32
    [train]
    images = 500_000

Unknown keys are errors; options of a part are checked by the part when it is built.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from zoo.config.decode import check_plain, decode
from zoo.config.model import DEFAULT_STEPS, check_steps
from zoo.config.part import PLAIN_NAME, Part, SolverPart
from zoo.errors import ZooError

SUFFIX = ".toml"
# data.use of what was trained on an array, which no reference names.
ARRAY = "array"

Count = Annotated[int, Meta(ge=1, le=10**12)]
Above0 = Annotated[float, Meta(gt=0)]
AtLeast0 = Annotated[float, Meta(ge=0)]
Beta = Annotated[float, Meta(ge=0, lt=1)]
Length = Annotated[float, Meta(ge=0.02, le=0.25)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=rf"^{PLAIN_NAME}\Z", max_length=100)]
Text = Annotated[str, Meta(min_length=1)]


class DataPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """[data] what to train on.

    Attributes:
        use: reference of the data set, as `zoo.data.load` takes it.
        size: side in pixels to scale and crop images to; absent, as they are.
        flip: mirror each image left to right with probability 1/2.
        augment: probability of each kind of geometric change, which the network is given, so that
            samples do not show it (zoo.data.augment.geometric); 0 for none; takes a network with
            augment = 9, such as ddpmpp.
        standardise: train on (x - mean) / scale, per coordinate of vectors or channel of images,
            such that all have mean 0 and the network's sigma_data; undone in samples.
        condition: what samples are to be drawn given: the name of an array of an npz: file, or a
            rule of the images themselves, "downscale:2" (means of 2x2 pixels). Absent: nothing.
    """

    use: Text
    size: Annotated[int, Meta(ge=1, le=4096)] | None = None
    flip: bool = False
    augment: Probability = 0.0
    standardise: bool = False
    condition: Text | None = None


class TrainPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """[train] the budget, the optimiser and the noise levels. Lengths are in images seen.

    Attributes:
        images: budget; training ends after ceil(images / batch) steps.
        batch: images per step, over all processes.
        accumulate: parts into which each process divides its rows of a batch, one after the other,
            to save memory; the gradient is that of the whole batch.
        parallel: where several processes train together, "ddp" (each has the whole network) or
            "fsdp" (each has a part of every tensor; for networks that do not fit one device).
        start: model whose weights the network starts from: a zoo name, Hub id or folder. Of the
            same network, option for option but for `labels`. Absent: drawn at random.
        optimizer: "adamw"; or "muon" (steps of matrices and convolutions made orthogonal, AdamW for
            the rest; kellerjordan.github.io/posts/muon), whose learning rates mean the same.
        lr: peak learning rate.
        lr_min: learning rate at the start of the warmup and at the end of the cosine, <= lr.
        schedule: after the warmup, "cosine" down to lr_min or "constant".
        warmup: length of the linear warmup, in images, < images; at most a tenth of training.
        weight_decay: decoupled decay of the weights.
        betas: AdamW's two decay rates; muon's momentum is the first.
        clip: largest norm of the gradient.
        ema_halflife: half-life of the weights' exponential moving average, in images.
        ema_lengths: two relative lengths, from 0.02 to 0.25, of power-function averages of the
            weights that are kept beside it, of which `zoo ema` makes the weights of other lengths
            (arXiv:2312.02696); [0.05, 0.1] is usual. Absent: none.
        seed: of the weights, the batches and the noise.
        precision: of the network under autocast, "float32" or "bf16".
        reference_batch: images, `batch` of them the ones trained on, over which each target is
            averaged by posterior weights (stable target field, arXiv:2302.00670); at most the
            whole data set. Absent: each sample is its own target.
        compile: run the loss through torch.compile; needs a C++ compiler, on CUDA triton.
        level_mean: mean of the log noise level (EDM, arXiv:2206.00364, table 1: P_mean).
        level_std: its standard deviation (P_std).
        label_dropout: fraction of labels hidden in training, for guidance; needs a network with
            labels.
        condition_dropout: fraction of conditions hidden in training, for guidance; labels with
            them.
        checkpoint_every: steps between checkpoints.
        log_every: steps between lines of the log.
        validate_every: images between two losses on the test split, averaged weights and fixed
            noise; the best weights go to model-best/. Absent: never.
        samples_every: images between two pictures samples/<step>.png. Absent: never.
        tensorboard: log for TensorBoard too; needs the extra `train-tensorboard`.
    """

    images: Count = 1_500_000
    batch: Annotated[int, Meta(ge=1, le=2**20)] = 128
    accumulate: Annotated[int, Meta(ge=1, le=2**20)] = 1
    parallel: Literal["ddp", "fsdp"] = "ddp"
    start: Text | None = None
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: Above0 = 1e-3
    lr_min: AtLeast0 = 1e-6
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Annotated[int, Meta(ge=0)] = 20_000
    weight_decay: AtLeast0 = 0.0
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    clip: Above0 = 1.0
    ema_halflife: Above0 = 50_000.0
    ema_lengths: tuple[Length, Length] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    precision: Literal["float32", "bf16"] = "float32"
    reference_batch: Annotated[int, Meta(ge=1, le=2**31)] | None = None
    compile: bool = False
    level_mean: Annotated[float, Meta(ge=-20, le=20)] = -1.2
    level_std: Above0 = 1.2
    label_dropout: Probability = 0.1
    condition_dropout: Probability = 0.1
    checkpoint_every: Count = 500
    log_every: Count = 100
    validate_every: Count | None = None
    samples_every: Count | None = None
    tensorboard: bool = False


class CardPlan(Struct, frozen=True, forbid_unknown_fields=True):
    """[card] facts for the model card that the recipe does not hold already.

    Attributes:
        summary: one or two sentences on the model.
        datasets: Hub ids of the data set, for the card's front matter.
        tags: further tags.
    """

    summary: str = ""
    datasets: tuple[Text, ...] = ()
    tags: tuple[Text, ...] = ()


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole recipe.

    `license` is the SPDX id (lower case) under which the weights go out; None where nobody chose.
    """

    name: Name
    data: DataPlan
    kernel: Part
    prior: Part
    network: Part
    solver: SolverPart = field(default_factory=lambda: SolverPart("heun", steps=DEFAULT_STEPS))
    train: TrainPlan = TrainPlan()
    card: CardPlan = CardPlan()
    license: Name | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe, defaults filled in, as what JSON holds; `from_dict` reads it.

        `train.ema_lengths` stands there only where it is given: versions before it read the rest.
        """
        raw = msgspec.json.encode(self, enc_hook=lambda part: part.encode())
        found = msgspec.json.decode(raw, type=dict[str, Any])
        if self.train.ema_lengths is None:
            del found["train"]["ema_lengths"]
        return found


def from_dict(raw: dict[str, Any], where: str) -> Recipe:
    """Return the recipe in `raw`; `where` names it in errors. The prior is the kernel's if absent.

    Raises:
        ZooError: an unknown or missing key, a wrong type, an impossible value.
    """
    check_plain(raw, where)
    kernel = raw.get("kernel")
    if isinstance(kernel, dict) and isinstance(kernel.get("use"), str):
        raw = {"prior": {"use": kernel["use"]}, **raw}
    recipe = decode(raw, Recipe, where)
    check_steps(recipe.solver, where)
    plan = recipe.train
    if plan.lr_min > plan.lr:
        raise ZooError(f"{where}: train.lr_min = {plan.lr_min} is above train.lr = {plan.lr}")
    if plan.ema_lengths is not None and plan.ema_lengths[0] >= plan.ema_lengths[1]:
        raise ZooError(
            f"{where}: train.ema_lengths = {[*plan.ema_lengths]}; expected the shorter one first, "
            "as in [0.05, 0.1]"
        )
    if plan.warmup >= plan.images:
        raise ZooError(
            f"{where}: train.warmup = {plan.warmup} leaves nothing of train.images = {plan.images}"
        )
    return recipe


# Of [train]: when to look at a run and to save it, which changes no number of it.
_HABITS = ("checkpoint_every", "log_every", "validate_every", "samples_every", "tensorboard")


def with_habits_of(recipe: Recipe, other: Recipe) -> Recipe:
    """Return `recipe` with what changes no number of a run taken from `other`."""
    train = replace(recipe.train, **{key: getattr(other.train, key) for key in _HABITS})
    return replace(recipe, train=train, card=other.card, license=other.license)


def differences(before: Recipe, after: Recipe) -> str:
    """Return which keys two recipes differ in, at most three: "train.lr was 0.1, is 0.2"."""
    old, new = (dict(_flat(recipe.to_dict(), "")) for recipe in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    changes = [f"{key} was {_shown(old.get(key))}, is {_shown(new.get(key))}" for key in keys[:3]]
    return "; ".join(changes) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield ("table.key", value) for all that the tables in `value` hold."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _flat(inner, f"{path}.{key}" if path else key)


def bundled_recipes() -> list[str]:
    """Return the names of the recipes that come with the zoo."""
    found = (files("zoo") / "recipes").iterdir()
    return sorted(f.name.removesuffix(SUFFIX) for f in found if f.name.endswith(SUFFIX))


@cache
def bundled_recipe(name: str) -> Recipe | None:
    """Return the recipe of that name that comes with the zoo, None if there is none."""
    if name not in bundled_recipes():
        return None
    text = (files("zoo") / "recipes" / f"{name}{SUFFIX}").read_text(encoding="utf-8")
    return from_dict(tomllib.loads(text), f"recipe {name}")
