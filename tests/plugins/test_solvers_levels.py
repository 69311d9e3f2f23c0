"""Weights of samples with levels of their own: read off a table, they are those of the samples."""

from functools import partial

import pytest
import torch
from test_solvers import build
from zoo_gravity.kernel import GravityKernel
from zoo_solvers import multistep
from zoo_solvers.adams import ExpABM3, ExpABM4
from zoo_solvers.multistep import INTERVALS, LevelTable

from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.interfaces.grids import LARGEST_RATIO, LEAST_RATIO

KERNEL = GravityKernel(dim=784)
ENDS = (KERNEL.t_max, KERNEL.t_min)
RATIOS = torch.tensor([LEAST_RATIO, 0.03, 0.4, 1.0, 2.2, 40.0, LARGEST_RATIO], dtype=torch.float64)
CPU = torch.device("cpu")


def flow():
    return Flow(KERNEL, lambda x, t: torch.zeros_like(x), dtype=torch.float64, sigma_data=0.5)


def table_for(solver, steps):
    times_of = partial(solver.grid.times, KERNEL, *ENDS, steps)
    weights_of = partial(solver.weights, flow())
    return LevelTable(times_of, weights_of, CPU), times_of, weights_of


@pytest.mark.parametrize("steps", [1, 2, 19])
@pytest.mark.parametrize("name", ["exp-ab3", "exp-abm3", "exp-abm4", "exp-heun"])
def test_weights_are_those_of_the_samples_at_the_times_of_their_intervals(name, steps):
    table, _, weights_of = table_for(build(name), steps)
    times, got = table.look_up(RATIOS)
    expected = weights_of(times, RATIOS)
    assert got.states.shape[1] == expected.states.shape[1] == 1
    # Linear over 1/32 of log ratio: off by 1/8192 of the curvature at the most.
    torch.testing.assert_close(got, expected, rtol=2e-4, atol=1e-4)


def test_weights_are_exact_at_the_ends_of_an_interval():
    table, _, weights_of = table_for(ExpABM4(), 19)
    span = torch.linspace(0, 1, INTERVALS + 1, dtype=torch.float64)[[5, 200, 300]]
    ratio = torch.lerp(RATIOS[:1].log(), RATIOS[-1:].log(), span).exp() * (1 + 1e-12)
    times, got = table.look_up(ratio)
    torch.testing.assert_close(got, weights_of(times, ratio), rtol=1e-8, atol=1e-9)


def test_times_are_a_walk_from_end_to_end_near_the_samples_own():
    table, times_of, _ = table_for(ExpABM3(), 19)
    times, _ = table.look_up(RATIOS)
    assert (times[0] == ENDS[0]).all()
    assert (times[-1] == ENDS[1]).all()
    assert (times.diff(dim=0) < 0).all()
    torch.testing.assert_close(times, times_of(RATIOS), rtol=1 / 32, atol=0)


def test_the_denoiser_of_one_point_is_walked_without_error():
    """The weights of a step sum to what the linear part leaves, inside an interval too."""
    table, _, _ = table_for(ExpABM4(), 19)
    total = torch.cat(table.look_up(RATIOS)[1], dim=1).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-12, atol=0)


def test_a_walk_by_the_table_ends_where_one_by_the_samples_own_plans_does(monkeypatch):
    ratio = torch.tensor([[0.4], [1.0], [1.9], [30.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, 784, generator=generator, dtype=torch.float64)
    noise = noise / noise.square().mean(dim=1, keepdim=True).sqrt()
    x = noise * torch.hypot(ratio * float(KERNEL.level(ENDS[0])), torch.tensor(0.5))

    def denoise(x, t):
        return x / (1 + 4 * (ratio * over(KERNEL.level(t), x)).square())

    def walk():
        on = Flow(KERNEL, denoise, dtype=torch.float64, sigma_data=0.5)
        return ExpABM4().integrate(on, x, *ENDS, steps=19)

    by_table = walk()
    monkeypatch.setattr(multistep, "FEW_STEPS", 0)
    own = walk()
    assert not torch.equal(by_table, own)
    torch.testing.assert_close(by_table, own, rtol=0, atol=3e-5)


def test_a_table_is_made_once_and_for_its_own_walk_only(monkeypatch):
    made = []

    class Counted(LevelTable):
        def __init__(self, *given):
            made.append(1)
            super().__init__(*given)

    monkeypatch.setattr(multistep, "LevelTable", Counted)
    solver, x = ExpABM3(), torch.ones(3, 784, dtype=torch.float64) * ENDS[0]
    walks = [solver.integrate(flow(), x, *ENDS, steps=n) for n in (5, 5, 6, 5, 65)]
    assert len(made) == 3
    assert torch.equal(walks[0], walks[1])
    assert torch.equal(walks[0], walks[3])
    assert not torch.equal(walks[0], walks[2])


def test_a_sample_that_is_lost_is_told_of():
    on = Flow(KERNEL, lambda x, t: x * float("nan"), dtype=torch.float64, sigma_data=0.5)
    with pytest.raises(ZooError, match="not finite at t"):
        ExpABM3().integrate(on, torch.ones(2, 784), *ENDS, steps=5)
