"""What a model is conditioned on besides classes, as config.json says it."""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta, Struct

from zoo.config.columns import MOST_COLUMNS, Column, check_columns
from zoo.config.standardise import Standardise
from zoo.errors import ZooError

# Of one condition, as of one sample: an image of 4,700 x 4,700 pixels in colour.
_MOST_NUMBERS = 2**26
_Size = Annotated[int, Meta(ge=1, le=2**31)]
_SHAPES = {1: "vectors", 2: "series", 3: "images"}
# As many names as a message has room for.
_MOST_NAMED = 8


class Condition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One condition per sample: a vector (k,), a series (C, L) or an image (C, H, W).

    Attributes:
        shape: of one condition.
        source: the rule that makes it of an image, such as "downscale:2", or the name of its array.
        standardise: the map to what the network sees; None for the condition as it is.
        columns: names of the numbers of a vector, from a data frame.
    """

    shape: Annotated[tuple[_Size, ...], Meta(min_length=1, max_length=3)]
    source: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z", max_length=200)] = ""
    standardise: Standardise | None = None
    columns: Annotated[tuple[Column, ...], Meta(max_length=MOST_COLUMNS)] = ()

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape))
        text = f"{_SHAPES[len(self.shape)]} of shape {size}"
        if len(self.shape) == 1:
            text = f"vectors of {size} number{'s' if self.shape[0] > 1 else ''}"
        if self.columns:
            names = [str(c.name) for c in self.columns[:_MOST_NAMED]]
            more = ["..."] if len(self.columns) > _MOST_NAMED else []
            text += f" ({', '.join([*names, *more])})"
        return text


def check_condition(condition: Condition, where: str) -> None:
    """Raise ZooError for numbers that do not go together; `where` names the file in errors."""
    if math.prod(condition.shape) > _MOST_NUMBERS:
        raise ZooError(f"{where}: data.condition.shape = {[*condition.shape]} is impossibly large")
    known, columns = condition.standardise, condition.columns
    if known is not None and not known.fits(condition.shape):
        raise ZooError(
            f"{where}: data.condition.standardise has {len(known.mean)} numbers; expected "
            f"{condition.shape[0]}, one per number of vectors or channel of images"
        )
    if columns and condition.shape != (len(columns),):
        raise ZooError(
            f"{where}: data.condition.columns names {len(columns)} columns of conditions of shape "
            f"{[*condition.shape]}"
        )
    check_columns(columns, where)
