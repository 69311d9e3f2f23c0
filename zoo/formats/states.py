"""The state of a network in a file: names with tensors, without what training put around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.formats.reader import read_torch
from zoo.formats.tensors import check_whole, read_weights

# What DataParallel puts in front of every name, and torch.compile before those of what it compiled.
_PARALLEL, _COMPILED = "module.", "_orig_mod."
# Where training scripts keep the state, averages first.
_STATES = ("ema", "state_dict", "model")


def read_tensors(path: Path, *more: Path) -> dict[str, Tensor]:
    """Return the state in a file of safetensors or torch.save: tensors of any shape by name.

    Args:
        path: of the file, or of the first shard of several.
        more: the other shards.

    Raises:
        ZooError: it is one of several shards and alone, no such file, holds more than tensors, or
            two shards hold one name.
    """
    if not more:
        check_whole(path)
    found: dict[str, Tensor] = {}
    for file in (path, *more):
        safe = file.suffix == ".safetensors"
        part = read_weights([file]) if safe else state_of(read_torch(file), file)
        if twice := found.keys() & part.keys():
            raise ZooError(f"{file} repeats the tensor {min(twice)!r:.100} of another shard")
        found |= part
    return unwrapped(found)


def state_of(value: Any, where: Path | str) -> dict[str, Tensor]:
    """Return a mapping of names to tensors of any shape, or the one in {"ema": state, ...}.

    Of what a training script keeps, the averages "ema" are taken, else "state_dict", else "model".

    Raises:
        ZooError: it is none.
    """
    if isinstance(value, dict):
        value = next((v for key in _STATES if isinstance(v := value.get(key), dict)), value)
    if not isinstance(value, dict) or not value:
        raise ZooError(f"{where} holds a {type(value).__name__}; expected names with tensors")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ZooError(
                f"{where}: {str(name)[:100]!r} is a {type(tensor).__name__}; expected tensors only"
            )
        if tensor.layout is not torch.strided:
            raise ZooError(f"{where}: {name[:100]!r} does not hold every one of its numbers")
    return value


def unwrapped(state: Mapping[str, Tensor], *more: str) -> dict[str, Tensor]:
    """Return a state, shapes as they are, under the network's own names: no prefix that all have.

    Args:
        state: tensors by name.
        more: prefixes besides "module.", such as "model."; "_orig_mod." goes wherever it stands.
    """
    found = {name.replace(_COMPILED, ""): tensor for name, tensor in state.items()}
    if len(found) < len(state):  # a layer that was compiled, and itself
        return dict(state)
    prefixes = (_PARALLEL, *more)
    while found:
        first = next(iter(found))
        prefix = next((p for p in prefixes if first.startswith(p)), None)
        if prefix is None or not all(name.startswith(prefix) for name in found):
            break
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found
