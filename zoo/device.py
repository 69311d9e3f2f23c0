"""Devices by name."""

from __future__ import annotations

import torch

from zoo.errors import ZooError, one_line


def parse_device(name: str) -> torch.device:
    """Return the device called `name`.

    Raises:
        ZooError: no such kind of device, or it is not there.
    """
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # "meta" and the like hold no numbers
    except Exception as error:  # what a backend that is not there raises is its own affair
        reason = one_line(error).split(". ")[0]
        raise ZooError(f"device {name!r} is not available here: {reason}") from error
    return device
