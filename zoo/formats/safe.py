"""safetensors, read once: a header of names, dtypes, shapes and places, then the numbers.

The safetensors package maps a file that it opens by name: whatever is written there afterwards
becomes the tensors. Here a file that is open already is read into memory of the tensors' own.
Source: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import math
import sys
from typing import Annotated, Protocol

import msgspec
import torch
from msgspec import Meta, Struct
from torch import Tensor

from zoo.errors import ZooError, one_line, shown

# A tensor takes about 100 bytes of header; the largest published image models have 300 kB.
MAX_HEADER = 4_000_000
_LENGTH = 8
_METADATA = "__metadata__"
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "U16": torch.uint16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "F32": torch.float32,
    "I64": torch.int64,
    "U64": torch.uint64,
    "F64": torch.float64,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
_Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Place(Struct, frozen=True, forbid_unknown_fields=True):
    """What the header says of a tensor; offsets are from the end of the header."""

    dtype: str
    shape: Annotated[tuple[_Whole, ...], Meta(max_length=64)]
    data_offsets: tuple[_Whole, _Whole]


class Readable(Protocol):
    """A file open for reading, from its first byte."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a buffer with the next bytes; return how many there were."""


def read_safe(file: Readable, size: int) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, every byte of it read once and in order.

    Args:
        file: open, at its beginning.
        size: of the file, in bytes.

    Raises:
        ZooError: it is none, or its places overlap, leave gaps or lie outside.
    """
    length = int.from_bytes(_read(file, _LENGTH if size >= _LENGTH else size), "little")
    if length > min(MAX_HEADER, size - _LENGTH):
        raise ZooError(
            f"a header of {length} bytes; at most {MAX_HEADER}, and no more than the file, are read"
        )
    places = _places(bytes(_read(file, length)))
    found: dict[str, Tensor] = {}
    end = 0
    for name, place in places:
        first, last = place.data_offsets
        dtype = _DTYPES.get(place.dtype)
        if dtype is None:
            raise ZooError(f"the tensor {name[:100]!r} has the unknown dtype {place.dtype[:20]!r}")
        if first != end or last - first != math.prod(place.shape) * dtype.itemsize:
            raise ZooError(f"the place of the tensor {name[:100]!r} is not that of its shape")
        if last > size - _LENGTH - length:
            raise ZooError(f"the tensor {name[:100]!r} lies behind the end of the file")
        found[name] = _tensor(file, place, dtype)
        end = last
    if end != size - _LENGTH - length:
        raise ZooError(f"{size - _LENGTH - length - end} bytes belong to no tensor")
    return found


def _read(file: Readable, count: int) -> bytearray:
    found = bytearray(count)
    _fill(file, memoryview(found))
    return found


def _fill(file: Readable, buffer: memoryview) -> None:
    if len(buffer) and file.readinto(buffer) != len(buffer):
        raise ZooError("the file ends before its last byte")


def _places(raw: bytes) -> list[tuple[str, _Place]]:
    """Return what the header says of each tensor, in the order of the file."""
    try:
        header = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        msgspec.json.decode(header.pop(_METADATA, msgspec.Raw(b"{}")), type=dict[str, str])
        found = [(name, msgspec.json.decode(text, type=_Place)) for name, text in header.items()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ZooError(f"its header is none: {one_line(error)[:200]}") from error
    return sorted(found, key=lambda item: item[1].data_offsets)


def _tensor(file: Readable, place: _Place, dtype: torch.dtype) -> Tensor:
    """Return the next numbers of the file, little-endian as the format has them."""
    first, last = place.data_offsets
    raw = torch.empty(last - first, dtype=torch.uint8)
    _fill(file, raw.numpy().data)
    if sys.byteorder == "big":
        raw = raw.reshape(-1, dtype.itemsize).flip(1).reshape(-1)
    try:
        return raw.view(dtype).reshape(place.shape)
    except RuntimeError as error:  # no numbers, in more dimensions than integers can count
        raise ZooError(f"a tensor of the impossible shape {shown(place.shape)}") from error
