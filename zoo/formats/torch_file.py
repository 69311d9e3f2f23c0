"""The three layouts in which torch writes numbers beside a pickle, read without torch.load.

A zip of today, NAME/data.pkl with NAME/data/KEY for every storage, none compressed; the file before
2020, pickles of a magic number, the version, the system, the content and the keys, then the
storages; the latter again as bytes inside of a plain pickle.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import torch
from torch import Tensor

from zoo.formats.machine import Budget, Machine, Refused, TooMuch
from zoo.formats.names import Resolve, resolver

ZIPPED = b"PK\x03\x04"
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_CONTENT = re.compile(r"([^/]+)/data\.pkl")
_COUNT = 8  # bytes of a storage's length


def read(file: IO[bytes], size: int, described: str | None) -> Any:
    """Return what a pickle or one of torch's files holds, its tensors on the CPU.

    Args:
        file: open at its start.
        size: of it, in bytes.
        described: as for `zoo.formats.names.resolver`.

    Raises:
        Refused: it asks for what is no data.
        TooMuch: it asks for more memory or time than its size allows.
        Exception: it is none of these files.
    """
    budget = Budget(size)
    resolve = resolver(described, {("torch.storage", "_load_from_bytes"): _from_bytes})
    zipped = file.read(len(ZIPPED)) == ZIPPED
    file.seek(0)
    if zipped:
        return _zipped(file, resolve, budget)
    machine = Machine(file, resolve, budget)
    found = machine.load()
    return _legacy(machine, file, size) if _is_magic(found) else found


def _is_magic(found: Any) -> bool:
    return isinstance(found, int) and found == _MAGIC


def _from_bytes(budget: Budget, raw: Any) -> Any:
    """Return the storage that torch wrote into a pickle, a flat tensor."""
    if not isinstance(raw, bytes | bytearray):
        raise Refused("numbers that are no bytes")
    budget.take(len(raw))
    file = io.BytesIO(raw)
    machine = Machine(file, resolver(None, {}), budget)
    if not _is_magic(machine.load()):
        raise Refused("numbers that are not torch's")
    return _legacy(machine, file, len(raw))


class _Storages:
    """The numbers beside a pickle, by key: bytes, which a tensor sees as numbers of its kind."""

    def __init__(self, budget: Budget, size: int) -> None:
        self.budget, self.left = budget, size
        self.found: dict[str, Tensor] = {}

    def numbers(self, mark: Any) -> tuple[str, Tensor]:
        """Return the key of the storage that a mark in the pickle means, and a view of it.

        Raises:
            TooMuch: there are more numbers than the file has bytes.
        """
        match mark:
            case ("storage" | b"storage", torch.dtype() as kind, str() as key, _, int(count)):
                pass
            case ("storage" | b"storage", torch.dtype() as kind, str() as key, _, int(count), None):
                pass
            case _:
                raise Refused("something outside of it")
        size = max(0, count) * kind.itemsize
        if key not in self.found:
            self.left -= size
            if self.left < 0:
                raise TooMuch("more memory than there is data in it")
            self.found[key] = torch.empty(size, dtype=torch.uint8, device="cpu")
        if len(self.found[key]) != size:
            raise Refused("numbers of two lengths")
        return key, self.found[key].view(kind)

    def fill(self, key: str, file: IO[bytes]) -> None:
        """Read the numbers of one storage."""
        into = self.found[key].numpy().data
        while len(into):
            part = file.read(min(len(into), 2**24))
            if not part:
                raise ValueError("it ends before its numbers")
            into[: len(part)] = part
            into = into[len(part) :]


def _zipped(file: IO[bytes], resolve: Resolve, budget: Budget) -> Any:
    """Return what a zip holds; each entry is read once, where the pickle first asks for it."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(_compressed(entry) for entry in entries.values()):
            raise Refused("compressed entries, which torch does not write")
        if sum(entry.file_size for entry in entries.values()) > budget.size:
            raise TooMuch("more data than there is in it")
        roots = [match[1] for name in entries if (match := _CONTENT.fullmatch(name))]
        if len(roots) != 1:
            raise ValueError("a zip without one data.pkl")
        order = entries.get(f"{roots[0]}/byteorder")
        if order is not None and archive.read(order) != b"little":
            raise Refused("numbers whose largest byte is first")
        storages = _Storages(budget, budget.size)

        def storage(mark: Any) -> Tensor:
            seen = len(storages.found)
            key, numbers = storages.numbers(mark)
            if len(storages.found) > seen:
                entry = entries[f"{roots[0]}/data/{key}"]
                if entry.file_size != numbers.nbytes:
                    raise Refused("numbers of two lengths")
                with archive.open(entry) as opened:
                    storages.fill(key, opened)
            return numbers

        with archive.open(entries[f"{roots[0]}/data.pkl"]) as pickled:
            return Machine(pickled, resolve, budget, storage).load()


def _compressed(entry: zipfile.ZipInfo) -> bool:
    return entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size


def _legacy(machine: Machine, file: IO[bytes], size: int) -> Any:
    """Return what a file of before 2020 holds, behind its magic number."""
    version, system = machine.load(), machine.load()
    if version != _VERSION:
        raise Refused("another version of torch's files")
    if isinstance(system, Mapping) and system.get("little_endian") is False:
        raise Refused("numbers whose largest byte is first")
    storages = _Storages(machine.budget, size)
    sizes: dict[str, int] = {}

    def storage(mark: Any) -> Tensor:
        key, numbers = storages.numbers(mark)
        sizes.setdefault(key, len(numbers))
        return numbers

    machine.persistent = storage
    found = machine.load()
    machine.persistent = None
    keys = machine.load()
    if not isinstance(keys, list) or len(keys) != len(sizes) or {*sizes} != {*keys}:
        raise Refused("other numbers than it has")
    for key in keys:
        if int.from_bytes(file.read(_COUNT), "little") != sizes[key]:
            raise Refused("numbers of two lengths")
        storages.fill(key, file)
    return found
