"""Models compute in evaluation mode, and give ordinary tensors, whatever the mode around them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_models import points
from torch import nn

import zoo
from zoo.interfaces import Network
from zoo.sampling.modes import evaluation_mode

STATES = torch.full((3, 2), 0.3)
# All that a model computes.
CALLS = {
    "sample": lambda m: m.sample(3, seed=0, steps=3),
    "trajectory": lambda m: m.trajectory(3, seed=0, steps=3).x,
    "times": lambda m: m.trajectory(3, seed=0, steps=3).t,
    "field": lambda m: m.field(STATES, 1.0),
    "denoise": lambda m: m.denoise(STATES, 1.0),
    "encode": lambda m: m.encode(STATES, solver="heun", steps=3),
    "decode": lambda m: m.decode(STATES, solver="heun", steps=3),
    "log_prob": lambda m: m.log_likelihood(STATES, solver="heun", steps=3).nats,
    "log_prob-estimated": lambda m: (
        m.log_likelihood(STATES, solver="heun", steps=3, exact=False).nats
    ),
}
# SciPy's method is no graph, the second writes over what its graph needs, and the last two do not
# integrate.
NO_GRAPHS = {"torchdiffeq-scipy_solver", "torchdiffeq-implicit_adams", "learned"}
GRAPHS = [name for name in zoo.components("solvers") if name not in NO_GRAPHS]


class Dropping(Network):
    """A network with dropout; a denoiser without."""

    def __init__(self, meet=None):
        super().__init__()
        self.weight, self.drop, self.meet = nn.Parameter(torch.tensor(0.5)), nn.Dropout(0.5), meet

    def forward(self, x_t, t, labels=None):
        if self.meet is not None:
            self.meet()
        return self.drop(self.weight * x_t)


def dropping(**options):
    kernel = zoo.kernel("gaussian", dim=2)
    prior, solver = zoo.prior("gaussian", kernel), zoo.solver("heun")
    return zoo.FieldModel(kernel, prior, Dropping(**options), solver, (2,))


@pytest.mark.parametrize("call", CALLS)
def test_a_model_in_training_computes_without_dropout_and_trains_on(call):
    model = dropping()
    expected = CALLS[call](model)
    model.train()
    model.network.weight.requires_grad_()
    assert torch.equal(CALLS[call](model), expected)
    assert all(module.training for module in model.modules())


def test_each_module_gets_its_own_mode_back():
    model = dropping()
    model.train()
    model.network.drop.eval()
    model.sample(2, steps=2)
    assert [m.training for m in (model, model.network, model.network.drop)] == [True, True, False]
    model.eval()
    model.network.train()  # the network alone, as a loop of one's own does
    assert torch.equal(model.sample(3, seed=0, steps=3), dropping().sample(3, seed=0, steps=3))
    assert (model.training, model.network.training) == (False, True)


def test_also_after_an_error():
    model = dropping()
    model.train()
    with pytest.raises(zoo.ZooError):
        model.denoise(STATES, 1e9)
    assert model.network.drop.training


def test_the_mode_is_back_when_the_last_of_several_threads_is_done():
    steps = (3, 30)
    expected = [dropping().sample(3, seed=0, steps=count) for count in steps]
    model = dropping(meet=lambda: time.sleep(0.001))
    model.train()
    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(lambda count: model.sample(3, seed=0, steps=count), steps)]
    assert all(map(torch.equal, found, expected))
    assert model.network.drop.training


def test_overlapping_calls_share_the_mode():
    module = nn.Sequential(nn.Dropout(0.5))
    first, second = evaluation_mode(module), evaluation_mode(module[0])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (module.training, module[0].training) == (True, False)
    second.__exit__(None, None, None)
    assert module[0].training


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "in-inference-mode"])
@pytest.mark.parametrize("call", CALLS)
def test_results_are_ordinary_tensors(call, inside):
    model = points()
    with torch.inference_mode(inside):
        found = CALLS[call](model)
    assert not found.is_inference()
    assert not found.requires_grad
    found.add_(1).requires_grad_()
    torch.autograd.backward((nn.Parameter(torch.ones(())) * found).sum())
    assert found.grad is not None


@pytest.mark.parametrize("solver", GRAPHS)
@pytest.mark.parametrize("kernel", ["gaussian", "gravity"])
def test_what_a_solver_keeps_of_a_run_can_be_differentiated_through_later(kernel, solver):
    model = points(kernel, solver=solver)
    model.sample(2, seed=0, steps=4)
    x = torch.full((2, 2), 3.0, dtype=torch.float64, requires_grad=True)
    ends = model.kernel.t_max, model.kernel.t_min
    end = model.solver.integrate(model.flow(), x, *ends, steps=3)
    torch.autograd.backward(end.sum())
    assert x.grad.isfinite().all()


def test_a_model_loaded_in_inference_mode_can_be_trained(saved_images):
    with torch.inference_mode():
        model = zoo.load(saved_images)
    x = torch.zeros(2, 1, 8, 8)
    torch.autograd.backward(model.network(x, torch.ones(2)).sum())
    assert any(p.grad is not None for p in model.parameters())
