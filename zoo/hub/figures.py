"""The figures that repositories of the Hub publish in `.eval_results/`, kept by commit."""

from __future__ import annotations

import re

import msgspec

from zoo.config.training import Evaluation
from zoo.errors import ZooError, shown
from zoo.folder.eval_results import EVAL_RESULTS, MAX_BYTES, parse_eval_yaml
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.models import HubModel
from zoo.hub.records import CommitFault, Record, content, keep, kept, look_into, missed
from zoo.hub.snapshot import Snapshot

_FILE = re.compile(r"\.eval_results/[\w.-]+\.ya?ml")
_MOST_FILES = 5
_KEPT = "-figures"


class Figures(Record, frozen=True, omit_defaults=True):
    """What a commit says of a model.

    Attributes:
        evaluations: figures with their conditions.
    """

    evaluations: tuple[Evaluation, ...] = ()


def figures(models: list[HubModel], *, token: str | None = None, ask: bool = True) -> list[Figures]:
    """Return the figures of these models, of those of which they are known.

    Args:
        models: as the Hub lists them.
        token: None for the one of `hf auth login`.
        ask: fetch those that are not known yet, of at most 40 models within about 30 seconds.
    """
    before = kept(_KEPT, list[Figures])
    known = {m.repo: _of(m, before.get(m.repo)) for m in models}
    if ask:
        read = {f.repo: f for f in look_into(known.values(), _read, token)}
        known |= read
        keep(_KEPT, (before | read).values())
    return [f for f in known.values() if f.looked or f.error or f.evaluations]


def _of(model: HubModel, found: Figures | None) -> Figures:
    """Return what is known of a model at its commit, which may be nothing."""
    same = found is not None and found.commit == model.commit
    return found if found is not None and same else Figures(model.repo, model.commit)


def _read(known: Figures, snapshot: Snapshot) -> Figures:
    """Return the figures in the files of a commit; one file's fault is not another's."""
    names = filter(_FILE.fullmatch, snapshot.listing)
    files = sorted(names, key=lambda name: (name != EVAL_RESULTS, name))[:_MOST_FILES]
    evaluations: list[Evaluation] = []
    broken: str = ""
    passing: Exception | None = None
    for name in files:
        try:
            with hub_errors(snapshot.repo, snapshot.commit, snapshot.access.token):
                text = content(snapshot, name, MAX_BYTES)
            evaluations += _parsed(text)
        except Unreachable:
            raise
        except CommitFault as fault:
            broken = broken or f"{name}: {shown(fault)}"
        except (ZooError, OSError) as error:
            passing = error
    if snapshot.cut_off is not None:
        raise snapshot.cut_off  # what is on this disk may not be all
    found = msgspec.structs.replace(
        known, evaluations=tuple(evaluations), looked=True, error=broken
    )
    return found if passing is None else missed(found, passing)


def _parsed(text: bytes) -> tuple[Evaluation, ...]:
    try:
        return parse_eval_yaml(text)
    except ZooError as error:
        raise CommitFault(str(error)) from error
