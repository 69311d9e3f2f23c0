"""Writing a new plugin: the template under another name, less the parts that it does not bring."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from zoo.__about__ import __version__
from zoo.errors import ZooError, did_you_mean
from zoo.host.hooks import KINDS
from zoo.host.plugins import plugins
from zoo.host.registry import components

# What a plugin can bring -> its kind; each is a hook and a file of the template.
PARTS = {kind.removesuffix("s"): kind for kind in KINDS}
# Name on the command line -> SPDX id.
LICENSES = {"apache-2.0": "Apache-2.0", "mit": "MIT"}

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 24  # lines of the template stay within 100 signs
_HOOK = "\n\n\n@hookimpl\n"


def write_plugin(
    name: str,
    *,
    brings: Collection[str] = ("kernel",),
    license: str = "apache-2.0",
    author: str = "",
    folder: Path | None = None,
) -> Path:
    """Write the package zoo-NAME and return its folder; it appears whole or not at all.

    Args:
        name: of the plugin and of each part: lower case, digits, "-".
        brings: any of PARTS; a kernel comes with its prior, which a model needs.
        license: one of LICENSES.
        author: "" for "The zoo-NAME developers".
        folder: to write it in; None for the one at hand.

    Raises:
        ZooError: a name that is none or taken, an unknown part or license, a folder that is there
            already, a disk that refuses.
    """
    parts = _check_parts(brings)
    _check_name(name, parts)
    if license not in LICENSES:
        raise ZooError(f"no license {license!r}; {did_you_mean(license, LICENSES)}")
    author = author or f"The zoo-{name} developers"
    if not author.isprintable() or set(author) & set('"\\'):
        raise ZooError(f"author = {author!r}; expected a name without quotes and backslashes")
    target = (folder or Path()) / f"zoo-{name}"
    if target.exists():
        raise ZooError(f"{target} is there already; choose another name or folder")
    words = {
        "zoo_changeme": f"zoo_{name.replace('-', '_')}",
        "zoo-changeme": f"zoo-{name}",
        "Changeme": "".join(word.capitalize() for word in name.split("-")),
        "changeme": name,
        "SPDX-ID": LICENSES[license],
        "AUTHOR": author,
        "YEAR": str(date.today().year),
        "fieldzoo>=0.0": f"fieldzoo>={'.'.join(__version__.split('.')[:2])}",
    }
    here = files("zoo.scaffold")
    texts = {path: _less(path, text, parts) for path, text in _texts(here / "template", "")}
    texts["LICENSE"] = (here / "licenses" / f"{license}.txt").read_text(encoding="utf-8")
    _write(target, {_named(p, words): _named(t, words) for p, t in texts.items() if t})
    return target


def _check_parts(brings: Collection[str]) -> set[str]:
    for part in brings:
        if part not in PARTS:
            raise ZooError(f"a plugin brings no {part!r}; {did_you_mean(part, PARTS)}")
    if not brings:
        raise ZooError(f"a plugin has to bring something: {', '.join(PARTS)}")
    return {*brings, *(["prior"] if "kernel" in brings else [])}


def _check_name(name: str, parts: set[str]) -> None:
    if name.startswith(("zoo-", "zoo_")) and len(name) > len("zoo-"):
        raise ZooError(f"{name!r}: leave out the {name[:4]!r} that every package begins with")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ZooError(
            f"{name!r} cannot name a plugin; expected lower case letters, digits and single "
            f"dashes, a letter first, at most {_LONGEST}"
        )
    for plugin in plugins():
        if plugin.name == name:
            raise ZooError(f"there is a plugin {name!r} already ({plugin.origin}); choose another")
    for part in sorted(parts):
        if name in components(PARTS[part]):
            raise ZooError(f"there is a {part} {name!r} already; choose another name")


def _texts(folder: Traversable, under: str) -> Iterator[tuple[str, str]]:
    """Yield (path, text) of the template's files, "" as the folder to begin with."""
    for entry in folder.iterdir():
        path = f"{under}{entry.name}"
        if entry.is_dir():
            if not entry.name.startswith((".", "__")):  # caches of tools
                yield from _texts(entry, f"{path}/")
        elif entry.name == "gitignore":  # with its dot it would hide files of this project
            yield f"{under}.gitignore", entry.read_text(encoding="utf-8")
        else:
            yield path, entry.read_text(encoding="utf-8")


def _less(path: str, text: str, parts: set[str]) -> str:
    """Return the text without what belongs to other parts; "" for a file that is theirs alone."""
    others = PARTS.keys() - parts
    if path.removeprefix("src/zoo_changeme/").removesuffix(".py") in others:
        return ""
    if path.endswith("__init__.py"):
        head, *hooks = text.split(_HOOK)
        dropped = tuple(f"def {KINDS[PARTS[part]].hook}(" for part in others)
        return _HOOK.join([head, *(h for h in hooks if not h.startswith(dropped))]).rstrip() + "\n"
    dropped = tuple(f"- `src/zoo_changeme/{part}.py`" for part in others)
    return "".join(line for line in text.splitlines(True) if not line.startswith(dropped))


def _named(text: str, words: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)


def _write(target: Path, texts: dict[str, str]) -> None:
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        for path, text in texts.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_text(text, encoding="utf-8")
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ZooError(f"cannot write {target}: {error.strerror or error}") from error
