"""Kernels of third parties that write a radial CDF and nothing else: the rest has to follow."""

import math

import pytest
import torch
from kernel_cases import kolmogorov_smirnov
from scipy.special import betainc as scipy_betainc

from zoo import ZooError
from zoo.interfaces import FieldKernel, GaussianPathKernel, IsotropicKernel, SelfSimilarKernel
from zoo.interfaces.path import PathCoefficients
from zoo.interfaces.radial import directions, log_sphere_area, radius, uniform_open
from zoo.numerics import gammainc

DOUBLE = torch.float64


class Cubic(IsotropicKernel):
    def radial_cdf(self, r, t):
        return torch.tanh((r / t) ** 3)


class UnitCubic(SelfSimilarKernel):
    def unit_cdf(self, rho):
        return torch.tanh(rho**3)


class Drifting(IsotropicKernel):
    """Not self-similar: the shape changes with t."""

    def radial_cdf(self, r, t):
        return 1 - 1 / (1 + (r / t) ** 2) ** (1 + t)


class ByAutodiff(IsotropicKernel):
    """Written with a function that has no rule of its own."""

    def radial_cdf(self, r, t):
        return 2 * torch.special.ndtr(r / t) - 1


class Normal(IsotropicKernel):
    def radial_cdf(self, r, t):
        return gammainc(self.dim / 2, (r / t) ** 2 / 2)


THIRD = [Cubic, UnitCubic, Drifting, ByAutodiff, Normal]


@pytest.mark.parametrize("kind", THIRD)
@pytest.mark.parametrize("dim", [1, 2, 784])
def test_five_lines_make_a_kernel(kind, dim):
    kernel = kind(dim=dim)
    assert 0 < kernel.t_min < kernel.t_max
    level = kernel.level(torch.tensor([kernel.t_min, kernel.t_max], dtype=DOUBLE))
    torch.testing.assert_close(level, torch.tensor([0.002, 80], dtype=DOUBLE), rtol=1e-9, atol=0)
    t = math.sqrt(kernel.t_min * kernel.t_max)
    x_0 = torch.randn(1000, dim, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    x = kernel.sample(x_0, t, torch.Generator().manual_seed(1))
    assert kolmogorov_smirnov(kernel.radial_cdf(radius(x, x_0), t)) < 1.95
    r = kernel.radial_icdf(torch.tensor([1e-6, 0.5, 0.999], dtype=DOUBLE), t)
    assert kernel.radial_cdf(r, t).tolist() == pytest.approx([1e-6, 0.5, 0.999], rel=1e-9)
    assert bool(kernel.log_density(x, x_0, t).isfinite().all())
    v = kernel.velocity(x, x_0, t)
    later = kernel.radial_icdf(kernel.radial_cdf(radius(x, x_0), t), t * 1.0001)
    speed = (later - radius(x, x_0)) / (t * 0.0001)
    torch.testing.assert_close(v.norm(dim=1), speed, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3072])
