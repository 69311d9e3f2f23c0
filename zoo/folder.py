"""The model folder: README.md (the card), config.json and safetensors, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

from zoo.config import MAX_CONFIG_BYTES, Config, WeightFile, parse_config
from zoo.errors import ZooError

CONFIG, CARD, WEIGHTS = "config.json", "README.md", "model.safetensors"
PICTURE = "samples.png"
MAX_CARD_BYTES = 1_000_000


class DamagedFile(ZooError):
    """A weight file that is not what config.json says.

    Attributes:
        reason: what differs, without the path.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; fetch it again")
        self.reason = reason


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell in one line that the disk, or a lack of rights, keeps `path` from being read."""
    try:
        yield
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror or error}") from error


def read_config(folder: Path) -> Config:
    """Return the folder's config.json.

    Raises:
        ZooError: it is absent, too large, malformed or cannot be read.
    """
    path = folder / CONFIG
    with reading(path):
        if not path.is_file():
            raise ZooError(f"{folder} is not a model folder: it has no {CONFIG}")
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise ZooError(f"{path}: {size} bytes; at most {MAX_CONFIG_BYTES} are read")
        return parse_config(path.read_bytes(), str(path))


def is_own(folder: Path) -> bool:
    """Return whether a folder's config.json is for the zoo to read, and not another library's.

    Other libraries' have no key "format". What cannot be read is left to `read_config` to explain.
    """
    path = folder / CONFIG
    if not path.is_file():
        return False
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            return True
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or "format" in found


def refuse_links(folder: Path) -> None:
    """Raise ZooError if a file of the model lies outside its folder."""
    names = {CONFIG, CARD, PICTURE, *(path.name for path in folder.glob("*.safetensors"))}
    for name in sorted(names):
        refuse_link(folder / name, folder)


def refuse_link(path: Path, folder: Path) -> None:
    """Raise ZooError for a link out of a folder, other than the Hub cache's into its blobs."""
    root, end = _real(folder), _real(path)
    if end.is_relative_to(root):
        return
    cache = root.parent.parent  # of one repository, beside the blobs that repositories share
    if root.parent.name == "snapshots" and path.is_symlink() and end.is_relative_to(cache.parent):
        first = Path(os.path.normpath(_real(path.parent) / path.readlink()))
        if first.parent == cache / "blobs":
            return
    raise ZooError(f"{path} is a link out of its folder, to {end}; put the file itself there")


def _real(path: Path) -> Path:
    """Return the path with every link followed; a circle of links is left as it is."""
    return Path(os.path.realpath(path))


def read_card(folder: Path) -> str:
    """Return the folder's model card, "" if it has none.

    Raises:
        ZooError: it is too large, not UTF-8, cannot be read, or has no front matter.
    """
    path = folder / CARD
    with reading(path):
        if not path.is_file():
            return ""
        size = path.stat().st_size
        if size > MAX_CARD_BYTES:
            raise ZooError(f"{path}: {size} bytes; at most {MAX_CARD_BYTES} are read")
        try:
            card = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ZooError(f"{path} is not UTF-8 text: {error}") from error
    if card and not (card.startswith("---\n") and "\n---\n" in card):
        raise ZooError(
            f"{path} is no model card: it has to open with YAML between two lines of ---"
        )
    return card


def missing_requirements(config: Config) -> tuple[str, ...]:
    """Return the entries of `requires` that the environment does not meet.

    Raises:
        ZooError: an entry is not a requirement such as "zoo-yukawa>=0.2".
    """
    return tuple(r for r in config.requires if not _met(r))


def check_requirements(config: Config, name: str) -> None:
    """Raise ZooError, saying what to install, unless all that `config` requires is installed."""
    if needs := [" ".join(need.split()) for need in missing_requirements(config)]:
        wanted = " ".join(f"'{n}'" for n in needs)
        raise ZooError(f"{name} needs {', '.join(needs)}: pip install {wanted}")


def _met(text: str) -> bool:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ZooError(f"requires: {text!r} is not a requirement such as 'zoo-x>=1.0'") from error
    if requirement.url or requirement.marker or requirement.extras:
        raise ZooError(f"requires: {text!r} is more than a name and versions, such as 'zoo-x>=1.0'")
    try:
        installed = metadata.version(requirement.name)
        return requirement.specifier.contains(installed, prereleases=True)
    except (metadata.PackageNotFoundError, InvalidVersion, TypeError):
        return False  # not installed, or of a version that says nothing


def describe(path: Path) -> WeightFile:
    """Return size and sha256 of a file."""
    with path.open("rb") as file:
        return WeightFile(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def check_file(path: Path, expected: WeightFile) -> None:
    """Compare a weight file with what config.json says of it.

    The sha256 is computed once for a file in a given state and the verdict recorded in the cache.

    Raises:
        ZooError: absent.
        DamagedFile: of another size, or of another content.
    """
    if not path.is_file():
        raise ZooError(f"{path} is missing; config.json lists it with {expected.size} bytes")
    stat = path.stat()
    if stat.st_size != expected.size:
        raise DamagedFile(path, f"{stat.st_size} bytes, config.json says {expected.size}")
    if not _stamp(path, expected).exists():
        verify_file(path, expected)


def verify_file(path: Path, expected: WeightFile) -> None:
    """Compute a weight file's sha256, whatever was found before, and record the verdict.

    Raises:
        ZooError: it cannot be read.
        DamagedFile: it is not what config.json says.
    """
    with reading(path):
        stamp, actual = _stamp(path, expected), describe(path)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a hash per load
        stamp.unlink(missing_ok=True)
        if actual == expected:
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
    if actual != expected:
        raise DamagedFile(
            path,
            f"sha256 {actual.sha256[:12]}..., config.json says {expected.sha256[:12]}...: "
            "it was changed or damaged",
        )


def _stamp(path: Path, expected: WeightFile) -> Path:
    """Return the file whose presence says that `path`, in its present state, was as expected."""
    stat = path.stat()
    # ctime too: whoever changes a file can set mtime back, but not this.
    facts = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, expected.sha256)
    state = f"{path.resolve()}|{facts}"
    return cache_folder() / "verified" / hashlib.sha256(state.encode()).hexdigest()


def cache_folder() -> Path:
    """Return the folder for what zoo keeps between runs: $ZOO_CACHE or the user's cache folder."""
    from platformdirs import user_cache_dir

    return Path(os.environ.get("ZOO_CACHE") or user_cache_dir("zoo")).expanduser()
