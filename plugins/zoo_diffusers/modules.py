"""Classes of diffusers, built from the settings that it saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from zoo import ZooError

NEEDS = "diffusers>=0.42"
R = TypeVar("R")


def build(name: str, settings: Mapping[str, Any]) -> nn.Module:
    """Return the class `name` of diffusers with its settings.

    Settings that this version does not know are left out, as there.

    Raises:
        ZooError: diffusers is not installed; a setting is neither true nor false that should be.
    """
    try:
        import diffusers

        kind = getattr(diffusers, name)
    except ImportError as error:
        raise ZooError(
            f"the network needs the package diffusers, which cannot be imported ({error}): "
            f"pip install '{NEEDS}'"
        ) from error
    known = inspect.signature(kind.__init__).parameters
    given = {k: v for k, v in settings.items() if k in known}
    for key, value in given.items():
        if isinstance(known[key].default, bool) and not isinstance(value, bool | None):
            raise ZooError(f"{name}: {key} = {value!r:.60}; expected true or false")
    found: nn.Module = kind(**given)
    return found


def run(name: str, call: Callable[[], R]) -> R:
    """Return call(), which asks a network of diffusers.

    Raises:
        ZooError: it fails, as by settings that fit its weights and go with no input, such as a
            negative number of heads. Where memory is short, torch's own error is kept.
    """
    try:
        return call()
    except (ZooError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "memory" in str(error):
            raise
        raise ZooError(f"{name} failed: {error}") from error
