"""What the names in a pickle stand for: nothing is ever imported.

A pickle is a program that names functions and calls them. Here a name stands for one of three
things: what rebuilds a tensor or a container, written anew below; an object of torch.nn or of what
a format asks for, which becomes an `Inert` record; or nothing at all, which ends the reading.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.formats.machine import Budget, Name, Refused, check_key

# Modules whose objects are described and not built: torch's own networks, and arrays.
_DESCRIBED = r"torch\.nn\.|torch\.distributions\.|numpy(\.|$)"
_MOST_DIMS = 16
# What an element of a container takes, in bytes.
_ELEMENT = 64

Resolve = Callable[[str, str], Any]


class Inert:
    """An object of the file, not built: its name, the arguments it was called with, its state.

    Attributes:
        module, name: what the file calls its class or function.
        args: the arguments.
        state: what the file would have set on it.
        items: what the file would have put into it, where it is a mapping or a list.
    """

    __slots__ = ("args", "items", "module", "name", "state")

    def __init__(self, module: str, name: str, args: tuple[Any, ...] = ()) -> None:
        self.module, self.name, self.args = module, name, args
        self.state: Any = None
        self.items: dict[Any, Any] = {}


def resolver(described: str | None, more: Mapping[tuple[str, str], Any]) -> Resolve:
    """Return the function that says what (module, name) stands for.

    Args:
        described: a regular expression of further modules whose objects become records; None for
            no records at all.
        more: what further names stand for, functions of the budget and the arguments.
    """
    modules = re.compile(f"{_DESCRIBED}|{described}" if described else _DESCRIBED)
    built = {**_BUILT, **more}

    def resolve(module: str, name: str) -> Any:
        if call := built.get((_RENAMED.get(module, module), name)):
            return Name(module, name, call)
        if module in _STORAGE_MODULES and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and isinstance(kind := vars(torch).get(name), torch.dtype):
            return kind
        if described is not None and modules.match(module):
            return Name(module, name, partial(_inert, module, name))
        raise Refused(f"{module[:100]}.{name[:100]}")

    return resolve


def _inert(module: str, name: str, _: Budget, *args: Any) -> Inert:
    return Inert(module, name, args)


def _elements(budget: Budget, values: Iterable[Any]) -> list[Any]:
    """Return what a container is made of, paid for: one list may be copied again and again."""
    if not isinstance(values, list | tuple | set | frozenset | dict):
        raise Refused(f"a container of a {type(values).__name__}")
    budget.take(_ELEMENT * len(values))
    return [*(values.items() if isinstance(values, dict) else values)]


def _mapping(kind: type[dict[Any, Any]], budget: Budget, content: Any = ()) -> dict[Any, Any]:
    pairs = _elements(budget, content)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise Refused("a mapping of what are no pairs")
    return kind((check_key(key), value) for key, value in pairs)


def _set(kind: Callable[[Iterable[Any]], Any], budget: Budget, content: Any = ()) -> Any:
    return kind(map(check_key, _elements(budget, content)))


def _plain_bytes(budget: Budget, text: str, encoding: str = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("bytes in an encoding other than latin1")
    budget.take(len(text))
    return text.encode("latin1")


def _byte_array(budget: Budget, content: Any = b"", encoding: str = "latin1") -> bytearray:
    if isinstance(content, str):
        return bytearray(_plain_bytes(budget, content, encoding))
    if isinstance(content, int) and content >= 0:
        budget.take(content)
        return bytearray(content)
    if not isinstance(content, bytes | bytearray):
        return bytearray(_elements(budget, content))
    budget.take(len(content))
    return bytearray(content)


def _complex(_: Budget, real: float, imaginary: float = 0.0) -> complex:
    return complex(float(real), float(imaginary))


def _object(_: Budget) -> object:
    return object()


def _reconstructed(budget: Budget, cls: Any, _base: Any, content: Any) -> Any:
    """Return a record of a class of the file: what copyreg does for old protocols."""
    made = cls.call(budget) if isinstance(cls, Name) else None
    if not isinstance(made, Inert):
        raise Refused("an object that is no data")
    if isinstance(content, dict):
        made.items = _mapping(dict, budget, content)
    return made


def _size(budget: Budget, content: Any = ()) -> torch.Size:
    sizes = _elements(budget, content)
    if not all(isinstance(n, int) and 0 <= n < 2**63 for n in sizes):
        raise Refused("a tensor of an impossible shape")
    return torch.Size(sizes)


def _device(_: Budget, kind: str, index: int | None = None) -> torch.device:
    return torch.device(kind) if index is None else torch.device(kind, index)


def rebuilt(
    budget: Budget, storage: Any, offset: int, size: Any, stride: Any, *others: Any
) -> Tensor:
    """Return a tensor within its storage, a flat tensor.

    Raises:
        Refused: it has an impossible shape, or reaches beyond its storage.
    """
    plain = isinstance(size, tuple | list) and isinstance(stride, tuple | list)
    if (
        not plain
        or not len(size) == len(stride) <= _MOST_DIMS
        or not all(isinstance(n, int) and 0 <= n < 2**63 for n in (*size, *stride, offset))
    ):
        raise Refused("a tensor of an impossible shape")
    if not isinstance(storage, Tensor) or storage.ndim != 1:
        raise Refused("a tensor without numbers")
    kind = next((value for value in others if isinstance(value, torch.dtype)), storage.dtype)
    flat, count = storage.view(kind), math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count and last >= len(flat):
        raise Refused("a tensor that is larger than its numbers")
    if count > max(len(flat), budget.size):
        raise Refused(
            "a tensor that is larger than its numbers: it does not hold every one of its numbers"
        )
    budget.take(count * kind.itemsize)  # what writing it down takes, where numbers are repeated
    return flat.as_strided(size, stride, offset)


def _itself(_: Budget, value: Any, *__: Any) -> Any:
    if not isinstance(value, Tensor):
        raise Refused("a parameter that is no tensor")
    return value


_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")
# What holds a tensor's numbers stands for their kind.
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
# Modules of Python 2, which protocols up to 2 name.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_BUILT: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): partial(_mapping, OrderedDict),
    ("builtins", "object"): _object,
    ("builtins", "dict"): partial(_mapping, dict),
    ("builtins", "list"): _elements,
    ("builtins", "set"): partial(_set, set),
    ("builtins", "frozenset"): partial(_set, frozenset),
    ("builtins", "bytearray"): _byte_array,
    ("builtins", "complex"): _complex,
    ("_codecs", "encode"): _plain_bytes,
    ("copyreg", "_reconstructor"): _reconstructed,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("torch._utils", "_rebuild_tensor"): rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): rebuilt,
    ("torch._utils", "_rebuild_tensor_v3"): rebuilt,
    ("torch._utils", "_rebuild_parameter"): _itself,
    ("torch._utils", "_rebuild_parameter_with_state"): _itself,
    ("torch.nn.parameter", "Parameter"): _itself,
}
