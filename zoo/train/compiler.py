"""torch.compile for the loss, where there is a compiler."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.errors import ZooError, one_line


def _probe(x: Tensor) -> Tensor:
    return (2 * x + 1).sin()


def compile_in_place(module: nn.Module, device: torch.device) -> None:
    """Let `module` run as code that torch.compile makes at its first call.

    A function of one line is compiled first: where that fails there is no compiler.

    Raises:
        ZooError: it failed.
    """
    try:
        torch.compile(_probe)(torch.ones(2, device=device))
    except Exception as error:  # Dynamo, the backend and the compiler each raise their own
        reason = one_line(error).split(" Set TORCH")[0][:300]
        raise ZooError(
            f"train.compile = true, but torch.compile does not work on {device} here: {reason}; "
            "install what it needs (a C++ compiler, on CUDA triton) or leave compile out"
        ) from error
    module.compile(dynamic=False)
