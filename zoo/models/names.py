"""The models at hand: which names there are, and which folder stands behind each.

Looked up in this order: model folders of the package itself (in a checkout: model_cards/) and of
plugins. A short name brought twice is an error that names both; "plugin:name" always works.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from zoo.config.model import Config
from zoo.config.part import NAME
from zoo.errors import ZooError, brief, closest, did_you_mean
from zoo.files import is_folder, is_path
from zoo.folder.read import CONFIG, read_config
from zoo.host.plugins import OWN, PluginRecord
from zoo.host.requirements import missing_requirements, requirement_is_met
from zoo.hub import REPOSITORY


class UnknownModel(ZooError):
    """No folder at hand has this name."""


@dataclass(frozen=True)
class ModelEntry:
    """One model folder at hand.

    Attributes:
        name: short name, the folder's.
        folder: where it is.
        source: "fieldzoo" or the plugin that brings it.
        config: its config.json, None if that cannot be read.
        error: why not, in one line.
        needs: distributions it requires that are absent or too old.
    """

    name: str
    folder: Path
    source: str
    config: Config | None
    error: str | None = None
    needs: tuple[str, ...] = ()


def own_folders() -> Path:
    """Return model_cards inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "model_cards"
    return inside if inside.is_dir() else package.parent / "model_cards"


def _entry(folder: Path, source: str, is_met: Callable[[str], bool]) -> ModelEntry:
    try:
        config = read_config(folder)
        needs = missing_requirements(config, is_met)
    except ZooError as error:
        return ModelEntry(folder.name, folder, source, None, str(error))
    return ModelEntry(folder.name, folder, source, config, needs=needs)


def entries() -> list[ModelEntry]:
    """Return every model folder at hand, sorted by name and source."""
    from zoo.host.registry import model_folders

    own = own_folders()
    inside = own.iterdir() if own.is_dir() else ()
    found = [(p, OWN) for p in inside if (p / CONFIG).is_file() and not p.name.startswith(".")]
    found += [(Path(str(folder)), plugin.name) for plugin, folder in model_folders()]
    is_met = cache(requirement_is_met)
    return sorted((_entry(*f, is_met) for f in found), key=lambda e: (e.name, e.source))


def broken_models(record: PluginRecord) -> list[str]:
    """Return a line for each model folder of a plugin whose config.json cannot be read."""
    folders = [Path(str(folder)) for folder in record.models]
    found = [_entry(folder, record.name, requirement_is_met) for folder in folders]
    return [f"model {e.name}: {e.error}" for e in found if e.error is not None]


def list_models(pattern: str = "*", *, hub: bool = False, format: str | None = None) -> list[str]:
    """Return the names of the models at hand that match a shell pattern, e.g. "gravity-*".

    Args:
        pattern: of the name; of "owner/name" where it has a "/".
        hub: return the repositories "owner/name" on the Hub instead, the most downloaded first, as
            it lists them or, where it cannot be asked, as it did the last time.
        format: with `hub`, return the repositories in this format of another library, such as
            "diffusers", instead: those that the format recognises by the files that it reads
            before the weights. A call looks into 40 more of them, the most downloaded first.

    Raises:
        ZooError: the pattern is no text; the Hub cannot be asked, and was not before; no such
            format, or one without `hub`.
    """
    if not isinstance(pattern, str):
        raise ZooError(f"pattern = {brief(pattern)}; expected text such as 'gravity-*'")
    if hub:
        from zoo.hub.catalogue import catalogue

        found = catalogue(pattern, format=format, look=format is not None).models
        return [model.repo for model in found if format is None or model.kernel]
    if format is not None:
        raise ZooError(
            f"format = {brief(format)}: models of other formats are on the Hub; hub=True"
        )
    known = entries()
    count = [e.name for e in known]
    names = (e.name if count.count(e.name) == 1 else f"{e.source}:{e.name}" for e in known)
    return [n for n in names if fnmatchcase(n, pattern)]


