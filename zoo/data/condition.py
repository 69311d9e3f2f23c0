"""What each sample of a data set is given: an array beside it, or a rule of the image itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from zoo.config.condition import Condition
from zoo.config.standardise import MOST, Standardise
from zoo.data.finite import as_rows, check_finite
from zoo.data.spread import centre_and_spread
from zoo.errors import ZooError, did_you_mean, shown

# So many conditions tell their means and deviations, fewer where they or their images are large.
_LOOKED_AT, _LEAST = 20_000, 64
_NUMBERS = 2**25


@dataclass(frozen=True)
class Conditions:
    """The conditions of a data set.

    Attributes:
        known: their shape, source, standardisation and names.
        values: (N, *shape), float32, or float64 where that would round; None where a rule makes
            them of images.
    """

    known: Condition
    values: Tensor | None = None

    def raw(self, x: Tensor, indices: Tensor) -> Tensor:
        """Return the conditions of the images x (B, C, H, W) in [-1, 1], numbered `indices`.

        (B, *shape), on the device of x.
        """
        if self.values is None:
            return _rule(self.known.source)(x)
        return self.values[indices].to(x.device)

    def of(self, x: Tensor, indices: Tensor) -> Tensor:
        """Return them as the network sees them: standardised, float32."""
        found, known = self.raw(x, indices), self.known.standardise
        return (found if known is None else known.apply(found)).float()

    def rows(self, chosen: Tensor) -> Conditions:
        """Return the conditions of the samples that are chosen, by numbers or by a mask."""
        return self if self.values is None else replace(self, values=self.values[chosen])

    def repeated(self, times: int) -> Conditions:
        """Return the conditions of samples each of which is there so many times."""
        if self.values is None:
            return self
        return replace(self, values=self.values.repeat(times, *[1] * len(self.known.shape)))

    def standardised_as(self, known: Standardise | None) -> Conditions:
        """Return them with another map to what the network sees."""
        return replace(self, known=msgspec.structs.replace(self.known, standardise=known))


def is_rule(source: str) -> bool:
    """Return whether it is a rule, such as "downscale:2", and no name of an array."""
    return ":" in source


def _downscale(argument: str) -> Callable[[Tensor], Tensor]:
    """Return means of squares of so many pixels a side."""
    factor = int(argument) if argument.isdecimal() else 0
    if factor < 2:
        raise ZooError(f"condition = 'downscale:{shown(argument)}'; expected downscale:2, 3, ...")

    def apply(x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[-1] % factor or x.shape[-2] % factor:
            raise ZooError(
                f"condition = 'downscale:{factor}' takes images whose sides are multiples of "
                f"{factor}, not shape {tuple(x.shape[1:])}"
            )
        return avg_pool2d(x, factor)

    return apply


# Name -> the rule of an argument.
RULES: dict[str, Callable[[str], Callable[[Tensor], Tensor]]] = {"downscale": _downscale}


def _rule(source: str) -> Callable[[Tensor], Tensor]:
    name, _, argument = source.partition(":")
    if name not in RULES:
        raise ZooError(f"condition = {shown(source)!r}: no such rule; {did_you_mean(name, RULES)}")
    return RULES[name](argument)


def by_rule(source: str, shape: tuple[int, ...]) -> Conditions:
    """Return the conditions that a rule makes of images of one shape.

    Raises:
        ZooError: no such rule, or it does not take such images.
    """
    made = _rule(source)(torch.zeros(1, *shape))
    return Conditions(Condition(tuple(made.shape[1:]), source))


def of_array(array: NDArray[Any], n: int, *, source: str, where: str) -> Conditions:
    """Return the conditions of n samples in an array (n, k), (n, C, L) or (n, C, H, W).

    Raises:
        ZooError: no numbers, another number of them, NaN or infinity; `where` names it.
    """
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3, 4) or not array.size:
        one = "; for one number per sample give it as [:, None]" if array.ndim == 1 else ""
        raise ZooError(
            f"{where}: conditions of {array.dtype}, shape {array.shape}; expected numbers, as "
            f"vectors (n, k) or images (n, C, H, W){one}"
        )
    if array.ndim == 4 and array.shape[1] == array.shape[2] and array.shape[3] in (1, 3):
        raise ZooError(
            f"{where}: conditions of shape {array.shape}; images have their channels first, "
            "(n, C, H, W): give them as .transpose(0, 3, 1, 2)"
        )
    if len(array) != n:
        raise ZooError(f"{where}: {len(array):,} conditions for {n:,} samples; expected one each")
    if array.ndim == 2 and array.shape[1] > MOST:
        raise ZooError(
            f"{where}: conditions of {array.shape[1]:,} numbers; at most {MOST:,} as vectors: give "
            "images (n, C, H, W), or a summary of them"
        )
    if array.ndim == 2:
        values = as_rows(array.astype(np.float64), where)
    else:
        with np.errstate(over="ignore"):
            values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        check_finite(values, where)
    return Conditions(Condition(tuple(values.shape[1:]), source), values)


def fitted(conditions: Conditions, n: int, images: Callable[[Tensor], Tensor]) -> Conditions:
    """Return conditions that are standardised: each number or channel to mean 0, deviation 1.

    One with heavy tails by its median and its middle; a constant one becomes 0.

    Args:
        conditions: of n samples.
        n: their number.
        images: gives those of some numbers, as `Conditions.raw` takes them.
    """
    made = conditions.values is None
    one = images(torch.zeros(1).long()).numel() if made else math.prod(conditions.known.shape)
    count = min(n, _LOOKED_AT, max(_LEAST, _NUMBERS // one))
    chosen = torch.linspace(0, n - 1, count).long()
    x = images(chosen) if made else torch.zeros(())
    found = conditions.raw(x, chosen)
    rows = found.double().flatten(2).transpose(1, 2).flatten(0, 1) if found.ndim > 2 else found
    centres, spreads = [], []
    for column in rows.double().T.contiguous().numpy():
        centre, spread, _ = centre_and_spread(column)
        centres.append(centre)
        spreads.append(spread or 1.0)
    return conditions.standardised_as(Standardise(tuple(centres), tuple(spreads)))
