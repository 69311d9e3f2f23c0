"""Where network, gradients, optimiser state and averaged weights lie when processes train together.

In every case a checkpoint holds whole tensors: a run may be resumed by another number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from zoo.config.recipe import TrainPlan
from zoo.errors import ZooError
from zoo.interfaces import Network
from zoo.sampling.distributed import DistributedContext
from zoo.training.batch import Batch
from zoo.training.objective import Objective, compile_in_place, optimizer_of
from zoo.training.power_ema import PowerAverages
from zoo.training.restored import check_optimizer, check_tensors

State = dict[str, Any]


class SingleProcess:
    """Everything is on one device.

    Args:
        network: the network, trained in place.
        plan: the recipe's [train].
        context: this process.

    Attributes:
        objective: the loss of a batch, a module.
        optimizer: of the network's parameters.
        ema: its `module` has the averaged weights.
        powers: the averages of `ema_lengths`, in the main process; None where there are none.
    """

    powers: PowerAverages | None = None

    def __init__(self, network: Network, plan: TrainPlan, context: DistributedContext) -> None:
        self.context = context
        self.network = network.to(context.device).train()
        self.optimizer = optimizer_of(network, plan)
        self.objective: Any = Objective(network, plan.precision)
        if plan.compile:
            compile_in_place(self.objective, context.device)
        self.ema = averaged_copy(network, plan)
        if plan.ema_lengths and context.is_main:
            self.powers = PowerAverages(network, plan.ema_lengths)

    @property
    def averaged(self) -> Network:
        """The network with the averaged weights, up to date in the main process."""
        network: Network = self.ema.module
        return network

    def gather_averaged(self) -> None:
        """Bring `averaged` up to date; every process has to call this."""

    def synchronise(self, last: bool) -> AbstractContextManager[None]:
        """Return the context for one part of a batch; gradients are averaged at the last part."""
        del last
        return nullcontext()

    def clip(self, largest: float) -> Tensor:
        """Scale the gradient to a norm of at most `largest`; return the norm before, a scalar."""
        return nn.utils.clip_grad_norm_(self.network.parameters(), largest)

    def state_dict(self) -> State | None:
        """Return the whole state in the main process; every process has to call this."""
        kept = {"powers": self.powers.state_dict()} if self.powers else {}
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **kept,
        }

    def check(self, state: State) -> None:
        """Check that a checkpoint holds what `state_dict` returns in the main process.

        Raises:
            LookupError, TypeError, ValueError: it is of another network or optimiser, or damaged.
        """
        check_tensors("network", state["network"], self.network.state_dict())
        check_tensors("ema", state["ema"], self.ema.module.state_dict())
        check_optimizer(state["optimizer"], self.optimizer, state["step"])
        if self.powers:
            for k, (own, found) in enumerate(zip(self.powers.means, state["powers"], strict=True)):
                check_tensors(f"powers.{k}", found, own)

    def load_state_dict(self, state: State) -> None:
        """Take over what `state_dict` returned in the main process of any run of the recipe.

        Raises:
            KeyError, RuntimeError: it is of another network.
        """
        self.network.load_state_dict(state["network"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.powers:
            self.powers.load_state_dict(state["powers"])


class DataParallel(SingleProcess):
    """Each process has the whole network (DDP) and steps a part of its parameters (ZeRO).

    `example` returns a batch to train on. Source: ZeRO, stage 1, arXiv:1910.02054, section 5.1.
    """

    def __init__(
        self,
        network: Network,
        plan: TrainPlan,
        context: DistributedContext,
        example: Callable[[], Batch],
    ) -> None:
        from torch.distributed.optim import ZeroRedundancyOptimizer
        from torch.nn.parallel import DistributedDataParallel

        super().__init__(network, plan, context)
        trained = [p for p in network.parameters() if p.requires_grad]
        found = torch.autograd.grad(self.objective(example()), trained, allow_unused=True)
        self.objective = DistributedDataParallel(
            self.objective,
            gradient_as_bucket_view=True,
            find_unused_parameters=any(gradient is None for gradient in found),
        )
        # No step changes a buffer. (The argument of this name is deprecated in torch 2.14.)
        self.objective.broadcast_buffers = False
        # The groups hold every option, so that the constructor needs none.
        self.optimizer = ZeroRedundancyOptimizer(
            self.optimizer.param_groups,
            optimizer_class=type(self.optimizer),
            parameters_as_bucket_view=True,
        )
        self.ema = averaged_copy(network, plan)  # of what DDP has broadcast

    def synchronise(self, last: bool) -> AbstractContextManager[None]:
        """Return the context for one part of a batch; gradients are averaged at the last part."""
        context: AbstractContextManager[None] = nullcontext() if last else self.objective.no_sync()
        return context

    def state_dict(self) -> State | None:
        """Return the whole state in the main process, None in the others."""
        self.optimizer.consolidate_state_dict()  # type: ignore[attr-defined]
        return super().state_dict() if self.context.is_main else None


class FullySharded(SingleProcess):
    """Each process has a part of every tensor (FSDP2), for networks that do not fit one device.

    The averaged weights alone are gathered, on the device of the main process, for samples and
    validation. Source: arXiv:2304.11277.
    """

    def __init__(self, network: Network, plan: TrainPlan, context: DistributedContext) -> None:
        from torch.distributed.device_mesh import init_device_mesh

        try:
            from torch.distributed.fsdp import fully_shard
        except ImportError as error:
            raise ZooError(
                f'train.parallel = "fsdp" needs torch 2.6 or later, here is {torch.__version__}: '
                "pip install -U torch, or leave it out"
            ) from error
        self.context = context
        self.network = network.train()
        self.ema = averaged_copy(network, plan, foreach=False)
        self._whole = deepcopy(self.ema.module) if context.is_main else None
        self.objective = Objective(network, plan.precision)
        mesh = init_device_mesh(context.device.type, (context.size,))
        for module in (*blocks(network), self.objective, self.ema.module):
            fully_shard(module, mesh=mesh)
        self.optimizer = optimizer_of(network, plan)

    @property
    def averaged(self) -> Network:
        """The whole network with the averaged weights, up to date after `gather_averaged`."""
        whole: Network | None = self._whole
        assert whole is not None, "the main process has it"
        return whole

    def gather_averaged(self) -> None:
        """Bring `averaged` up to date; every process has to call this."""
        self._show(gathered(self.ema.module.state_dict()))

    def _show(self, averaged: State) -> None:
        if self._whole is not None:
            self._whole.to(self.context.device).load_state_dict(averaged)

    def synchronise(self, last: bool) -> AbstractContextManager[None]:
        """Return the context for one part of a batch; gradients are averaged at the last part."""
        self.objective.set_requires_gradient_sync(last)
        return nullcontext()

    def clip(self, largest: float) -> Tensor:
        """Scale the gradient to a norm of at most `largest`; return the norm before, a scalar."""
        norm = super().clip(largest)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def state_dict(self) -> State | None:
        """Return the whole state in the main process, None in the others."""
        state = gathered(super().state_dict())
        self._show(state["ema"])
        return state if self.context.is_main else None

    def load_state_dict(self, state: State) -> None:
        """Take over a part of what `state_dict` returned in the main process."""
        own = self.network.state_dict()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        options = state["optimizer"]
        moments = {
            k: {name: sharded(v, parameters[k]) for name, v in known.items()}
            for k, known in options["state"].items()
        }
        super().load_state_dict(
            {
                "network": {k: sharded(v, own[k]) for k, v in state["network"].items()},
                "ema": {k: sharded(v, own[k]) for k, v in state["ema"].items()},
                "optimizer": {**options, "state": moments},
            }
        )
        self._show(state["ema"])


def averaged_copy(network: Network, plan: TrainPlan, *, foreach: bool = True) -> ModelEmaV3:
    """Return a copy of a network for the exponential moving average of its weights."""
    decay = 0.5 ** (plan.batch / plan.ema_halflife)
    return ModelEmaV3(network, decay=decay, use_warmup=True, warmup_power=0.75, foreach=foreach)


def blocks(network: nn.Module) -> list[nn.Module]:
    """Return the members with parameters of a network's module lists and dicts, inner ones first.

    These are whole at once, one after the other, while the network runs.
    """
    lists = [m for m in network.modules() if isinstance(m, nn.ModuleList | nn.ModuleDict)]
    found = dict.fromkeys(child for each in lists for child in each.children())
    containers = (nn.ModuleList, nn.ModuleDict)
    return [
        module
        for module in reversed(list(network.modules()))
        if module in found
        and not isinstance(module, containers)
        and next(module.parameters(), None) is not None
    ]


def gathered(value: Any) -> Any:
    """Return nested dicts and lists with every sharded tensor whole; a collective."""
    if isinstance(value, Mapping):
        return {key: gathered(inner) for key, inner in value.items()}
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    return value


def sharded(value: Any, like: Tensor) -> Any:
    """Return this process's part of a whole tensor that has the shape of `like`."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    mesh, placements = like.device_mesh, like.placements
    return distribute_tensor(value.to(like.device), mesh, placements, src_data_rank=None)
