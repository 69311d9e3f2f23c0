"""Starting points depend on (seed, index) alone, and follow the prior's law."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import zoo
from zoo.sampling.rng import GROUP, seed_for, starting_points

KERNEL = zoo.kernel("gravity", dim=5)
PRIOR = zoo.prior("gravity", KERNEL)
WHOLE = starting_points(PRIOR, (5,), 7, 0, 100)


@given(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted))
@settings(max_examples=50)
def test_any_slice_is_a_slice_of_the_whole(ends):
    first, last = ends
    if first < last:
        assert torch.equal(starting_points(PRIOR, (5,), 7, first, last), WHOLE[first:last])


def test_no_two_points_are_alike_in_or_across_seeds():
    points = torch.cat([starting_points(PRIOR, (5,), seed, 0, 200) for seed in (0, 1, 2, -1)])
    assert len(points.unique(dim=0)) == len(points)


def test_points_are_float64_of_the_shape_asked_for():
    points = starting_points(PRIOR, (5, 1), 0, 3, 20)
    assert (points.dtype, points.shape) == (torch.float64, (17, 5, 1))


@pytest.mark.parametrize("name", ["gravity", "gaussian"])
def test_radii_follow_the_kernel_at_its_last_time(name):
    kernel = zoo.kernel(name, dim=3)
    points = starting_points(zoo.prior(name, kernel), (3,), 1, 0, 4000)
    q = kernel.radial_cdf(points.norm(dim=1), kernel.t_max)
    assert stats.kstest(q.numpy(), "uniform").pvalue > 1e-3


def test_groups_are_independent_of_each_other():
    kernel = zoo.kernel("gaussian", dim=1)
    points = starting_points(zoo.prior("gaussian", kernel), (1,), 0, 0, 400 * GROUP) / kernel.t_max
    columns = points.reshape(400, GROUP)
    correlation = torch.corrcoef(torch.cat([columns[:-1].T, columns[1:].T]))
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 5 / 400**0.5


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_a_branch_seed_is_one_that_torch_takes(seed, index):
    mixed = seed_for(seed, index)
    assert 0 <= mixed < 2**63
    assert seed_for(seed, index) == mixed
    assert seed_for(seed, index + 1) != mixed
    assert seed_for(seed + 1, index) != mixed


def test_branch_seeds_do_not_collide():
    assert len({seed_for(seed, index) for seed in range(-50, 50) for index in range(200)}) == 20_000
