"""The record of a training: what config.json holds under "training"."""

from __future__ import annotations

import re
from typing import Any, Self, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

S = TypeVar("S", bound=Struct)
# "/home/ada/x", "~/x", "C:\\x", "\\\\server\\x", also behind a scheme such as "folder:"; no URL.
_ABSOLUTE = re.compile(
    r"(\w{2,}:)?(?:/(?!/)|~|[A-Za-z]:[\\/]|\\\\)[^?\n]*?([^\\/?\n]*)[\\/]*(\?.*)?"
)
_LONGEST = 200


class TrainingOutcome(Struct, frozen=True, kw_only=True):
    """What a run came to; None where it is not known.

    Attributes:
        images_seen: images trained on, repetitions counted.
        steps: steps made.
        steps_skipped: steps whose loss or gradient was not finite.
        hours: time of the run.
        final_training_loss: mean of the last losses of the log.
        validation_loss: the last one, on the test split.
        ema_length: relative length of the power-function average of the weights, by `zoo ema`.
    """

    images_seen: int | None = None
    steps: int | None = None
    steps_skipped: int | None = None
    hours: float | None = None
    final_training_loss: float | None = None
    validation_loss: float | None = None
    ema_length: float | None = None


class Evaluation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Figures of a model's samples under one setting.

    Attributes:
        data: reference of the data set that samples were compared with.
        split: which part of it, "test" or "train".
        features: name of the features compared.
        title: these features in words.
        samples: number of samples per seed.
        seeds: one set of samples each.
        intervals: how the intervals were found.
        classes: number of classes, as many samples of each.
        solver: name of the solver.
        steps: its number of steps.
        nfe: evaluations of the network per sample.
        shape: of a sample; () in config.json, whose data has it.
        given: what samples were drawn given besides classes, in words; likewise.
        metrics: (value, low, high) by name, the bounds those of a 95 % interval.
    """

    data: str
    split: str
    features: str
    title: str
    samples: int | None = None
    seeds: tuple[int, ...] = ()
    intervals: str = ""
    classes: int = 0
    solver: str = ""
    steps: int | None = None
    nfe: int | None = None
    shape: tuple[int, ...] = ()
    given: str = ""
    metrics: dict[str, tuple[float, float, float]]


class TrainingRecord:
    """Recipe, outcome, evaluations and data license of a trained model.

    A record is published with its model: of an absolute path in it the last component is kept,
    "folder:photos" of "folder:/home/ada/photos", and "./base" of "/home/ada/base".

    Attributes:
        recipe: a recipe's tables, as `Recipe.to_dict` gives them; None if there is none.
        outcome: what the run came to, or None.
        evaluation: the figures of the model.
        data_license: the terms under which the data may be used, in words.
        other: facts under keys of their own, such as `trained_elsewhere`; those of a known key
            that are of another form are kept here too.
    """

    __slots__ = ("data_license", "evaluation", "other", "outcome", "recipe")

    def __init__(
        self,
        *,
        recipe: dict[str, Any] | None = None,
        data_license: str = "",
        outcome: TrainingOutcome | None = None,
        evaluation: tuple[Evaluation, ...] = (),
        other: dict[str, Any] | None = None,
    ) -> None:
        # What a recipe says for the card is prose, and no path.
        prose = {key: recipe[key] for key in ("name", "card") if key in recipe} if recipe else {}
        self.recipe, self.outcome = recipe and public(recipe) | prose, outcome
        self.evaluation = tuple(
            msgspec.structs.replace(entry, data=public(entry.data)) for entry in evaluation
        )
        self.data_license = data_license
        self.other: dict[str, Any] = public(dict(other or {}))

    @classmethod
    def decode(cls, value: Any) -> Self:
        """Return the record written as `value`, a mapping; ValueError if it is none.

        Evaluations of another form are left out, and so is what is no fact of an evaluation.
        """
        if not isinstance(value, dict):
            raise ValueError("expected an object")
        other = dict(value)
        record = cls(other=other)
        if isinstance(value.get("recipe"), dict):
            record.recipe = record.other.pop("recipe")
        for key in ("data_license", "data_licence"):  # the latter in files of before
            if isinstance(value.get(key), str):
                record.data_license = record.other.pop(key)
        if isinstance(value.get("outcome"), dict):
            record.outcome = lenient(record.other.pop("outcome"), TrainingOutcome)
        if isinstance(value.get("evaluation"), list):
            found = (lenient(entry, Evaluation) for entry in record.other.pop("evaluation"))
            record.evaluation = tuple(entry for entry in found if entry is not None)
        return record

    def encode(self) -> dict[str, Any]:
        """Return the mapping that `decode` reads."""
        known = {
            "recipe": self.recipe,
            "data_license": self.data_license,
            "outcome": self.outcome and facts(self.outcome),
            "evaluation": [facts(entry) for entry in self.evaluation],
        }
        return {key: value for key, value in known.items() if value} | self.other

    def replace(self, **changes: Any) -> Self:
        """Return the record with some attributes changed."""
        return type(self)(**{name: getattr(self, name) for name in self.__slots__} | changes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrainingRecord) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TrainingRecord({self.encode()!r})"


def used_data(recipe: dict[str, Any] | None) -> str:
    """Return the reference of a recipe's data, "" where it has none."""
    source = (recipe or {}).get("data")
    used = source.get("use") if isinstance(source, dict) else None
    return str(used or "")


def public(value: Any) -> Any:
    """Return what a record holds, all text in it without the folders that say who trained where."""
    if isinstance(value, dict):
        return {key: public(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [public(inner) for inner in value]
    if isinstance(value, str) and value not in ("/", "~") and (found := _ABSOLUTE.fullmatch(value)):
        scheme, last, query = found.groups(default="")
        here = "" if scheme and scheme != "hf:" else "./"  # not the name of a repository
        return f"{scheme}{here}{last[-_LONGEST:]}{query}"
    return value


def facts(record: Struct) -> dict[str, Any]:
    """Return what a struct holds as JSON does, None left out."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return {key: value for key, value in found.items() if value is not None}


def lenient(value: object, kind: type[S]) -> S | None:
    """Return the struct in `value` without the keys of another form; None if one is required."""
    if not isinstance(value, dict):
        return None
    kept = {}
    for field in fields(kind):
        try:
            kept[field.name] = msgspec.convert(value[field.name], field.type)
        except (KeyError, msgspec.ValidationError):
            if field.required:
                return None
    return kind(**kept)
