"""safetensors, read from memory: a header of names, dtypes, shapes and places, then the numbers.

The safetensors package maps a file by its name: whatever is written there afterwards becomes the
tensors. Here the tensors are views of memory that was filled once.
Source: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import math
import sys
from typing import Annotated

import msgspec
import torch
from msgspec import Meta, Struct
from torch import Tensor

from zoo.errors import ZooError, one_line
from zoo.files import Content

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


def header_length(start: bytes | Content, size: int) -> int:
    """Return the length of the header of a file of `size` bytes that begins with `start`.

    Raises:
        ZooError: it is too long to be read without care for memory, or longer than the file.
    """
    length = int.from_bytes(start[:_LENGTH], "little")
    if size < _LENGTH or length > min(MAX_HEADER, size - _LENGTH):
        raise ZooError(
            f"a header of {length} bytes; at most {MAX_HEADER}, and no more than the file, are read"
        )
    return length


def tensors_in(content: Content) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file in memory, as views of it where they are aligned.

    Raises:
        ZooError: it is none, or its places overlap, leave gaps or lie outside.
    """
    begin = _LENGTH + header_length(content, len(content))
    places = _places(bytes(content[_LENGTH:begin]))
    # Numbers of whole sizes of their own: the header's length decides nothing.
    numbers = torch.frombuffer(content, dtype=torch.uint8)[begin:] if places else torch.empty(0)
    found: dict[str, Tensor] = {}
    end = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].data_offsets):
        first, last = place.data_offsets
        dtype = _DTYPES.get(place.dtype)
        if dtype is None:
            raise ZooError(f"the tensor {name[:100]!r} has the unknown dtype {place.dtype[:20]!r}")
        if first != end or last - first != math.prod(place.shape) * dtype.itemsize:
            raise ZooError(f"the place of the tensor {name[:100]!r} is not that of its shape")
        if last > len(numbers):
            break
        try:
            found[name] = _tensor(numbers[first:last], dtype).reshape(place.shape)
        except RuntimeError as error:  # no numbers, in more dimensions than there are integers
            raise ZooError(f"the tensor {name[:100]!r} has an impossible shape") from error
        end = last
    if end != len(content) - begin or len(found) != len(places):
        raise ZooError(f"{len(content) - begin} bytes of numbers; the header has places for others")
    return found


def _places(raw: bytes) -> dict[str, _Place]:
    try:
        header = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        msgspec.json.decode(header.pop(_METADATA, msgspec.Raw(b"{}")), type=dict[str, str])
        return {name: msgspec.json.decode(text, type=_Place) for name, text in header.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ZooError(f"its header is none: {one_line(error)[:200]}") from error


def _tensor(raw: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the numbers in `raw` bytes, little-endian as the format has them."""
    if raw.data_ptr() % dtype.itemsize or raw.storage_offset() % dtype.itemsize:
        raw = raw.clone()
    if sys.byteorder == "big" and dtype.itemsize > 1:
        raw = raw.reshape(-1, dtype.itemsize).flip(1).reshape(-1)
    return raw.view(dtype)
