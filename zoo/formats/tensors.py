"""Files of tensors: torch.save's, read by torch's own loader of weights, and safetensors."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, error_context, one_line
from zoo.formats.safe import Readable, read_safe

# Numbers that a tensor may repeat; more would fill the memory from a file of some bytes.
MOST_REPEATED = 2**20
# What DataParallel and torch.compile put in front of every name.
_WRAPPERS = ("module.", "_orig_mod.")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?=\.)")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the state in a file of safetensors or of torch.save, names without wrappers.

    Raises:
        ZooError: it is one of several shards, no such file, or holds more than tensors.
    """
    check_whole(path)
    safe = path.suffix == ".safetensors"
    return unwrapped(read_weights([path]) if safe else state_of(read_torch(path), path))


def check_whole(path: Path) -> None:
    """Raise ZooError for a file whose name says that it is one of several shards."""
    if shard := _SHARD.search(path.name):
        raise ZooError(
            f"{path} is shard {int(shard[1])} of {int(shard[2])} of a network; only whole ones are "
            "read: save it in one file"
        )


def read_torch(path: Path) -> Any:
    """Return what torch.save wrote, on the CPU.

    Raises:
        ZooError: it is no such file, or holds more than tensors and plain containers.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated storages, which old files are full of
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        text = one_line(error)
        named = re.search(r"GLOBAL ([\w.]+)", text)
        asks = f" ({named[1]})" if named else ""
        raise ZooError(
            f"{path} is not a file of tensors only{asks}; nothing of it was run"
        ) from error


def state_of(value: Any, where: Path | str) -> dict[str, Tensor]:
    """Return a mapping of names to tensors, as it is, or the averages {"ema": state} in it.

    Raises:
        ZooError: it is none.
    """
    if isinstance(value, dict) and isinstance(value.get("ema"), dict):
        value = value["ema"]
    if not isinstance(value, dict) or not value:
        raise ZooError(f"{where} holds a {type(value).__name__}; expected names with tensors")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ZooError(
                f"{where}: {str(name)[:100]!r} is a {type(tensor).__name__}; expected tensors only"
            )
        if tensor.layout is not torch.strided or _repeats(tensor):
            raise ZooError(f"{where}: {name[:100]!r} does not hold every one of its numbers")
    return value


def unwrapped(state: Mapping[str, Tensor], *more: str) -> dict[str, Tensor]:
    """Return a state under the network's own names, without prefixes that all of them have.

    Args:
        state: tensors by name.
        more: prefixes besides "module." and "_orig_mod.", such as "model.".
    """
    found = dict(state)
    prefixes = (*_WRAPPERS, *more)
    while found:
        first = next(iter(found))
        prefix = next((p for p in prefixes if first.startswith(p)), None)
        if prefix is None or not all(name.startswith(prefix) for name in found):
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _repeats(tensor: Tensor) -> bool:
    """Return whether it repeats its numbers so often that to write them down fills the memory."""
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.numel() > max(stored, MOST_REPEATED)


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
