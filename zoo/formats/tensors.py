"""Files of safetensors."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from zoo.errors import ZooError, one_line

# A tensor takes about 100 bytes of header; the largest published image models have 300 kB.
_MAX_HEADER = 4_000_000
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?=\.)")


def check_whole(path: Path) -> None:
    """Raise ZooError for a file whose name says that it is one of several shards."""
    if shard := _SHARD.search(path.name):
        raise ZooError(
            f"{path} is shard {int(shard[1])} of {int(shard[2])} of a network; only whole ones are "
            "read: save it in one file"
        )


def read_weights(paths: list[Path]) -> dict[str, Tensor]:
    """Return the tensors of one or more safetensors files.

    Raises:
        ZooError: a file is not safetensors, or two files hold one name.
    """
    tensors: dict[str, Tensor] = {}
    for path in paths:
        _check_header(path)
        try:
            part = load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            reason = one_line(error)
            raise ZooError(f"{path} is not a readable safetensors file: {reason}") from error
        if twice := tensors.keys() & part.keys():
            raise ZooError(f"{path} repeats the tensor {min(twice)!r} of another weight file")
        tensors |= part
    return tensors


def _check_header(path: Path) -> None:
    """Raise ZooError if the header, 8 bytes in, is too long to be read without care for memory."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(_MAX_HEADER, path.stat().st_size):
        raise ZooError(
            f"{path} is not a readable safetensors file: a header of {length} bytes; at most "
            f"{_MAX_HEADER}, and no more than the file, are read"
        )