def find_model(name: str) -> ModelEntry:
    """Return the model called `name` or "plugin:name".

    Raises:
        UnknownModel: there is none.
        ZooError: two plugins bring one of that name, or a model folder here has it.
    """
    source, _, short = name.rpartition(":")
    here = Path(short).absolute()
    is_here = not source and is_folder(here) and (here / CONFIG).is_file()
    known = entries()
    found = [e for e in known if e.name == short and source in ("", e.source)]
    if not found and is_here:
        raise ZooError(f"no model {name!r} at hand; for the folder here say ./{name}")
    if not found:
        close = did_you_mean(name, [e.name for e in known])
        raise UnknownModel(f"no model {name!r}{folder_hint(name)}; {close}")
    if len(found) > 1:
        spellings = " or ".join(f"{e.source}:{e.name}" for e in found)
        raise ZooError(f"two plugins bring a model {name!r}; say {spellings}")
    if is_here and here.resolve() != found[0].folder.resolve():
        own = f"{found[0].source}:{name}"
        raise ZooError(f"{name!r} is a model at hand and a folder here; say {own} or ./{name}")
    return found[0]


def folder_hint(ref: str) -> str:
    """Return "; for the folder here say ./x" for a model folder of nearly that name, else "".

    A run's folder stands for the model/ in it.
    """
    asked = Path(ref)
    with suppress(OSError, ValueError):
        places = [p for p in asked.parent.iterdir() if not p.name.startswith(".")]
        models = {p.name: m for p in places for m in (p / "model", p) if (m / CONFIG).is_file()}
        for name in closest(asked.name, models, most=1):
            return f"; for the folder here say ./{models[name]}"
    return ""


_REFERENCES = "a name of `zoo list`, a Hub id owner/name, or a folder ./name"
_HUB = re.compile(rf"^(?P<repo>{REPOSITORY.pattern})(?:@(?P<revision>[^@\s]+))?\Z")


@dataclass(frozen=True)
class Hub:
    """A repository on the Hugging Face Hub."""

    repo: str
    revision: str | None = None


def _local(ref: str, path: str) -> Path:
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError) as error:  # no such user, or a name that none can have
        raise ZooError(f"{ref!r}: there is no such user's folder") from error


def name_of(ref: str | Path) -> str:
    """Return what a model is called by its reference: the last part of it, of a run its folder."""
    parsed = parse_ref(f"path:{ref}" if isinstance(ref, Path) else ref)
    if isinstance(parsed, Hub):
        return parsed.repo.partition("/")[2]
    if isinstance(parsed, str):
        return parsed.rpartition(":")[2]
    folder = parsed.absolute()
    # zoo train writes RUN/model
    return folder.parent.name if folder.name == "model" and folder.parent.name else folder.name


def repository_of(ref: str | Path) -> str:
    """Return the Hub repository owner/name of a reference to one, "" of any other."""
    parsed = ref if isinstance(ref, Path) else parse_ref(ref)
    return parsed.repo if isinstance(parsed, Hub) else ""


def parse_ref(ref: str) -> str | Path | Hub:
    r"""Return what `ref` means: a zoo name (str), a folder (Path), or a repository (Hub).

    A name is short or "plugin:name", a repository "owner/name[@revision]", a folder "./x", "/x",
    "~/x" or, as Windows writes it, "C:\x" or "x\y". `hub:` and `path:` in front say it outright.

    Raises:
        ZooError: malformed, or a Hub id that is also a folder here: the error has both spellings.
    """
    if not isinstance(ref, str):
        raise ZooError(f"{brief(ref)} is not a model reference; write {_REFERENCES}")
    if ref.startswith("path:") and len(ref) > len("path:"):
        return _local(ref, ref.removeprefix("path:"))
    hub = _HUB.match(ref.removeprefix("hub:"))
    if ref.startswith("hub:"):
        if not hub:
            raise ZooError(f"{ref!r} is not a Hub reference; write hub:owner/name[@revision]")
        return Hub(hub["repo"], hub["revision"])
    if is_path(ref):
        return _local(ref, ref)
    there = is_folder(Path(ref))
    if hub:
        if there:
            raise ZooError(
                f"{ref!r} is a folder here, ./{ref}, and may be a Hub id; say path:{ref} or "
                f"hub:{ref}"
            )
        return Hub(hub["repo"], hub["revision"])
    if NAME.match(ref):
        return ref
    write = f"./{ref}" if there else _REFERENCES
    raise ZooError(f"{ref!r} is not a model reference; write {write}")
