"""The optimiser's step shared among processes: the step of one process, each part made once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from zoo.train.shared_step import SharedStep, dealt
from zoo.world import ALONE, World, connect

from zoo.recipe import from_dict
from zoo.training.objective import optimizer_of

STEPS = 3


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 4, bias=False))


def walk(world: World) -> tuple[nn.Module, SharedStep, list[torch.Tensor]]:
    """Make some of Muon's steps on a batch of 12, of which each process has its share."""
    plan = {"images": 120, "batch": 12, "warmup": 12, "optimizer": "muon", "lr": 0.01}
    raw = {"name": "n", "data": {"use": "digits"}, "kernel": {"use": "gravity"}}
    recipe = from_dict({**raw, "network": {"use": "mlp"}, "train": plan}, "here")
    net = network(seed=world.rank)
    world.same(net.state_dict().values())
    shared, norms = SharedStep(optimizer_of(net, recipe.train), world), []
    for step in range(STEPS):
        torch.manual_seed(100 + step)
        x = torch.randn(12, 6)[world.share(12)]
        net.zero_grad()
        loss = net(x).square().mean() * 30
        loss.backward()
        mean, norm = shared.exchange(loss.detach(), 1.0)
        shared.step()
        norms += [mean, norm]
    return net, shared, norms


def work(rank: int, size: int, port: int, out: Path) -> None:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    os.environ |= dict(zip(names, map(str, (rank, rank, size, "127.0.0.1", port)), strict=True))
    torch.set_num_threads(1)
    with connect("cpu") as world:
        net, shared, norms = walk(world)
        own = len(shared.optimizer.state)
        torch.save((net.state_dict(), shared.state_dict(), norms, own), out / f"{rank}.pt")


def test_three_processes_make_the_step_of_one(tmp_path):
    """They begin with the first one's weights. There are two matrices: one process has no part."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(work, (3, port, tmp_path), nprocs=3)
    net, shared, norms = walk(ALONE)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(3)]
    # Muon orthogonalises in bfloat16, which makes a last digit of a sum one of a step.
    within = {"rtol": 1e-5, "atol": 1e-4}
    for state, _, told, _ in found:
        torch.testing.assert_close(state, net.state_dict(), **within)
        assert all(torch.equal(state[k], found[0][0][k]) for k in state)
        torch.testing.assert_close(torch.stack(told), torch.stack(norms), **within)
    torch.testing.assert_close(found[0][1]["state"], shared.state_dict()["state"], **within)
    assert found[1][1] is found[2][1] is None
    assert sorted(own for *_, own in found) == [0, 1, 1]


def test_gradients_are_scaled_to_the_norm_and_a_missing_one_is_zero():
    net = network()
    shared = SharedStep(torch.optim.SGD(net.parameters(), lr=1.0), ALONE)
    net[0].weight.grad = torch.full((5, 6), 2.0)
    loss, norm = shared.exchange(torch.tensor(7.0), 0.5)
    assert (float(loss), float(norm)) == pytest.approx((7.0, 2 * 30**0.5))
    assert float(net[0].weight.grad.norm()) == pytest.approx(0.5)
    assert not net[1].weight.grad.any()


@given(st.lists(st.integers(0, 10**9), max_size=30), st.integers(1, 5))
def test_all_is_dealt_once_and_no_part_exceeds_another_by_more_than_its_last(costs, count):
    parts = dealt(costs, count)
    assert sorted(k for part in parts for k in part) == [*range(len(costs))]
    sums = [sum(costs[k] for k in part) for part in parts]
    for part, total in zip(parts, sums, strict=True):
        assert not part or total - costs[part[-1]] <= min(sums)
