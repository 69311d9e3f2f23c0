"""What `zoo.fit` chooses for an array: kernel times, network, noise levels, budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from zoo.config.part import Part
from zoo.config.recipe import ARRAY
from zoo.data import Images
from zoo.errors import ZooError, brief
from zoo.host.build import kernel_of
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.interfaces.grids import LEVEL_CAP
from zoo.training.tail import AUTO, chosen

# EDM's noise levels, ln sigma ~ N(-1.2, 1.2^2), and its largest one.
_MEAN, _STD, _LARGEST_LEVEL = -1.2, 1.2, 80.0
# Given a condition a row may spread much less than the data do, and what tells is decided at levels
# as small: the widest of posteriors and the narrowest differ by factors of tens.
_MEAN_GIVEN, _STD_GIVEN = -2.5, 1.6
# The prior is so many times as wide as the farthest of the data ...
_PRIOR_WIDTH = 10.0
# ... and training sees noise as large as twice that distance, in so many standard deviations.
_SEEN = 2.5
FIGURES = 25
_RARE = 1e-6
# A series of fewer times is a vector to the network.
_SHORTEST = 8
# A series of so many times or more is folded, by factors of two up to 4, to 16 places or more.
_PLACES, _MOST_FOLDED = 16, 4
# Of rows, series and images: how many to train on where neither `images` nor `minutes` says it, how
# many per step, and the learning rate.
_BUDGETS = {1: (1_000_000, 512, 2e-3), 2: (200_000, 32, 1e-3), 3: (200_000, 128, 1e-3)}

# Keys of [train] that are arguments of `zoo.fit`, and those of what is kept in a run's folder.
_ARGUMENTS = {"images", "batch", "lr", "seed"}
_OF_FOLDERS = {"ema_lengths", "samples_every", "tensorboard"}


@dataclass(frozen=True)
class Asked:
    """What the caller of `zoo.fit` asked for; None where it is left to `zoo.fit`.

    Attributes:
        kernel: name, or table of name and options.
        kernel_options: of the kernel.
        network: name, or table of name and options.
        solver: name, or table of name, steps and options.
        batch: samples per step.
        lr: peak learning rate.
        images: samples to train on, repetitions counted.
        train: other keys of a recipe's [train].
        seed: of the run.
        condition: a rule of images, or `ARRAY`; None for none.
    """

    kernel: str | dict[str, Any]
    kernel_options: dict[str, Any]
    network: str | dict[str, Any] | None
    solver: str | dict[str, Any] | None
    batch: int | None
    lr: float | None
    images: int | None
    train: dict[str, Any]
    seed: int
    condition: str | None = None

    @property
    def degrees(self) -> bool:
        """Whether D is to be chosen by the tail of the data."""
        options = self.kernel if isinstance(self.kernel, dict) else {}
        return bool({**options, **self.kernel_options}.get("D") == AUTO)


def check_train(train: Any) -> dict[str, Any]:
    """Return the other keys of a recipe's [train], {} of None.

    Raises:
        ZooError: no table; a key that is an argument of `zoo.fit`, or writes into a run's folder.
    """
    if train is None:
        return {}
    if not isinstance(train, dict):
        raise ZooError(f"train = {brief(train)}; expected a table of keys of a recipe's [train]")
    for name in sorted(_ARGUMENTS & train.keys()):
        raise ZooError(f"train = {{{name!r}: ...}} is an argument: say zoo.fit(..., {name}=...)")
    for name in sorted(_OF_FOLDERS & train.keys()):
        raise ZooError(
            f"train = {{{name!r}: ...}} writes into the folder of a run, and zoo.fit keeps none; "
            "leave it out, or use zoo.train(..., folder=...)"
        )
    return dict(train)


def part_of(kind: str, value: str | dict[str, Any]) -> dict[str, Any]:
    """Return a part as a recipe has it: {"use": name, **options}.

    Raises:
        ZooError: neither a name nor such a table.
    """
    table = {"use": value} if isinstance(value, str) else value
    try:
        return Part.decode(table).encode()
    except ValueError as error:
        raise ZooError(
            f'{kind} = {brief(value)}; expected a name, or {{"use": "name", ...}} with options'
        ) from error


def tables_of(asked: Asked, data: Images, radius: float, standardised: bool) -> dict[str, Any]:
    """Return the recipe's tables for data, |z| / sqrt(d) at most `radius`.

    Raises:
        ZooError: what was asked for names no part, or is refused by it.
    """
    kernel = part_of("kernel", asked.kernel)
    if twice := sorted(kernel.keys() & asked.kernel_options.keys()):
        raise ZooError(f"the kernel's {twice[0]} is given twice; leave one out")
    kernel |= asked.kernel_options
    shape, classes = data.shape, data.classes
    kernel = chosen(Part.decode(kernel), data, standardised=standardised).encode()
    kernel |= _time_of_prior(kernel, math.prod(shape), radius)
    rows = len(shape) == 1
    most, size, rate = _BUDGETS[len(shape)]
    samples = most if asked.images is None else asked.images
    batch = min(size, samples) if asked.batch is None else asked.batch
    lr = rate if asked.lr is None else asked.lr
    given = rows and asked.condition is not None
    mean, std = (_MEAN_GIVEN, _STD_GIVEN) if given else (_MEAN, _STD)
    spread = (math.log(max(2 * radius, 1e-9)) - mean) / _SEEN
    train = {
        "images": samples,
        "batch": batch,
        "lr": lr,
        "lr_min": min(1e-6, lr),
        "warmup": min(20_000, samples // 20),
        "ema_halflife": max(1.0, samples / 40),
        "betas": [0.9, 0.99],
        "level_mean": mean,
        "level_std": round(max(std, spread), 3),
        "seed": asked.seed,
        "log_every": max(1, samples // batch // FIGURES),
        "checkpoint_every": 10**9,
        **asked.train,
    }
    network, solver = asked.network, asked.solver
    if network is None:
        network = _network(kernel, shape, asked.condition is not None)
    network = part_of("network", network)
    if classes:
        network.setdefault("labels", classes)
    return {
        "name": "fit",
        "data": {"use": ARRAY, "standardise": standardised, "condition": asked.condition},
        "kernel": kernel,
        "network": network,
        "solver": part_of("solver", solver_for(kernel, shape) if solver is None else solver),
        "train": train,
    }


def solver_for(kernel: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return Heun's, three steps for each factor of e between the first noise level and the last.

    32 where a level is 0 or infinite.
    """
    built = built_kernel(kernel, math.prod(shape))
    last = _last_level(built)
    factor = last / float(built.level(built.t_min))
    steps = math.ceil(3 * math.log(factor)) if 1 < factor < math.inf else 32
    solver = {"use": "heun", "steps": steps}
    if LEVEL_CAP < last < math.inf:  # for data that reach so far
        solver["grid"] = {"use": "edm", "cap": last}
    return solver


