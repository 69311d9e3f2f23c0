"""What the arguments of sampling have to be."""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor

from zoo.config.model import MAX_STEPS
from zoo.errors import ZooError


def whole(name: str, value: int, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number as an int.

    Raises:
        ZooError: it is none, less than `least`, or more than `most`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise ZooError(f"{name} = {value!r}; expected {wanted}")
    if most is not None and number > most:
        raise ZooError(f"{name} = {value!r}; expected a whole number of at most {most}")
    return number


def step_count(steps: int | None, default: int, least: int = 1) -> int:
    """Return a number of solver steps, `default` for None.

    Raises:
        ZooError: it is not a whole number from `least` to 100,000.
    """
    return whole("steps", default if steps is None else steps, least, MAX_STEPS)


def seed_from(seed: int | None, generator: torch.Generator | None) -> int:
    """Return the seed, or one that the generator draws, or torch's own.

    Raises:
        ZooError: both are given, or the seed is not a whole number.
    """
    if seed is not None and generator is not None:
        raise ZooError("give seed or generator, not both")
    if seed is not None:
        return whole("seed", seed)
    device = generator.device if generator is not None else "cpu"
    return int(torch.randint(2**63 - 1, (), generator=generator, device=device))


def classes_in_turn(classes: int, n: int) -> Tensor | None:
    """Return class numbers 0, 1, ... over and over, (n,); None where there are no classes."""
    return torch.arange(n) % classes if classes else None


def class_numbers(
    labels: int | Tensor | None, classes: int, guidance: float, n: int, before: int, after: int
) -> Tensor | None:
    """Return class numbers of n samples, with `before` and `after` others around; None for none.

    One number is everybody's; of a tensor the others get -1, no class.

    Raises:
        ZooError: labels or guidance are not what a network of so many classes takes.
    """
    if not math.isfinite(guidance):
        raise ZooError(f"guidance = {guidance}; expected a finite number, 1 for none")
    if labels is None:
        if guidance != 1.0:
            raise ZooError(f"guidance = {guidance} needs labels")
        return None
    if not classes:
        raise ZooError("labels given, but the model is not conditioned on classes")
    try:
        label = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ZooError(f"labels = {labels!r}; expected one number or ({n},)") from error
    if label.is_floating_point() or label.ndim > 1 or (label.ndim and len(label) != n):
        raise ZooError(f"labels of shape {tuple(label.shape)}; expected one number or ({n},)")
    if int(label.min()) < -1 or int(label.max()) >= classes:
        raise ZooError(f"labels have to be in 0..{classes - 1}, or -1 for no class")
    padded = torch.full((before + n + after,), -1 if label.ndim else int(label), dtype=torch.long)
    padded[before : before + n] = label
    return padded
