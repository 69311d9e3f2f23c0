"""The figures that repositories of the Hub publish in `.eval_results/`, kept by commit."""

from __future__ import annotations

import re

import msgspec

from zoo.config.training import Evaluation
from zoo.errors import ZooError, shown
from zoo.folder.eval_results import EVAL_RESULTS, MAX_BYTES, parse_eval_yaml
from zoo.hub import Access
from zoo.hub.catalogue import HubModel
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.memory import each, remember, remembered
from zoo.hub.snapshot import Snapshot

_FILE = re.compile(r"\.eval_results/[\w.-]+\.ya?ml")
_MOST_FILES = 5
_KEPT = "-figures"


class Figures(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a commit says of a model.

    Attributes:
        repo: "owner/name".
        commit: its 40 digits.
        evaluations: figures with their conditions.
        error: why a file was not read.
        lasting: whether that is the commit's fault.
    """

    repo: str
    commit: str
    evaluations: tuple[Evaluation, ...] = ()
    error: str = ""
    lasting: bool = True


def figures(models: list[HubModel], *, token: str | None = None, ask: bool = True) -> list[Figures]:
    """Return the figures of these models, of those of which they are known.

    Args:
        models: as the Hub lists them.
        token: None for the one of `hf auth login`.
        ask: fetch those that are not known yet, of at most 40 models within about 30 seconds.
    """
    kept = {f.repo: f for f in remembered(_KEPT, list[Figures]) or []}
    known = {m.repo: kept[m.repo] for m in models if _same(kept.get(m.repo), m)}
    if ask:
        new = [m for m in models if m.repo not in known]
        read = {f.repo: f for f in each(new, lambda model: _read(model, token))}
        known |= read
        remember(_KEPT, [f for f in (kept | read).values() if f.lasting])
    return [known[m.repo] for m in models if m.repo in known]


def _same(found: Figures | None, model: HubModel) -> bool:
    return found is not None and found.commit == model.commit


def _read(model: HubModel, token: str | None) -> Figures:
    """Fetch and read the files of a model; raises Unreachable."""
    found = Figures(model.repo, model.commit)
    try:
        with hub_errors(model.repo, model.commit, token):
            snapshot = Snapshot(model.repo, model.commit, Access(token))
            names = filter(_FILE.fullmatch, snapshot.listing)
            files = sorted(names, key=lambda name: (name != EVAL_RESULTS, name))[:_MOST_FILES]
            contents = [snapshot.fetch(name, limit=MAX_BYTES).read_bytes() for name in files]
            if snapshot.cut_off is not None:
                raise snapshot.cut_off
    except Unreachable:
        raise
    except ZooError as error:
        return msgspec.structs.replace(found, error=shown(error), lasting=False)
    evaluations: list[Evaluation] = []
    broken = ""
    for name, content in zip(files, contents, strict=True):
        try:
            evaluations += parse_eval_yaml(content)
        except ZooError as fault:
            broken = broken or f"{name}: {shown(fault)}"
    return msgspec.structs.replace(found, evaluations=tuple(evaluations), error=broken)
