"""The loss as a module that DDP, FSDP or a compiler can wrap, and its optimiser."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2
from torch import Tensor, nn

from zoo.config.recipe import TrainPlan
from zoo.errors import ZooError, one_line
from zoo.interfaces import Network
from zoo.training.batch import Batch


class Objective(nn.Module):
    """A network and the mean of its loss over a batch.

    Args:
        network: the network.
        precision: "float32", or "bf16" for autocast.
    """

    def __init__(self, network: Network, precision: str) -> None:
        super().__init__()
        self.network = network
        self.bf16 = precision == "bf16"

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss, a scalar."""
        with torch.autocast(batch.t.device.type, torch.bfloat16, enabled=self.bf16):
            known = {"augment": batch.augment, "condition": batch.condition}
            more = {key: value for key, value in known.items() if value is not None}
            loss = self.network.loss(batch.x_t, batch.t, batch.target, batch.labels, **more)
        return loss.mean()


def optimizer_of(network: nn.Module, plan: TrainPlan) -> torch.optim.Optimizer:
    """Return timm's optimiser of a network's parameters.

    Muon's steps are scaled so that their root mean square is AdamW's (arXiv:2502.16982, section
    2.2): one learning rate serves both, and the parameters that AdamW keeps.
    """
    common: dict[str, Any] = {"lr": plan.lr, "weight_decay": plan.weight_decay, "betas": plan.betas}
    if plan.optimizer == "adamw":
        return create_optimizer_v2(network, "adamw", fused=True, **common)
    return create_optimizer_v2(
        network, "muon", momentum=plan.betas[0], adjust_lr_fn="match_rms_adamw", **common
    )


def _probe(x: Tensor) -> Tensor:
    return (2 * x + 1).sin()


def compile_in_place(module: nn.Module, device: torch.device) -> None:
    """Replace the code of `module` by what torch.compile makes of it at the first call.

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