def test_both_bases_agree_on_one_law(dim):
    one, other = Cubic(dim=dim, t_min=0.1, t_max=9.0), UnitCubic(dim=dim, t_min=0.1, t_max=9.0)
    x_0 = torch.randn(50, dim, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    for t in (0.1, 1.3, 9.0):
        x = one.sample(x_0, t, torch.Generator().manual_seed(1))
        pairs = [
            (one.log_density(x, x_0, t), other.log_density(x, x_0, t)),
            (one.velocity(x, x_0, t), other.velocity(x, x_0, t)),
            (x, other.sample(x_0, t, torch.Generator().manual_seed(1))),
            (one.level(t), other.level(t)),
            (one.least_level(t), other.least_level(t)),
            (one.time_at(0.5), other.time_at(0.5)),
        ]
        for a, b in pairs:
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


def test_a_cdf_alone_reproduces_the_normal_law():
    kernel = Normal(dim=3072)
    x_0 = torch.zeros(6, 3072, dtype=DOUBLE)
    x = x_0.clone()
    x[:, 0] = torch.tensor([1e-3, 1.0, 30.0, 55.0, 1e3, 1e6])
    normal = -1536 * math.log(2 * math.pi) - x[:, 0].square() / 2
    torch.testing.assert_close(kernel.log_density(x, x_0, 1.0), normal, rtol=1e-11, atol=0)
    torch.testing.assert_close(kernel.velocity(x, x_0, 1.0), x, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", [Cubic, Drifting, Normal])
def test_far_out_nothing_underflows(kind):
    """Sources a million noise levels away still have a density and a velocity."""
    kernel = kind(dim=2, t_min=1e-4, t_max=10.0)
    x_0 = torch.zeros(4, 2, dtype=DOUBLE)
    x = x_0.clone()
    x[:, 0] = torch.tensor([0.01, 0.1, 1.0, 100.0])
    log = kernel.log_density(x, x_0, 1e-4)
    assert bool(log.isfinite().all())
    assert bool((log.diff() < 0).all())
    if kind is not Drifting:
        torch.testing.assert_close(kernel.velocity(x, x_0, 1e-4), x / 1e-4, rtol=1e-9, atol=0)


def test_velocity_at_the_source_is_zero():
    for kind in THIRD:
        x = torch.ones(2, 3, dtype=DOUBLE)
        assert torch.equal(kind(dim=3).velocity(x, x, 1.0), torch.zeros_like(x))


@pytest.mark.parametrize("kind", [Cubic, Drifting])
def test_quantiles_have_the_derivatives_of_the_implicit_function(kind):
    kernel = kind(dim=2)
    q = torch.tensor([0.1, 0.5, 0.9], dtype=DOUBLE, requires_grad=True)
    t = torch.tensor([0.5, 1.0, 2.0], dtype=DOUBLE, requires_grad=True)
    r = kernel.radial_icdf(q, t)
    by_q, by_t = torch.autograd.grad(r.sum(), (q, t))
    r, t = r.detach(), t.detach()
    torch.testing.assert_close(by_t, kernel.radial_velocity(r, t))
    torch.testing.assert_close(by_q, (-kernel.radius_log_density(r, t)).exp())
    time = t.clone().requires_grad_()
    alpha, sigma = kernel.marginal(time)
    (rate,) = torch.autograd.grad(sigma.sum(), time)
    assert alpha.tolist() == [1, 1, 1]
    near = kernel.level(t + 1e-6) - kernel.level(t - 1e-6)
    torch.testing.assert_close(rate, near / 2e-6, rtol=1e-6, atol=0)


def test_least_level_is_a_quantile():
    for kind in (Cubic, UnitCubic):
        kernel = kind(dim=9)
        r = kernel.least_level(torch.tensor([0.7], dtype=DOUBLE)) * 3
        assert float(kernel.radial_cdf(r, 0.7)) == pytest.approx(1e-4, rel=1e-9)


def test_a_law_that_never_spreads_asks_for_its_times():
    class Bounded(IsotropicKernel):
        def radial_cdf(self, r, t):
            return torch.tanh(r * (1 + 1 / t))

    with pytest.raises(ZooError, match=r"t_max cannot be matched.*give t_min and t_max"):
        Bounded(dim=2)
    assert Bounded(dim=2, t_min=0.01, t_max=1.0).t_max == 1


@pytest.mark.parametrize(
    "options",
    [
        {"dim": 0},
        {"dim": -1},
        {"dim": 2.0},
        {"dim": True},
        {"dim": "2"},
        {"dim": 2, "t_min": 0.0},
        {"dim": 2, "t_min": -1.0},
        {"dim": 2, "t_max": 1e-9},
        {"dim": 2, "t_min": math.nan},
        {"dim": 2, "t_max": math.inf},
        {"dim": 2, "t_min": "1"},
    ],
)
@pytest.mark.parametrize("kind", [Cubic, UnitCubic])
def test_bad_options_are_told(kind, options):
    with pytest.raises(ZooError, match=r"^(dim|t_min|t_max) "):
        kind(**options)


def test_a_time_of_the_wrong_length_is_told():
    x = torch.zeros(4, 2, dtype=DOUBLE)
    with pytest.raises(ZooError, match=r"t has shape \(2,\); expected a scalar or \(4,\)"):
        Cubic(dim=2).sample(x, torch.ones(2))


def test_a_batch_of_one_broadcasts():
    kernel = Cubic(dim=2)
    x = torch.randn(4, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    wide = kernel.log_density(x, x[:1] + 1, 1.0)
    torch.testing.assert_close(wide, kernel.log_density(x, (x[:1] + 1).expand(4, 2), 1.0))


def test_an_empty_batch_stays_empty():
    kernel = Cubic(dim=2)
    none = torch.zeros(0, 2, dtype=DOUBLE)
    assert kernel.sample(none, torch.zeros(0, dtype=DOUBLE)).shape == (0, 2)
    assert kernel.log_density(none, none, 1.0).shape == (0,)


def test_sphere_area():
    for dim, area in ((1, 2), (2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2)):
        assert math.exp(log_sphere_area(dim)) == pytest.approx(area, rel=1e-14)


def test_directions_are_unit_vectors_without_a_preferred_axis():
    like = torch.zeros(4000, 5, dtype=DOUBLE)
    u = directions(like, torch.Generator().manual_seed(0))
    torch.testing.assert_close(u.norm(dim=1), torch.ones(4000, dtype=DOUBLE))
    # u_1^2 ~ Beta(1/2, (d-1)/2), on every axis.
    for axis in range(5):
        law = scipy_betainc(0.5, 2.0, u[:, axis].square().numpy())
        assert kolmogorov_smirnov(torch.from_numpy(law)) < 1.95


def test_uniforms_are_never_0_or_1():
    u = uniform_open(100_000, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert u.dtype == DOUBLE
    assert 0 < float(u.min()) < 1e-4
    assert 1 - 1e-4 < float(u.max()) < 1
    assert kolmogorov_smirnov(u) < 1.95


def test_a_gaussian_path_is_its_coefficients():
    class Line(GaussianPathKernel):
        def coefficients(self, t):
            return PathCoefficients(1 - t / 2, t**2, torch.full_like(t, -0.5), 2 * t)

    kernel: FieldKernel = Line(dim=3, t_min=0.1, t_max=1.5)
    x_0 = torch.randn(4, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.2, 0.5, 1.0, 1.5], dtype=DOUBLE)
    z = torch.randn(4, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    x = kernel.sample(x_0, t, torch.Generator().manual_seed(1))
    s = t[:, None]
    torch.testing.assert_close(x, (1 - s / 2) * x_0 + s**2 * z)
    v = kernel.velocity(x, x_0, t)
    torch.testing.assert_close(v, -x_0 / 2 + 2 * s * z)
    torch.testing.assert_close(kernel.denoised(v, x, t), x_0)
    normal = torch.distributions.Normal((1 - s / 2) * x_0, s**2)
    torch.testing.assert_close(kernel.log_density(x, x_0, t), normal.log_prob(x).sum(1))
