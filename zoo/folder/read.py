"""The model folder: README.md (the card), config.json and safetensors, on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from zoo.config.model import MAX_CONFIG_BYTES, Config, WeightFile, Weights, parse_config
from zoo.errors import ZooError
from zoo.files import as_path, reading, refuse_link, refuse_pointer, user_cache

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


def read_config(folder: Path, where: str = "") -> Config:
    """Return the folder's config.json; errors begin with `where`, by default the file's path.

    Raises:
        ZooError: it is absent, too large, malformed or cannot be read.
    """
    path = folder / CONFIG
    with reading(path):
        if not path.is_file():
            raise ZooError(f"{folder} is not a model folder: it has no {CONFIG}")
        where = where or str(path)
        return parse_config(_read(path, MAX_CONFIG_BYTES, where), where)


def _read(path: Path, limit: int, where: object) -> bytes:
    if (size := path.stat().st_size) > limit:
        raise ZooError(f"{where}: {size} bytes; at most {limit} are read")
    refuse_pointer(path)
    return path.read_bytes()


def is_own(folder: Path) -> bool:
    """Return whether a folder's config.json is for the zoo to read, and not another library's.

    Other libraries' have no key "format". What cannot be read is left to `read_config` to explain.
    """
    path = folder / CONFIG
    if not path.is_file():
        return False
    try:
        found = json.loads(_read(path, MAX_CONFIG_BYTES, path))
    except (ZooError, OSError, ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or "format" in found


def refuse_options(options: Mapping[str, Any] | None, where: object) -> None:
    """Raise ZooError if options of a format are given for a model folder of the zoo."""
    if options:
        raise ZooError(
            f"{where} is a model folder of the zoo, whose config.json says all; leave "
            f"format_options out (given: {', '.join(map(str, options))[:100]})"
        )


def refuse_links(folder: Path) -> None:
    """Raise ZooError if a file of the model lies outside its folder."""
    names = {CONFIG, CARD, PICTURE, *(path.name for path in folder.glob("*.safetensors"))}
    for name in sorted(names):
        refuse_link(folder / name, folder)


def read_card(folder: Path) -> str:
    """Return the folder's model card, "" if it has none.

    Raises:
        ZooError: it is too large, not UTF-8, cannot be read, or has no front matter.
    """
    path = folder / CARD
    with reading(path):
        if not path.is_file():
            return ""
        try:
            card = _read(path, MAX_CARD_BYTES, path).decode()
        except UnicodeDecodeError as error:
            raise ZooError(f"{path} is not UTF-8 text: {error}") from error
    card = card.replace("\r\n", "\n").replace("\r", "\n")
    if card and not has_front_matter(card):
        raise ZooError(
            f"{path} is no model card: it has to open with YAML between two lines of ---"
        )
    return card


def has_front_matter(card: str) -> bool:
    """Return whether a card opens with YAML between two lines of ---."""
    return card.startswith("---\n") and "\n---\n" in card


def describe(path: Path) -> WeightFile:
    """Return size and sha256 of a file."""
    with path.open("rb") as file:
        return WeightFile(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def check_file(path: Path, expected: WeightFile, source: str = CONFIG) -> None:
    """Compare a weight file with the size and sha256 that `source` gives it.

    The sha256 is computed once for a file in a given state and the verdict recorded in the cache.

    Raises:
        ZooError: absent.
        DamagedFile: of another size, or of another content.
    """
    if not path.is_file():
        raise ZooError(f"{path} is missing; {source} lists it with {expected.size} bytes")
    with reading(path):
        refuse_pointer(path)
    stat = path.stat()
    _check_size(path, stat, expected, source)
    if not _stamp(path, stat, expected).exists():
        verify_file(path, expected, source)


def verify_file(path: Path, expected: WeightFile, source: str = CONFIG) -> None:
    """Compute a weight file's sha256, whatever was found before, and record the verdict.

    Raises:
        ZooError: it cannot be read.
        DamagedFile: it is not what `source` says.
    """
    with reading(path):
        before = path.stat()
        actual = describe(path)
        _judge(path, (before, path.stat()), actual, expected, source)


class Hashed:
    """A file open for reading, the sha256 of what was read known at the end."""

    def __init__(self, file: BufferedReader) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes; return how many there were."""
        count = self.file.readinto(buffer)
        self.sha256.update(buffer[:count])
        return count


@contextmanager
def opened(
    path: Path, expected: WeightFile, source: str = CONFIG
) -> Iterator[tuple[BufferedReader | Hashed, int]]:
    """Yield a weight file and its size; read to its end, what was read is what `expected` says.

    Its sha256 is computed while it is read, unless that was done before in its present state; so
    it does not matter what takes its place or is written into it meanwhile.

    Raises:
        ZooError: it cannot be read.
        DamagedFile: of another size, or of another content; changed while it was read.
    """
    with reading(path), path.open("rb") as file:
        before = os.fstat(file.fileno())
        _check_size(path, before, expected, source)
        known = _stamp(path, before, expected).exists()
        hashed = None if known else Hashed(file)
        yield hashed or file, before.st_size
        after = os.fstat(file.fileno())
    if hashed:
        actual = WeightFile(before.st_size, hashed.sha256.hexdigest())
        _judge(path, (before, after), actual, expected, source)
    elif _facts(before) != _facts(after):
        raise DamagedFile(path, "it was changed while it was read")


def _check_size(path: Path, stat: os.stat_result, expected: WeightFile, source: str) -> None:
    if stat.st_size != expected.size:
        raise DamagedFile(path, f"{stat.st_size} bytes, {source} says {expected.size}")


def _judge(
    path: Path,
    states: tuple[os.stat_result, os.stat_result],
    actual: WeightFile,
    expected: WeightFile,
    source: str,
) -> None:
    """Raise DamagedFile where a file differs; record the verdict if it was the same throughout."""
    before, after = states
    stamp = _stamp(path, before, expected)
    with suppress(OSError):  # a cache that cannot be written costs a hash per load
        stamp.unlink(missing_ok=True)
        if actual == expected and _facts(before) == _facts(after):
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()
    if actual != expected:
        raise DamagedFile(
            path,
            f"sha256 {actual.sha256[:12]}..., {source} says {expected.sha256[:12]}...: "
            "it was changed or damaged",
        )


def _facts(stat: os.stat_result) -> tuple[int, ...]:
    """Return what changes with a file's content.

    ctime too: whoever changes a file can set mtime back, but not this.
    """
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


def _stamp(path: Path, stat: os.stat_result, expected: WeightFile) -> Path:
    """Return the file whose presence says that `path`, in this state, was as expected."""
    state = f"{path.resolve()}|{_facts(stat)}|{expected.sha256}"
    return cache_folder() / "verified" / hashlib.sha256(state.encode()).hexdigest()


def cache_folder() -> Path:
    """Return the folder for what zoo keeps between runs: $ZOO_CACHE or the user's cache folder."""
    chosen = os.environ.get("ZOO_CACHE")
    return as_path(chosen, "ZOO_CACHE") if chosen else user_cache()


def check_weights(folder: Path, weights: Weights) -> list[Path]:
    """Return the weight files in a model folder, each compared with its size and sha256.

    Raises:
        ZooError: a file is missing or not what config.json says.
    """
    for name, expected in weights.files.items():
        check_file(folder / name, expected)
    return [folder / name for name in weights.files]
