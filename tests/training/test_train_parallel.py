"""Several processes make the steps of one, whichever way network and optimiser lie in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from forked import run
from test_train import begin, recipe, same
from torch import nn

from zoo.errors import ZooError
from zoo.interfaces import Network
from zoo.sampling.distributed import SINGLE_PROCESS, connect
from zoo.training import checkpoint
from zoo.training.parallel import FullySharded, blocks
from zoo.training.plan import make_plan
from zoo.training.start import start
from zoo.training.trainer import CHECKPOINT

STEPS = 3
UNET = {"use": "unet", "width": 8, "blocks": 1, "labels": 10}
# Muon orthogonalises in bfloat16, which makes a last digit of a sum one of a step.
WITHIN = {"adamw": {"rtol": 1e-5, "atol": 2e-6}, "muon": {"rtol": 1e-4, "atol": 1e-4}}


def options(**train):
    return {"batch": 12, "images": 12 * STEPS, "warmup": 12, "clip": 0.1, "network": UNET, **train}


class OneTensor(Network):
    """D = x A."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(0.5 * torch.eye(8))

    def forward(self, x_t, t, labels=None):
        return x_t @ self.matrix


def plan_of(size=1, *, one_tensor=False, **train):
    plan = make_plan(recipe(**options(**train)), processes=size)
    return replace(plan, network=OneTensor()) if one_tensor else plan


def work(folder: Path, train: dict, resume: bool) -> None:
    torch.set_num_threads(1)
    with connect("cpu") as context:
        plan = plan_of(context.size, **train)
        trainer = start(plan, folder, resume=resume, context=context)
        trainer.run()
        # What a process has of the optimiser's memory, in numbers.
        states = getattr(trainer.optimizer, "optim", trainer.optimizer).state.values()
        local = [getattr(v, "_local_tensor", v) for s in states for v in s.values()]
        own = sum(v.numel() for v in local if isinstance(v, torch.Tensor) and v.ndim)
        # Local: under DDP every process has the whole network.
        weights = trainer.network.state_dict() if trainer.recipe.train.parallel == "ddp" else None
        torch.save((own, weights), folder / f"{context.rank}.pt")


def processes(size: int, folder: Path, *, resume: bool = False, **train) -> list[int]:
    """Train in `size` processes; return how much of the optimiser's memory each has."""
    done = run(work, folder, train, resume, processes=size)
    assert done.returncode == 0, done.stderr
    own, weights = zip(*(torch.load(folder / f"{rank}.pt") for rank in range(size)), strict=True)
    if train.get("parallel") != "fsdp":
        assert weights[0]
        assert all(same(weights[0], other) for other in weights[1:])
    return [*own]


def assert_same_run(one: Path, other: Path, optimizer: str = "adamw") -> None:
    a, b = (checkpoint.read(folder / CHECKPOINT) for folder in (one, other))
    assert a["step"] == b["step"] == STEPS
    for part in ("network", "ema"):
        torch.testing.assert_close(a[part], b[part], **WITHIN[optimizer])
    states = [{k: {**v} for k, v in s["optimizer"]["state"].items()} for s in (a, b)]
    torch.testing.assert_close(*states, **WITHIN[optimizer])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_three_processes_make_the_steps_of_one(tmp_path, optimizer):
    """Each has its own part of the optimiser's memory, and the checkpoint all of it."""
    begin(tmp_path / "one", **options(optimizer=optimizer)).run()
    own = processes(3, tmp_path / "three", optimizer=optimizer)
    assert_same_run(tmp_path / "one", tmp_path / "three", optimizer)
    state = checkpoint.read(tmp_path / "one" / CHECKPOINT)["optimizer"]["state"]
    memory = [v for s in state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    assert sum(own) == sum(v.numel() for v in memory if v.ndim)
    assert max(own) < 0.5 * sum(own)


def test_more_processes_than_tensors_make_the_steps_of_one(tmp_path):
    """A process that has nothing of the optimiser's memory gets the same weights too."""
    start(plan_of(one_tensor=True), tmp_path / "one").run()
    own = processes(3, tmp_path / "three", one_tensor=True)
    assert_same_run(tmp_path / "one", tmp_path / "three")
    assert sorted(own)[:2] == [0, 0]


def test_two_processes_share_every_tensor_by_fsdp(tmp_path):
    """The step, the averaged weights and the checkpoint are those of one process."""
    begin(tmp_path / "one", **options()).run()
    more = {"parallel": "fsdp", "accumulate": 2, "validate_every": 24, "samples_every": 36}
    own = processes(2, tmp_path / "two", **more)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert max(own) < 0.55 * sum(own)
    assert (tmp_path / "two" / "samples" / "000003.png").is_file()
    assert (tmp_path / "two" / "model-best" / "model.safetensors").is_file()


def test_fsdp_says_which_torch_it_needs(monkeypatch):
    monkeypatch.delattr("torch.distributed.fsdp.fully_shard")
    plan = make_plan(recipe(**options()))
    with pytest.raises(ZooError, match=r'"fsdp" needs torch 2\.6 or later, here is') as error:
        FullySharded(plan.network, plan.recipe.train, SINGLE_PROCESS)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("train", [{}, {"optimizer": "muon"}, {"parallel": "fsdp"}])
def test_a_checkpoint_goes_on_in_another_number_of_processes(tmp_path, train):
    plain = {k: v for k, v in train.items() if k != "parallel"}
    begin(tmp_path / "one", **options(**plain)).run()
    cut = begin(tmp_path / "cut", **options(**train))
    cut.advance()
    cut.save()
    processes(2, tmp_path / "cut", resume=True, **train)
    assert_same_run(tmp_path / "one", tmp_path / "cut", train.get("optimizer", "adamw"))
    begin(tmp_path / "cut", resume=True, **options(**train)).run(pytest.fail)


def test_gradients_are_scaled_to_the_norm_and_a_missing_one_is_left_out(tmp_path):
    trainer = begin(tmp_path)
    weight = trainer.network.backbone.out.weight
    weight.grad = torch.full_like(weight, 2.0)
    norm = trainer.parallel.clip(0.5)
    assert float(norm) == pytest.approx(2 * weight.numel() ** 0.5)
    assert float(weight.grad.norm()) == pytest.approx(0.5)
    assert sum(p.grad is not None for p in trainer.network.parameters()) == 1


def test_a_network_is_whole_block_by_block():
    inner = nn.ModuleList([nn.Linear(2, 2), nn.SiLU()])
    outer = nn.Module()
    outer.inner, outer.alone = inner, nn.Linear(2, 2)
    network = nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"outer": outer}))
    assert blocks(network) == [inner[0], outer]


@pytest.mark.parametrize("train", [{"optimizer": "muon"}, {"compile": True}])
def test_what_needs_whole_tensors_does_not_go_with_fsdp(train):
    with pytest.raises(ZooError, match=r'parallel = "fsdp" does not go with train\.(opt|com)'):
        make_plan(recipe(parallel="fsdp", **train))
