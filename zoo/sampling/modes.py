"""How a model computes, whatever the mode it is in and the caller's: evaluation, no gradient."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)
P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
# Modules whose own mode is training: how many calls, of all threads, need them in evaluation mode.
_held: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Keep a module and those in it in evaluation mode inside the block: no dropout.

    Each of them gets its own mode back when the last block that needs it ends, in any thread.
    """
    with _lock:
        held = [m for m in _inside(module) if m.training or m in _held]
        for m in held:
            _held[m] = _held.get(m, 0) + 1
            m.training = False
    try:
        yield
    finally:
        with _lock:
            for m in held:
                _held[m] -= 1
                if not _held[m]:
                    del _held[m]
                    m.training = True


def _inside(module: nn.Module) -> list[nn.Module]:
    """Return a module and all in it, each once; `modules` would take ten times as long."""
    found = {id(module): module}
    left = [module]
    while left:
        for child in left.pop()._modules.values():
            if child is not None and id(child) not in found:
                found[id(child)] = child
                left.append(child)
    return [*found.values()]


def evaluating(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Return a method of a module that computes in evaluation mode and without gradient.

    Its result is an ordinary tensor also where the caller is in torch.inference_mode: it may be
    changed in place and trained on. What lasts may go on in inference mode inside.
    """

    @wraps(method)
    def call(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with torch.inference_mode(False), torch.no_grad(), evaluation_mode(self):
            return method(self, *args, **kwargs)

    return call
