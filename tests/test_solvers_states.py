"""States are written over inside a walk, and nobody outside may notice."""

import pytest
import torch
from test_solvers import ENDS, NAMES, build, denoiser, gaussian_flow, start
from zoo_solvers.euler import Euler

from zoo.errors import ZooError
from zoo.interfaces.checks import all_finite

OWN = [name for name in NAMES if not name.startswith("torchdiffeq")]


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_state_is_left_alone(name):
    x = start(80.0)
    before = x.clone()
    end = build(name).integrate(gaussian_flow(), x, *ENDS["decode"], steps=6)
    assert torch.equal(x, before)
    assert end.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("name", OWN)
def test_the_states_of_a_walk_may_be_kept(name):
    kept, copies = [], []

    def keep(i, t, x):
        kept.append(x)
        copies.append(x.clone())

    end = build(name).integrate(
        gaussian_flow(), start(80.0), *ENDS["decode"], steps=6, callback=keep
    )
    assert len(kept) >= 6
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert not torch.equal(kept[0], kept[1])
    torch.testing.assert_close(kept[-1], end)


@pytest.mark.parametrize("name", OWN)
def test_a_predictor_may_overwrite_what_it_is_shown_and_give_it_back(name):
    def in_place(x, t):
        return x.copy_(denoiser(x, t))

    walk = build(name).integrate
    plain = walk(gaussian_flow(), start(80.0), *ENDS["decode"], steps=6)
    overwriting = walk(gaussian_flow(in_place), start(80.0), *ENDS["decode"], steps=6)
    assert torch.equal(plain, overwriting)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_is_found(bad):
    x = torch.zeros(4, 5)
    assert all_finite(x)
    x[2, 3] = bad
    assert not all_finite(x)
    x[0, 0] = -bad
    assert not all_finite(x)


def test_finite_numbers_whose_sum_overflows_are_finite():
    assert all_finite(torch.full((2, 3), 3e38))
    x = torch.full((3, 4), 1e308, dtype=torch.float64)
    assert torch.equal(Euler().integrate(gaussian_flow(), x, 3.0, 3.0, steps=1), x)


def test_a_time_outside_the_kernels_is_refused_as_number_and_as_tensor():
    flow, x = gaussian_flow(), start(80.0)
    for t in (81.0, 0.001, float("nan"), torch.tensor(81.0), torch.full((3,), 0.001)):
        with pytest.raises(ZooError, match="is outside"):
            flow.denoise(x, t)
    assert flow.nfe == 0
