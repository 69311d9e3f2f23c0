"""Devices by name."""

from __future__ import annotations

import torch

from zoo.errors import ZooError


def parse_device(name: str) -> torch.device:
    """Return the device called `name`.

    Raises:
        ZooError: no such kind of device, or it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split()).split(". ")[0]
        raise ZooError(f"device {name!r} is not available here: {reason}") from error
    return device
