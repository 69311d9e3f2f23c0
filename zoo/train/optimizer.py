"""The optimisers of a recipe, timm's."""

from __future__ import annotations

import torch
from timm.optim import create_optimizer_v2
from torch import nn

from zoo.config.recipe import TrainPlan


def optimizer_of(network: nn.Module, plan: TrainPlan) -> torch.optim.Optimizer:
    """Return the optimiser of a network's parameters.

    Muon's steps are scaled so that their root mean square is AdamW's (arXiv:2502.16982, section
    2.2): one learning rate serves both, and the parameters that AdamW keeps.
    """
    if plan.optimizer == "adamw":
        return create_optimizer_v2(
            network,
            "adamw",
            lr=plan.lr,
            weight_decay=plan.weight_decay,
            betas=plan.betas,
            fused=True,
        )
    return create_optimizer_v2(
        network,
        "muon",
        lr=plan.lr,
        weight_decay=plan.weight_decay,
        momentum=plan.betas[0],
        betas=plan.betas,
        adjust_lr_fn="match_rms_adamw",
    )
