"""Files of torch.save, read by torch's own loader of weights: tensors and plain containers."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import ZooError, one_line

# Numbers that a tensor may repeat; more would fill the memory from a file of some bytes.
MOST_REPEATED = 2**20


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
    """Return a mapping of names to tensors, as it is.

    Raises:
        ZooError: it is none.
    """
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


def _repeats(tensor: Tensor) -> bool:
    """Return whether it repeats its numbers so often that to write them down fills the memory."""
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.numel() > max(stored, MOST_REPEATED)
