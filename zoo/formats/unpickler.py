"""A pickle read as data: tensors and plain containers are built, objects are described, no more.

A pickle is a program that names functions and calls them. Here a name stands for one of three
things: what rebuilds a tensor or a container, written anew below; an object of torch.nn or of what
a format asks for, which becomes an `Inert` record; or nothing at all, which ends the reading. No
name is ever imported.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from zoo.errors import ZooError, one_line
from zoo.formats.tensors import MOST_REPEATED, check_whole, read_torch, read_weights

# Modules whose objects are described and not built: torch's own networks, and arrays.
_DESCRIBED = r"torch\.nn\.|torch\.distributions\.|numpy(\.|$)"
_TOO_MANY_DIMS = 16
_DEEPEST = 50


class Inert:
    """An object of the file, not built: its name, the arguments it was called with, its state.

    Attributes:
        module, name: what the file calls its class or function.
        args: the arguments.
        state: what the file would have set on it.
        items: what the file would have put into it, where it is a mapping or a list.
    """

    module: str = ""
    name: str = ""
    args: tuple[Any, ...]
    state: Any
    items: dict[Any, Any]

    def __new__(cls, *args: Any, **_: Any) -> Inert:
        """Keep the arguments; pickle does not always call __init__."""
        made = super().__new__(cls)
        made.args, made.state, made.items = args, None, {}
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Take an element of what is a list in the file."""
        self.items[len(self.items)] = value

    def extend(self, values: Iterable[Any]) -> None:
        """Take elements of what is a list in the file."""
        for value in values:
            self.append(value)


class Refused(pickle.UnpicklingError):
    """The file names something that is neither data nor described."""


def _storage(raw: bytes) -> Any:
    """Return the numbers that torch wrote into a pickle of its own, by torch's safe loader."""
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a tensor of its own numbers, within its storage."""
    size, stride = tuple(size), tuple(stride)
    whole = all(isinstance(n, int) and n >= 0 for n in (*size, *stride, offset))
    if not whole or len(size) != len(stride) or len(size) > _TOO_MANY_DIMS:
        raise Refused("a tensor of an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    repeats = math.prod(size) > max(storage.size(), MOST_REPEATED)
    if repeats or (0 not in size and last >= storage.size()):
        raise Refused("a tensor that is larger than its numbers")
    flat = torch.empty(0, dtype=storage.dtype).set_(storage.untyped())
    return flat.as_strided(size, stride, offset).clone()


def _plain_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise Refused(f"bytes written in {encoding}")
    return text.encode("latin1")


def _reconstructed(cls: Any, _base: Any, content: Any) -> Any:
    """Return a record of a class of the file: what copyreg does for old protocols."""
    if not (isinstance(cls, type) and issubclass(cls, Inert)):
        raise Refused("an object that is no data")
    made = cls()
    if isinstance(content, dict):
        made.items.update(content)
    return made


# Modules of Python 2, which protocols up to 2 name.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_BUILT: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "object"): object,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("_codecs", "encode"): _plain_bytes,
    ("copyreg", "_reconstructor"): _reconstructed,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch.nn.parameter", "Parameter"): lambda data, *_: data,
}


class _Reader(pickle.Unpickler):
    """pickle's own machine, with all names resolved here."""

    def __init__(self, file: IO[bytes], described: str) -> None:
        super().__init__(file)
        self.described = re.compile(f"{_DESCRIBED}|{described}" if described else _DESCRIBED)

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for; Refused for all that is no data."""
        if built := _BUILT.get((_RENAMED.get(module, module), name)):
            return built
        if module == "torch" and isinstance(kind := vars(torch).get(name), torch.dtype):
            return kind
        if self.described.match(module):
            return type(name, (Inert,), {"module": module, "name": name})
        raise Refused(f"{module}.{name}")

    def persistent_load(self, _: Any) -> Any:
        """Refuse what lies outside of the file."""
        raise Refused("something outside of it")


def read_data(path: Path, described: str = "") -> Any:
    """Return what a pickle or a file of torch.save or safetensors holds; see `read_pickle`.

    Raises:
        ZooError: it asks for more than tensors, containers and inert records, or is none of these.
    """
    check_whole(path)
    if path.suffix == ".safetensors":
        return read_weights([path])
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        found = None if zipped else read_pickle(file, path, described)
    # torch.save before its format of 2020 begins with a pickle of one number.
    return read_torch(path) if zipped or isinstance(found, int) else found


def read_pickle(file: IO[bytes], where: Path | str, described: str = "") -> Any:
    """Return what a pickle holds: containers, tensors, numbers, text, and `Inert` records.

    Args:
        file: the pickle.
        where: how errors name it.
        described: a regular expression of further modules whose objects become records.

    Raises:
        ZooError: it names anything else, or is no pickle.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="TypedStorage is deprecated")
            return _Reader(file, described).load()
    except Refused as error:
        raise ZooError(
            f"{where} asks for {error}, which is neither a tensor nor a plain container; nothing "
            "of it was run"
        ) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        reason = one_line(error)[:200]
        raise ZooError(f"{where} is not a pickle that can be read: {reason}") from error


def attributes(module: object) -> Mapping[str, Any] | None:
    """Return the attributes of a module of the file, None if it is no module.

    A class that carries its own source is a call of one function with one mapping, whose "state"
    has the attributes; the source itself is never looked at.
    """
    if not isinstance(module, Inert):
        return None
    state = _meta(module).get("state") if module.state is None else module.state
    return state if isinstance(state, Mapping) and "_modules" in state else None


def class_name(module: Inert) -> str:
    """Return the name of a module's class, "" where the file does not say."""
    name = _meta(module).get("class_name", "" if _meta(module) else module.name)
    return name if isinstance(name, str) else ""


def _meta(module: Inert) -> Mapping[str, Any]:
    """Return the mapping that a class with its own source is called with, {} for others."""
    meta = module.args[0] if module.args else None
    meta = meta.items if isinstance(meta, Inert) else meta
    return meta if isinstance(meta, Mapping) else {}


def state_dict(module: object, where: str, prefix: str = "", depth: int = 0) -> dict[str, Tensor]:
    """Return every parameter and persistent buffer by its dotted name.

    Raises:
        ZooError: a part of it is no module, or no tensor.
    """
    state = attributes(module)
    if state is None or depth > _DEEPEST:
        raise ZooError(f"{where}: {prefix.rstrip('.') or 'the network'} is not a torch module")
    hidden = state.get("_non_persistent_buffers_set") or ()
    found: dict[str, Tensor] = {}
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(state.get(kind), where, prefix + kind):
            if value is None or (kind == "_buffers" and name in hidden):
                continue
            if not isinstance(value, Tensor):
                raise ZooError(f"{where}: {prefix}{name} is a {type(value).__name__}, no tensor")
            found[prefix + name] = value
    for name, inner in _items(state["_modules"], where, prefix + "_modules"):
        if inner is not None:
            found |= state_dict(inner, where, f"{prefix}{name}.", depth + 1)
    return found


def _items(value: Any, where: str, name: str) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ZooError(f"{where}: {name} is not a mapping of names")
    return [*value.items()]
