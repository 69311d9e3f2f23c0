"""The walk never waits for the device: it reads no values but those of its start and its end.

On torch's meta device tensors have no values, so whatever would wait for an accelerator, .item(),
a branch on a tensor or a copy to the host, raises.
"""

from contextlib import nullcontext

import pytest
import torch
from walked import OWN_STEPS

import zoo
from zoo.interfaces import Flow

KERNELS = ("gaussian", "vp", "flow", "gravity", "pfgmpp", "tanh", "exp")
# Those that choose their steps look at the error that they made.
LOOKING = ("dopri5", "exp-adaptive")
# These take a grid of so many steps as the model has.
FIXED = [
    name
    for name in zoo.components("solvers")
    if name not in (*LOOKING, *OWN_STEPS) and not name.startswith("torchdiffeq")
]


@pytest.fixture
def unchecked(monkeypatch):
    monkeypatch.setattr("zoo.interfaces.solver.all_finite", lambda x: True)


def walk(kernel, solver, device):
    kernel = zoo.kernel(kernel, dim=12)
    flow = Flow(kernel, lambda x, t, *labels: 0.5 * x)
    x = torch.ones(16, 3, 2, 2, device=device, dtype=torch.float64)
    return zoo.solver(solver).integrate(flow, x, kernel.t_max, kernel.t_min, steps=6), flow.nfe


@pytest.mark.parametrize("solver", FIXED)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fixed_grid_is_walked_without_a_look(kernel, solver, unchecked):
    there, nfe = walk(kernel, solver, "meta")
    here, expected = walk(kernel, solver, "cpu")
    assert (there.device.type, there.shape, there.dtype) == ("meta", here.shape, here.dtype)
    assert nfe == expected


@pytest.mark.parametrize("solver", LOOKING)
def test_this_test_would_see_a_look(solver, unchecked):
    with pytest.raises(RuntimeError, match="meta tensors"):
        walk("gaussian", solver, "meta")


def test_the_ends_alone_are_looked_at(monkeypatch):
    looks = []
    monkeypatch.setattr("zoo.interfaces.solver.all_finite", lambda x: looks.append(x) or True)
    walk("gravity", "exp-abm3", "meta")
    assert len(looks) == 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"components": 4, "basis": 8, "groups": 3},
        {"components": 4, "basis": 8, "labels": 3},
    ],
    ids=["plain", "groups", "classes"],
)
@pytest.mark.parametrize("kernel", KERNELS)
def test_nor_does_the_network_look(kernel, options, unchecked, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it knows no "meta"
    kernel = zoo.kernel(kernel, dim=64)
    network = zoo.network("unet", shape=(1, 8, 8), kernel=kernel, width=8, **options).to("meta")
    x = torch.ones(16, 1, 8, 8, device="meta", dtype=torch.float64)
    labels = torch.ones(16, dtype=torch.long, device="meta") if network.labels else None
    flow = Flow(kernel, network, labels=labels)
    end = zoo.solver("heun").integrate(flow, x, kernel.t_max, kernel.t_min, steps=2)
    assert end.shape == x.shape
