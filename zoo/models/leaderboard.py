"""How close models are to their data, side by side where the figures can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any

import msgspec
from tabulate import tabulate

from zoo.config.training import Evaluation
from zoo.errors import ZooError, brief, check_flag, did_you_mean, shown
from zoo.files import as_path, is_path
from zoo.folder.read import is_own, read_config
from zoo.folder.results import TITLES, measured
from zoo.folder.run import refuse_run
from zoo.hub.cache import cached_folders
from zoo.models.names import entries

# Of all other figures, less is closer.
_HIGHER = ("precision", "recall", "density", "coverage", "class_accuracy")
# Of the public: what is behind other references is another thing on another disk.
_PUBLIC = ("hf:", "toy:")
_MOST_NAMED = 12


class Standing(msgspec.Struct, frozen=True):
    """A model under one setting.

    Attributes:
        model: its name, a folder, or "owner/name" of the Hub.
        value: the figure.
        low, high: its 95 % interval.
        evaluation: all figures, and their conditions.
    """

    model: str
    value: float
    low: float
    high: float
    evaluation: Evaluation


class Board(msgspec.Struct, frozen=True):
    """Models whose figures can be compared, the closest first.

    Attributes:
        data, split, features: what samples were compared with, and by which features.
        samples: number of them.
        classes: number of classes drawn, as many samples of each; 0 for none.
        owner: whose data it is, where its name says that only there: "" for public data.
        shape: of a sample, () where that is not known.
        given: what samples were drawn given besides classes, "" for nothing.
        standings: a row each.
    """

    data: str
    split: str
    features: str
    samples: int | None
    classes: int
    owner: str
    shape: tuple[int, ...]
    given: str
    standings: tuple[Standing, ...]

    def __str__(self) -> str:
        """Return its conditions."""
        count = "?" if self.samples is None else self.samples
        given = f", {self.classes} classes" if self.classes else ""
        of = f" of {self.owner}" if self.owner else ""
        data, split, features = (shown(t, 80) for t in (self.data, self.split, self.features))
        size = f" of {'x'.join(map(str, self.shape))}" if self.shape else ""
        given += f", given {shown(self.given, 80)}" if self.given else ""
        return f"{data}{of}, {split} split, features {features}, {count} samples{size}{given}"


class Leaderboard(msgspec.Struct, frozen=True):
    """Tables of models, one for each set of conditions; `print` shows them.

    Attributes:
        by: the figure that models are sorted by.
        boards: the tables, those of most models first.
        without: models without this figure.
        notes: what could not be read, and how old the rest is.
    """

    by: str
    boards: tuple[Board, ...]
    without: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the tables as text, with what they do not say by themselves."""
        headers = ("model", self.by, "95 % interval", "solver", "steps", "evaluations")
        texts = []
        for board in self.boards:
            rows = [_row(standing) for standing in board.standings]
            table = tabulate(rows, headers, tablefmt="plain", disable_numparse=True)
            texts.append(f"{board}\n{table}")
        order = "higher" if self.by.startswith(_HIGHER) else "lower"
        lines = [f"{self.by}: {TITLES.get(self.by, self.by)}, {order} is closer."] * bool(texts)
        if len(self.boards) > 1:
            lines.append(
                "Figures of two tables do not compare: another split, other data, features, "
                "shapes, conditions, numbers of samples or classes."
            )
        if self.without:
            lines.append(f"without {self.by}: {_named(self.without)}")
        return "\n\n".join([*texts, "\n".join(lines)]).rstrip()


