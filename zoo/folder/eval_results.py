"""The figures of a model as the Hub's leaderboards read them: `.eval_results/*.yaml`."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import yaml

from zoo.config.training import Evaluation, TrainingRecord, facts
from zoo.errors import ZooError, shown

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

EVAL_RESULTS = ".eval_results/fieldzoo.yaml"
# What has to be known of a figure before it is compared with another; JSON, in the notes.
_COUNTS = ("samples", "classes", "seeds", "steps", "nfe", "shape")
_WORDS = ("split", "features", "solver", "given")
_NOTED = (*_WORDS, *_COUNTS)
MAX_BYTES = 100_000
_DEEPEST = 10
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


def eval_entries(training: TrainingRecord) -> list[EvalResultEntry]:
    """Return a figure each, with task "metric/features" and, in the notes, its conditions as JSON.

    Args:
        training: of config.json.
    """
    from huggingface_hub import EvalResultEntry

    found = []
    for entry in training.evaluation:
        known = facts(entry)
        noted = {key: known[key] for key in _NOTED if key in known}
        for metric, (value, low, high) in entry.metrics.items():
            notes = json.dumps(noted | {"interval_95": [low, high]})
            task = f"{metric}/{entry.features}"
            found.append(EvalResultEntry(entry.data, task, value, notes=notes))
    return found


def eval_yaml(training: TrainingRecord) -> bytes:
    """Return the file's content, b"" where nothing was measured."""
    from huggingface_hub import eval_result_entries_to_yaml

    entries = eval_result_entries_to_yaml(eval_entries(training))
    content = yaml.safe_dump(entries, sort_keys=False).encode() if entries else b""
    while len(content) > MAX_BYTES:  # which readers refuse: the first settings stay
        entries = entries[: len(entries) * MAX_BYTES // len(content) - 1]
        content = yaml.safe_dump(entries, sort_keys=False).encode()
    return content


class _Noted(msgspec.Struct, frozen=True, kw_only=True):
    """The notes of an entry; other keys are left alone."""

    split: _Word
    features: _Word
    samples: _Count | None = None
    interval_95: tuple[float, float]
    classes: _Count = 0
    seeds: Annotated[tuple[int, ...], msgspec.Meta(max_length=100)] = ()
    solver: Annotated[str, msgspec.Meta(max_length=100)] = ""
    steps: _Count | None = None
    nfe: _Count | None = None
    shape: Annotated[tuple[_Count, ...], msgspec.Meta(max_length=3)] = ()
    given: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class _Dataset(msgspec.Struct, frozen=True):
    id: _Word
    task_id: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z][\w.-]{0,59}/.{1,200}\Z")]


class _Entry(msgspec.Struct, frozen=True):
    dataset: _Dataset
    value: float
    notes: str


def parse_eval_yaml(content: bytes) -> tuple[Evaluation, ...]:
    """Return the evaluations in a file of `.eval_results/`, figures of one setting together.

    An entry that is not as `eval_entries` writes it is another's, and is left out; so are figures
    without a finite value and interval. Texts are as they may be printed.

    Raises:
        ZooError: no YAML of a list, more than `MAX_BYTES`, an alias, or nested too deeply.
    """
    found: dict[bytes, tuple[Evaluation, dict[str, tuple[float, float, float]]]] = {}
    for item in _load(content):
        try:
            entry = msgspec.convert(item, _Entry)
            noted = msgspec.json.decode(entry.notes, type=_Noted)
        except (msgspec.MsgspecError, ArithmeticError, RecursionError, ValueError):
            continue
        metric, _, features = entry.dataset.task_id.partition("/")
        low, high = noted.interval_95
        if features != noted.features or not all(map(isfinite, (entry.value, low, high))):
            continue
        known = {k: getattr(noted, k) for k in _COUNTS}
        words: dict[str, Any] = {k: shown(getattr(noted, k)) for k in _WORDS}
        words |= {"data": shown(entry.dataset.id), "title": words["features"]}
        setting = Evaluation(**words, **known, metrics={})
        key = msgspec.json.encode(setting)
        figures = found.setdefault(key, (setting, {}))[1]
        if low <= high:
            figures.setdefault(metric, (entry.value, low, high))
    return tuple(msgspec.structs.replace(s, metrics=m) for s, m in found.values() if m)


def _load(content: bytes) -> list[object]:
    """Return the list in YAML that can cost no more than its bytes; raises ZooError."""
    if len(content) > MAX_BYTES:
        raise ZooError(f"{len(content)} bytes of figures; at most {MAX_BYTES} are read")
    depth = 0
    try:
        for event in yaml.parse(content, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise ZooError("a YAML alias, which figures have no use for")
            opens = isinstance(event, yaml.CollectionStartEvent)
            depth += opens - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ZooError(f"YAML nested more than {_DEEPEST} deep")
        found = yaml.load(content, Loader=_LOADER)
    except ZooError:
        raise
    except Exception as error:  # PyYAML's constructors raise KeyError, IndexError, AttributeError
        raise ZooError(f"no YAML: {shown(error)}") from error
    if not isinstance(found, list):
        raise ZooError("no list of figures")
    return found
