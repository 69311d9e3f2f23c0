"""Weights: safetensors only, strict names and shapes, loaded without a copy where possible."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from zoo.config.model import Config
from zoo.config.part import Part
from zoo.errors import PluginError, ZooError, did_you_mean, error_context
from zoo.host.build import kernel_of, network_of

if TYPE_CHECKING:
    from zoo.interfaces import FieldKernel, Network

_MOST_TENSORS = 100_000
# What a network may have beside its weights: filters, positions, 16 MB of them.
_SPARE_NUMBERS = 2**22


def save_weights(path: Path, state: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Write a network's state as safetensors, floating-point tensors in `dtype` if given.

    Each tensor is written on its own, also where two share their numbers. One with a number that
    `dtype` cannot hold (65,504 is the largest of float16) keeps its own dtype.
    """

    def copy(v: Tensor) -> Tensor:
        wanted = dtype if dtype and v.is_floating_point() else v.dtype
        found = v.detach().to("cpu", wanted, copy=True).contiguous()
        fits = wanted == v.dtype or bool((found.isfinite() | ~v.isfinite().cpu()).all())
        return found if fits else v.detach().to("cpu", copy=True).contiguous()

    save_file({name: copy(v) for name, v in state.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes 0600, which a shared folder or a wheel would keep


def count_parameters(network: nn.Module) -> int:
    """Return how many numbers of a network are trained; buffers are not."""
    return sum(p.numel() for p in network.parameters())


def _state_of(network: Network, tensors: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
    """Return the state of a network that tensors stand for.

    Raises:
        ZooError: the first difference in names, shapes or kinds of number.
    """
    with error_context(where):
        tensors = network.state_of(tensors)
    expected = network.state_dict()
    for name, needed in expected.items():
        shape = tuple(needed.shape)
        if name not in tensors:
            raise ZooError(f"{where}: tensor {name!r} is missing; {did_you_mean(name, tensors)}")
        if tuple(tensors[name].shape) != shape:
            found = tuple(tensors[name].shape)
            raise ZooError(f"{where}: tensor {name!r} has shape {found}, the network needs {shape}")
        dtype = tensors[name].dtype
        if dtype != needed.dtype and not (dtype.is_floating_point and needed.is_floating_point()):
            raise ZooError(f"{where}: tensor {name!r} is {dtype}, the network needs {needed.dtype}")
    if extra := sorted(tensors.keys() - expected.keys()):
        raise ZooError(f"{where}: tensor {extra[0]!r} is not one of the network's")
    return tensors


class _Unset(TorchFunctionMode):
    """Leave out what torch.nn.init does: tensors of the meta device have no numbers to set."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        named = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else named["tensor"]
        return func(*args, **named)


@contextmanager
def _at_most(count: int, where: str, numbers: float = math.inf) -> Iterator[None]:
    """Stop building networks at so many tensors: a config may ask for a million blocks.

    Args:
        count: of parameters and buffers.
        where: how errors name the config.
        numbers: in them.

    Raises:
        ZooError: more are registered, by any module of this thread.
    """
    left, builder = count, threading.get_ident()

    def register(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        nonlocal left, numbers
        if threading.get_ident() != builder:  # the hook is the whole process's
            return
        left -= 1
        numbers -= 0 if tensor is None or is_lazy(tensor) else tensor.numel()
        if left < 0 or numbers < 0:
            raise ZooError(f"{where}: the network is far larger than its weights")

    handles = (
        register_module_parameter_registration_hook(register),
        register_module_buffer_registration_hook(register),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def network_with(
    build: Callable[[], Network], tensors: Mapping[str, Tensor], where: str
) -> Network:
    """Return build() with `tensors` as its state, names and shapes matched strictly.

    Built on the meta device, so that nothing is initialised only to be overwritten. A network that
    needs numbers while it is built, or keeps tensors outside its state, is built for real; on
    either it may not grow far beyond its weights.
    """
    limit = 4 * len(tensors) + 1000
    numbers = 4 * sum(tensor.numel() for tensor in tensors.values()) + _SPARE_NUMBERS
    network = _on_meta(build, limit, where, numbers)
    if network is not None:
        state = _state_of(network, tensors, where)
        network.load_state_dict(state, assign=True)
        if not _keeps_meta(network):
            return network
    with _at_most(limit, where, numbers):
        network = build()
    network.load_state_dict(_state_of(network, tensors, where))
    return network


def untrained_parameters(config: Config, where: str) -> int:
    """Return how many numbers the network of a config trains; no weights are needed.

    Raises:
        ZooError: a part cannot be built.
    """
    kernel = kernel_of(config.lifted_from or config.kernel, config.data.dim)

    def build() -> Network:
        return network_of(config.network, config.data.state_shape, kernel)

    network = _on_meta(build, _MOST_TENSORS, where)
    if network is None:
        with _at_most(_MOST_TENSORS, where):
            network = build()
    return count_parameters(network)


def check_state(network: Network, part: Part, shape: tuple[int, ...], kernel: FieldKernel) -> None:
    """Check before it is written that the state of a network is one that `part` loads again.

    Raises:
        ZooError: a layer was replaced or wrapped, so that names or shapes of tensors differ.
    """
    where = f"the network cannot be saved as {part.use!r}"
    fresh = _on_meta(lambda: network_of(part, shape, kernel), _MOST_TENSORS, where)
    if fresh is not None:
        _state_of(fresh, network.state_dict(), where)


def _on_meta(
    build: Callable[[], Network], limit: int, where: str, numbers: float = math.inf
) -> Network | None:
    """Return build() on the meta device, None if the network needs numbers while it is built."""
    with suppress(PluginError), torch.device("meta"), _Unset(), _at_most(limit, where, numbers):
        return build()
    return None


def _keeps_meta(network: nn.Module) -> bool:
    """Return whether a tensor of the network has no numbers: one that is no part of its state."""
    plain = (value for module in network.modules() for value in vars(module).values())
    kept = chain(network.parameters(), network.buffers(), plain)
    return any(isinstance(value, Tensor) and value.is_meta for value in kept)