def leaderboard(
    *patterns: str, hub: bool = False, by: str = "frechet", token: str | None = None
) -> Leaderboard:
    """Return the figures that models have published or keep in config.json, side by side.

    Models are compared where data, split, features, numbers of samples and of classes, shape and
    condition of a sample are the same: a distance depends on each of them. Models are those of
    `zoo.list_models()`, those in the Hub's cache, and folders that are named. Nothing is measured;
    `zoo eval` does that.

    Args:
        patterns: of names as for `list_models`, "*" if there is none; and folders "./run/model".
        hub: of the repositories tagged `fieldzoo` on the Hub too, `.eval_results/*.yaml`. What they
            say is what their publishers say.
        by: the figure, such as "frechet", "kid" or "recall"; distances rise, shares fall.
        token: for the Hub; None for the one of `hf auth login`.

    Raises:
        ZooError: no model matches, no folder of a model, no such figure; the Hub cannot be asked,
            and was not before.
    """
    for text in (*patterns, by):
        if not isinstance(text, str):
            raise ZooError(f"{brief(text)}: expected text such as 'gravity-*'")
    folders = [p for p in patterns if is_path(p) or p.startswith("path:")]
    names = [p for p in patterns if p not in folders] or ["*"]
    found = {n: e for n, e in _on_disk() if any(_fits(n, p) for p in names)}
    notes: list[str] = []
    if check_flag("hub", hub):
        for pattern in names:
            there = _on_hub(pattern, token, notes)
            found |= {name: own for name, own in there.items() if own or name not in found}
    found |= {folder: _of_folder(folder) for folder in folders}
    if not found:
        raise ZooError(f"no model matches {' or '.join(map(repr, names))}; `zoo list` has all")
    boards = _boards(found, by)
    ranked = {s.model for board in boards for s in board.standings}
    if not ranked and (known := {m for own in found.values() for e in own for m in e.metrics}):
        raise ZooError(f"no figure {by!r} of these models; {did_you_mean(by, known)}")
    without = tuple(name for name in found if name not in ranked)
    return Leaderboard(by, boards, without, tuple(notes))


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern)


def _on_disk() -> Iterator[tuple[str, tuple[Evaluation, ...]]]:
    known = entries()
    count = [e.name for e in known]
    for entry in known:
        if entry.config:
            name = entry.name if count.count(entry.name) == 1 else f"{entry.source}:{entry.name}"
            yield name, measured(entry.config)
    for repo, folder in cached_folders():
        if not is_own(folder):
            continue
        try:
            yield repo, measured(read_config(folder))
        except ZooError:  # of a repository that nobody may have meant to load
            continue


def _of_folder(ref: str) -> tuple[Evaluation, ...]:
    folder = as_path(ref.removeprefix("path:"), ref)
    if not is_own(folder):
        refuse_run(folder, ref)
        raise ZooError(f"{ref} is not a model folder of the zoo")
    return measured(read_config(folder))


def _on_hub(pattern: str, token: str | None, notes: list[str]) -> dict[str, tuple[Evaluation, ...]]:
    from zoo.hub.catalogue import catalogue
    from zoo.hub.figures import figures

    listed = catalogue(pattern, token=token, look=False)
    if listed.trouble:
        notes.append(f"the Hub as of {listed.age / 3600:.1f} hours ago: {listed.trouble}")
    read = figures(listed.models, token=token, ask=not listed.trouble)
    if left := len(listed.models) - len(read):
        notes.append(f"{left} models on the Hub not read yet: ask again, or narrower")
    if broken := [f"{f.repo}: {f.error}" for f in read if f.error]:
        notes.append(f"not read: {_named(broken)}")
    return {f.repo: f.evaluations for f in read}


def _boards(found: dict[str, tuple[Evaluation, ...]], by: str) -> tuple[Board, ...]:
    groups: dict[tuple[Any, ...], list[Standing]] = {}
    for model, own in found.items():
        for e in own:
            value, low, high = e.metrics.get(by, (float("nan"),) * 3)
            if all(map(isfinite, (value, low, high))):
                owner = _owner(model, e)
                key = (e.data, e.split, e.features, e.samples, e.classes, owner, e.shape, e.given)
                groups.setdefault(key, []).append(Standing(model, value, low, high, e))
    sign = -1 if by.startswith(_HIGHER) else 1
    boards = [
        Board(*(*key, tuple(sorted(rows, key=lambda s: (sign * s.value, s.model)))))
        for key, rows in groups.items()
    ]
    return tuple(sorted(boards, key=lambda b: (-len(b.standings), str(b))))


def _owner(model: str, e: Evaluation) -> str:
    """Return whose data it is where its name alone says nothing, as of "folder:photos"."""
    public = ":" not in e.data or e.data.startswith(_PUBLIC)
    bare = e.data.removeprefix("hf:")
    if public and not any(c in e.data for c in "\\~") and not bare.startswith((".", "/")):
        return ""
    return model.partition("/")[0] if "/" in model and not is_path(model) else "this disk"


def _row(standing: Standing) -> tuple[str, ...]:
    e = standing.evaluation
    steps, calls = ("-" if n is None else str(n) for n in (e.steps, e.nfe))
    interval = f"{standing.low:.4g} to {standing.high:.4g}"
    solver = shown(e.solver, 40) or "default"
    return standing.model, f"{standing.value:.4g}", interval, solver, steps, calls


def _named(names: Iterable[str]) -> str:
    every = [*names]
    more = len(every) - _MOST_NAMED
    return ", ".join(every[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
