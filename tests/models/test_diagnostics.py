"""Total variation between two data points at T: known values, and the two ways to compute it."""

import math

import pytest
import torch
from kernel_cases import ISOTROPIC, build
from mixing import ENOUGH, Mixing, mixing, mixing_time

import zoo
from zoo import ZooError

# CIFAR-10: d = 3072, median norm 27.7.
KNOWN = [
    ("gaussian", 80.0, 0.138),
    ("gravity", 40.0, 0.212),
    ("gravity", 60.0, 0.145),
    ("tanh", 8000.0, 0.245),
    ("tanh", 16000.0, 0.149),
    ("exp", 16000.0, 0.136),
]


@pytest.mark.parametrize(("name", "t", "expected"), KNOWN)
def test_known_values(name, t, expected):
    found = mixing(zoo.kernel(name, dim=3072, t_max=t), 27.7)
    assert found.total_variation == pytest.approx(expected, abs=1e-3)
    assert (found.t, found.radius, found.standard_error) == (t, 27.7, 0)


@pytest.mark.parametrize("dim", [1, 2, 3072])
def test_closed_forms(dim):
    """One coordinate of the noise is normal, or Cauchy."""
    for radius in (0.1, 3.0, 50.0):
        gaussian = mixing(zoo.kernel("gaussian", dim=dim), radius, t=2.0)
        assert gaussian.total_variation == pytest.approx(
            math.erf(radius / 4 / math.sqrt(2)), abs=1e-9
        )
        gravity = mixing(zoo.kernel("gravity", dim=dim), radius, t=2.0)
        assert gravity.total_variation == pytest.approx(
            2 / math.pi * math.atan(radius / 4), abs=1e-9
        )


@pytest.mark.parametrize("case", [c for c in ISOTROPIC if not c.startswith(("phi", "psi-power"))])
def test_the_integral_agrees_with_draws(case, monkeypatch):
    kernel = build(case, 3)
    radius = 2 * float(kernel.level(kernel.t_max))
    exact = mixing(kernel, radius)
    assert exact.standard_error == 0
    monkeypatch.setattr("mixing._falls", lambda kernel, t: False)
    drawn = mixing(kernel, radius, draws=8192)
    assert 0 < drawn.standard_error < 0.01
    assert abs(drawn.total_variation - exact.total_variation) < 4 * drawn.standard_error


def test_a_density_with_a_hole_takes_draws():
    """tanh((r/t)^1.5) has d_r psi ~ r^0.5: on the line its density grows before it falls."""
    found = mixing(build("psi-power", 1), 50.0, draws=512)
    assert found.standard_error > 0
    x = torch.linspace(-2000, 2000, 400_001, dtype=torch.float64)[:, None]
    kernel = build("psi-power", 1)
    log = [kernel.log_density(x, torch.full_like(x, c), kernel.t_max) for c in (0.0, 50.0)]
    exact = float((log[0].exp() - log[1].exp()).abs().sum()) * 0.01 / 2
    assert abs(found.total_variation - exact) < 4 * found.standard_error


def test_other_paths_take_draws():
    flow = mixing(zoo.kernel("flow", dim=3072), 27.7)
    assert flow.total_variation == pytest.approx(0, abs=1e-12)
    vp = mixing(zoo.kernel("vp", dim=3072), 27.7)
    shift = 27.7 / 152.167 / 2
    expected = math.erf(shift / math.sqrt(2))
    assert abs(vp.total_variation - expected) < 4 * vp.standard_error


@pytest.mark.parametrize("name", ["gravity", "gaussian", "tanh", "exp", "pfgmpp"])
def test_mixing_time_is_where_the_variation_is(name):
    kernel = zoo.kernel(name, dim=3072)
    t = mixing_time(kernel, 27.7, 0.2)
    wide = zoo.kernel(name, dim=3072, t_max=t)
    assert mixing(wide, 27.7).total_variation == pytest.approx(0.2, abs=1e-6)


def test_says_whether_t_is_large_enough():
    short, long = (mixing(zoo.kernel("gravity", dim=3072, t_max=t), 27.7) for t in (40.0, 60.0))
    assert not short.enough()
    assert long.enough()
    assert not long.enough(0.1)
    assert str(short) == (
        f"t = 40 is too small (aim at {ENOUGH}) for data of norm 27.7: total variation 0.212"
    )
    assert "large enough" in str(long)
    assert "+- 0.002" in str(Mixing(0.1, 0.002, 1.0, 1.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, "radius = 0.0"),
        ({"radius": math.nan}, "radius = nan"),
        ({"radius": "1"}, "radius = '1'"),
        ({"radius": 1.0, "t": 1e9}, "is outside"),
        ({"radius": 1.0, "draws": 1}, "draws = 1"),
    ],
)
def test_bad_arguments_are_told(options, message):
    with pytest.raises(ZooError, match=message):
        mixing(build("gravity", 2), **options)


def test_mixing_time_needs_a_density_that_falls():
    with pytest.raises(ZooError, match="FlowKernel has no density that falls"):
        mixing_time(build("flow", 2), 1.0)
    with pytest.raises(ZooError, match="tolerance = 0"):
        mixing_time(build("gravity", 2), 1.0, 0)
