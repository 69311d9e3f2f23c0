"""Files of safetensors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from torch import Tensor

from zoo.errors import ZooError, error_context
from zoo.formats.safe import Readable, read_safe

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?=\.)")


def check_whole(path: Path) -> None:
    """Raise ZooError for a file whose name says that it is one of several shards."""
    if shard := _SHARD.search(path.name):
        raise ZooError(
            f"{path} is shard {int(shard[1])} of {int(shard[2])} of a network; only whole ones are "
            "read: save it in one file"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Readable, int]]:
    with path.open("rb") as file:
        yield file, os.fstat(file.fileno()).st_size


def read_weights(
    paths: Iterable[Path],
    opened: Callable[[Path], AbstractContextManager[tuple[Readable, int]]] = _opened,
) -> dict[str, Tensor]:
    """Return the tensors of one or more safetensors files, in memory of their own.

    Args:
        paths: of the files.
        opened: opens one of them; returns it with its size.

    Raises:
        ZooError: a file is not safetensors, or two files hold one name; and what `opened` raises.
    """
    tensors: dict[str, Tensor] = {}
    for path in paths:
        with (
            opened(path) as (file, size),
            error_context(f"{path} is not a readable safetensors file"),
        ):
            part = read_safe(file, size)
        if twice := tensors.keys() & part.keys():
            raise ZooError(f"{path} repeats the tensor {min(twice)!r} of another weight file")
        tensors |= part
    return tensors
