"""Grids: strictly monotone between exact ends, matched between kernels by noise level."""

import math

import pytest
import torch
from zoo_flow.flow import FlowKernel
from zoo_gaussian.kernel import GaussianKernel
from zoo_gravity.kernel import GravityKernel
from zoo_solvers.runge_kutta import Heun

from zoo.errors import ZooError
from zoo.interfaces.grids import build_grid as grid

KERNEL = GaussianKernel(dim=4)
FLOW = FlowKernel(dim=4)


ALL_GRIDS = ["angle", "edm", "focus", "log", "log-time", "radius", "time", [50.0, 3.0, 1.0, 0.1]]


@pytest.mark.parametrize("name", ALL_GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 17])
@pytest.mark.parametrize(
    ("kernel", "ends"),
    [
        (KERNEL, (80.0, 0.002)),
        (KERNEL, (0.1, 3.0)),
        (GravityKernel(dim=784), (20.0, 0.01)),
        (FLOW, (1.0, 1e-3)),
        (FLOW, (1.0, 0.9999)),
    ],
)
def test_a_grid_is_strictly_monotone_between_its_exact_ends(name, steps, kernel, ends):
    times = grid(name).times(kernel, *ends, steps).tolist()
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == ends
    assert times == sorted(set(times), reverse=ends[0] > ends[1])


def test_the_edm_grid_is_edms():
    times = grid("edm").times(KERNEL, 80.0, 0.002, 17).tolist()
    expected = [
        (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)
    ]
    assert times == pytest.approx(expected, rel=1e-12)


def test_kernels_share_a_grid_in_noise_level():
    gravity = GravityKernel(dim=784)
    times = grid("focus").times(gravity, gravity.t_max, gravity.t_min, 17)
    expected = grid("focus").times(KERNEL, 80.0, 0.002, 17)
    torch.testing.assert_close(gravity.level(times), expected, rtol=1e-9, atol=0)


def test_an_unknown_grid_is_an_error_with_a_suggestion():
    with pytest.raises(ZooError, match="did you mean 'log-time'"):
        Heun(grid="logtime")
    with pytest.raises(ZooError, match="rho = -1"):
        Heun(grid={"use": "edm", "rho": -1})
    with pytest.raises(ZooError, match="decrease strictly"):
        Heun(grid=[80.0, 90.0])
    with pytest.raises(ZooError, match="at least two"):
        Heun(grid=[80.0])
    for wrong in (5, None):
        with pytest.raises(ZooError, match=f"grid = {wrong}; expected a name or a list"):
            Heun(grid=wrong)


@pytest.mark.parametrize("name", ALL_GRIDS)
def test_a_level_ratio_lays_the_grid_in_the_samples_own_level(name):
    ratio = torch.tensor([0.3, 1.0, 5.0], dtype=torch.float64)
    times = grid(name).times(KERNEL, 80.0, 0.002, 9, ratio)
    assert times.shape == (10, 3)
    assert (times[0] == 80.0).all()
    assert (times[-1] == 0.002).all()
    assert (times.diff(dim=0) < 0).all()
    torch.testing.assert_close(times[:, 1], grid(name).times(KERNEL, 80.0, 0.002, 9))
    if name not in ("time", "log-time"):
        own = GaussianKernel(dim=4, t_min=0.002 * 0.3, t_max=80.0 * 0.3)
        expected = grid(name).times(own, own.t_max, own.t_min, 9)
        torch.testing.assert_close(times[:, 0] * 0.3, expected)


def test_a_grid_through_levels_passes_through_them():
    levels = [80.0, 20.0, 5.0, 1.0, 0.3, 0.002]
    times = grid(levels).times(KERNEL, 80.0, 0.002, 5).tolist()
    assert times == pytest.approx(levels, rel=1e-12)
    doubled = grid(levels).times(KERNEL, 80.0, 0.002, 10).tolist()
    assert doubled[::2] == pytest.approx(levels, rel=1e-12)
    high = [500.0, 300.0, 100.0, 10.0, 0.002]  # beyond what other grids step through
    kernel = GaussianKernel(dim=2, t_max=500.0)
    assert grid(high).times(kernel, 500.0, 0.002, 4).tolist() == pytest.approx(high, rel=1e-12)
    assert doubled[1] == pytest.approx(math.sqrt(80 * 20), rel=1e-12)


def test_the_focus_grid_is_densest_at_its_pivot():
    times = grid("focus").times(KERNEL, 80.0, 0.002, 60)
    ratios = times[1:].log() - times[:-1].log()
    assert float(times[ratios.abs().argmin()]) == pytest.approx(3.0, rel=0.2)