def _network(kernel: dict[str, Any], shape: tuple[int, ...], conditioned: bool) -> dict[str, Any]:
    """Return the network for data of a shape."""
    if len(shape) == 3 and min(shape[1:]) >= 4:
        return {"use": "unet", "width": 32, "multipliers": [1, 2]}
    if len(shape) == 2 and shape[1] >= _SHORTEST:
        patch = min(_MOST_FOLDED, 2 ** int(math.log2(max(1, shape[1] // _PLACES))))
        return {"use": "unet1d", "width": 48, "patch": patch, "multipliers": [1, 2]}
    mlp = {"use": "mlp", "width": 64 if math.prod(shape) <= 20 else 128, "blocks": 3}
    known = len(shape) == 1 and _level_is_known(built_kernel(kernel, math.prod(shape)))
    return {**mlp, "columns": True} if known and not conditioned else mlp


def _level_is_known(kernel: FieldKernel) -> bool:
    """Return whether t says about how much noise a row has: it is hardly ever ten times as much.

    Else only the length of a row tells far data from noise, and no single column.
    """
    if not (kernel.random_level and isinstance(kernel, IsotropicKernel)):
        return not kernel.random_level
    half = torch.tensor([0.5], dtype=torch.float64)
    far = 10 * kernel.radial_icdf(half, kernel.t_max)
    return 1 - float(kernel.radial_cdf(far, kernel.t_max)) < _RARE


def _time_of_prior(kernel: dict[str, Any], dim: int, radius: float) -> dict[str, Any]:
    """Return {"t_max": t} where the kernel's own prior is too narrow for data so far out.

    Nothing where t_max is asked for, or where the kernel's level ends by itself (vp, flow).
    """
    wanted = _PRIOR_WIDTH * radius
    built = built_kernel(kernel, dim)
    if wanted <= _LARGEST_LEVEL or "t_max" in kernel or _last_level(built) >= wanted:
        return {}
    t_max = built.t_max * wanted / _last_level(built)
    try:
        wider = built_kernel({**kernel, "t_max": t_max}, dim)
    except ZooError:
        return {}
    return {"t_max": t_max} if _last_level(wider) > _last_level(built) else {}


def built_kernel(kernel: dict[str, Any], dim: int) -> FieldKernel:
    """Return the kernel of a recipe's table."""
    return kernel_of(Part.decode(kernel), dim)


def _last_level(kernel: FieldKernel) -> float:
    return float(kernel.level(kernel.t_max))
