"""Gravity and PFGM++: equal ways to draw, the paper's recipe, and the limits of D."""

import math

import pytest
import torch
from common import seeded
from kernel_cases import kolmogorov_smirnov
from scipy import stats
from zoo_gravity import draws
from zoo_gravity.draws import PFGMRecipe
from zoo_gravity.kernel import GravityKernel, PFGMppKernel

import zoo
from zoo import ZooError

DOUBLE = torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("dim", [1, 2, 784])
@pytest.mark.parametrize("draw", ["ratio", "beta", "inverse"])
def test_three_equal_ways_to_draw(draw, dim, dtype):
    kernel = GravityKernel(dim=dim, draw=draw)
    z = kernel.unit_sample(torch.zeros(2000, dim, dtype=dtype), seeded(5))
    assert z.dtype == dtype
    rho = z.double().norm(dim=1)
    assert kolmogorov_smirnov(kernel.unit_cdf(rho)) < 1.95
    # The first coordinate of a multivariate Cauchy law is Cauchy.
    assert kolmogorov_smirnov(z[:, 0].double().atan() / math.pi + 0.5) < 1.95


@pytest.mark.parametrize("draw", ["ratio", "beta", "inverse"])
def test_a_denominator_of_zero_gives_no_infinity(draw, monkeypatch):
    """The worst that a generator can return: normals of exactly 0, uniforms of exactly 0 or 1."""
    like = torch.zeros(3, 4)
    zero = lambda shape, like, generator=None, dtype=None: torch.zeros(  # noqa: E731
        shape, dtype=dtype or like.dtype
    )
    kernel = GravityKernel(dim=4, draw=draw)
    monkeypatch.setattr(torch, "rand", lambda *a, dtype=None, **k: torch.zeros(*a, dtype=dtype))
    if draw == "ratio":
        monkeypatch.setattr(draws, "randn", zero)
    assert bool(kernel.unit_sample(like, None).isfinite().all())
    worst = torch.nextafter(torch.ones(3, dtype=DOUBLE), torch.zeros(3, dtype=DOUBLE))
    monkeypatch.setattr(torch, "rand", lambda *a, **k: worst.clone())
    assert bool(kernel.unit_sample(like, None).isfinite().all())


def test_prior_takes_the_kernels_way_to_draw():
    for draw in ("ratio", "beta"):
        kernel = zoo.kernel("gravity", dim=4, draw=draw)
        x = zoo.prior("gravity", kernel).sample(3, (4,), seeded())
        z = kernel.unit_sample(torch.zeros(3, 4, dtype=DOUBLE), seeded())
        torch.testing.assert_close(x, kernel.t_max * z)


class TestRecipe:
    def test_is_gravity_inside_its_range(self):
        kernel = GravityKernel(dim=3, t_min=1e-6, t_max=1e6)
        recipe = PFGMRecipe()
        x_0 = torch.randn(20_000, 3, dtype=DOUBLE, generator=seeded())
        x, t = recipe.draw(kernel, x_0, seeded(1))
        # Far from both ends of (1 + tau)^m, t says nothing about eps_t.
        inside = (t > 0.1) & (t < 5)
        rho = ((x - x_0).norm(dim=1) / t)[inside]
        assert int(inside.sum()) > 5000
        assert kolmogorov_smirnov(kernel.unit_cdf(rho)) < 1.95
        assert kolmogorov_smirnov((t[inside] / 0.1).log() / math.log(50)) < 1.95

    def test_ends_where_the_paper_says(self):
        kernel = GravityKernel(dim=2, t_min=1e-9, t_max=1e9)
        recipe = PFGMRecipe(sigma=0.01, tau=0.03, M=291)
        _, t = recipe.draw(kernel, torch.zeros(50_000, 2, dtype=DOUBLE), seeded())
        top = 0.01 * 1.03**291
        assert top < float(t.max()) < 5 * top  # |eps_t| reaches about 4
        # E log t = log sigma + E log |eps| + M/2 log(1 + tau), E log |eps| = -(gamma + log 2)/2
        mean = math.log(0.01) - (0.5772156649 + math.log(2)) / 2 + 145.5 * math.log(1.03)
        assert float(t.log().mean()) == pytest.approx(mean, abs=0.05)

    def test_stays_in_the_kernels_times(self):
        kernel = GravityKernel(dim=2, t_min=0.5, t_max=2.0)
        x, t = PFGMRecipe().draw(kernel, torch.zeros(2000, 2, dtype=DOUBLE), seeded())
        kernel.check_time(t)
        assert bool(((t == 0.5) | (t == 2.0)).any())
        kernel.log_density(x, torch.zeros_like(x), t)

    def test_is_an_option_of_the_kernel(self):
        assert zoo.kernel("gravity", dim=2).noise_law is None
        assert zoo.kernel("gravity", dim=2, pfgm={"M": 200}).noise_law == PFGMRecipe(M=200)
        assert zoo.kernel("gravity", dim=2, pfgm={}).noise_law == PFGMRecipe()

    @pytest.mark.parametrize(
        ("constants", "message"),
        [
            ({"m": 3}, r"pfgm has no constant 'm'"),
            ({"tau": -1}, r"pfgm.tau = -1; expected a positive number"),
            ({"sigma": math.inf}, r"pfgm.sigma = inf"),
            ({"M": "291"}, r"pfgm.M = '291'"),
            (291, r"pfgm = 291; expected constants"),
        ],
    )
    def test_bad_constants_are_told(self, constants, message):
        with pytest.raises(ZooError, match=message):
            zoo.kernel("gravity", dim=2, pfgm=constants)


@pytest.mark.parametrize("dim", [2, 3072])
def test_one_extra_dimension_is_gravity(dim):
    one, gravity = PFGMppKernel(dim=dim, D=1), GravityKernel(dim=dim)
    assert (one.t_min, one.t_max) == (gravity.t_min, gravity.t_max)
    x = torch.randn(5, dim, dtype=DOUBLE, generator=seeded())
    for t in (0.01, 1.0, 40.0):
        zero = torch.zeros_like(x)
        assert torch.equal(one.log_density(x, zero, t), gravity.log_density(x, zero, t))
        r = torch.logspace(-3, 4, 8, dtype=DOUBLE)
        assert torch.equal(one.radial_cdf(r, t), gravity.radial_cdf(r, t))


@pytest.mark.parametrize("dim", [2, 784])
def test_many_extra_dimensions_are_gaussian(dim):
    """At t = sigma sqrt D, up to O(1 / D)."""
    gaussian = zoo.kernel("gaussian", dim=dim)
    x = torch.randn(5, dim, dtype=DOUBLE, generator=seeded())
    zero = torch.zeros_like(x)
    for degrees in (1e8, 1e10):
        kernel = PFGMppKernel(dim=dim, D=degrees)
        for sigma in (0.5, 2.0):
            t = kernel.aligned_time(sigma)
            assert t == sigma * math.sqrt(degrees)
            found = kernel.log_density(x, zero, t)
            expected = gaussian.log_density(x, zero, sigma)
            slack = 10 * (dim + float(x.square().sum(1).max()) / sigma**2) ** 2 / degrees
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=slack)


@pytest.mark.parametrize("degrees", [128, 2048])
def test_default_times_tend_to_the_papers_alignment(degrees):
    kernel = PFGMppKernel(dim=3072, D=degrees)
    assert kernel.t_max == pytest.approx(kernel.aligned_time(80), rel=1 / degrees)
    assert kernel.t_min == pytest.approx(kernel.aligned_time(0.002), rel=1 / degrees)


@pytest.mark.parametrize("degrees", [1.0, 1.5, 7.3, 2048.0])
def test_chi_square_draws(degrees):
    chi = draws.chi_square(3000, degrees, seeded(), torch.device("cpu"))
    law = torch.special.gammainc(torch.full_like(chi, degrees / 2), chi / 2)
    assert kolmogorov_smirnov(law) < 1.95
    assert float(chi.min()) > 0


@pytest.mark.parametrize("degrees", [-1, 0, 0.5, math.nan, math.inf, "128", None, True])
def test_bad_numbers_of_dimensions_are_told(degrees):
    with pytest.raises(ZooError, match=r"^D = .*expected a number of at least 1"):
        zoo.kernel("pfgmpp", dim=4, D=degrees)


def test_an_unknown_way_to_draw_is_told():
    with pytest.raises(ZooError, match="draw = 'ratios'; did you mean 'ratio'"):
        zoo.kernel("gravity", dim=4, draw="ratios")


@pytest.mark.parametrize("nu", [1.0, 3.0, 7.5])
@pytest.mark.parametrize("dim", [2, 20])
def test_t_edm_with_nu_is_pfgmpp_of_as_many_dimensions(dim, nu):
    """t = sigma sqrt(nu): density (r^2 + nu sigma^2)^(-(d+nu)/2), normalised (arXiv:2410.14171)."""
    kernel = PFGMppKernel(dim=dim, D=nu)
    x_0 = torch.randn(1, dim, generator=seeded(), dtype=DOUBLE)
    for sigma in (0.01, 1.0, 50.0):
        x = x_0 + sigma * torch.randn(64, dim, generator=seeded(1), dtype=DOUBLE) * 3
        found = kernel.log_density(x, x_0, sigma * math.sqrt(nu))
        r2 = (x - x_0).square().sum(dim=1)
        formula = -(dim + nu) / 2 * (r2 + nu * sigma**2).log()
        assert float((found - formula).std()) < 1e-9
        law = stats.multivariate_t(x_0[0].numpy(), sigma**2 * torch.eye(dim).numpy(), df=nu)
        assert torch.allclose(found, torch.from_numpy(law.logpdf(x.numpy())), atol=1e-8)
        # Its noise is sigma z / sqrt(kappa), kappa ~ chi-square / nu: the same draw.
        z = kernel.sample(x_0.expand(4_000, dim), sigma * math.sqrt(nu), seeded(2)) - x_0
        squares = z.square().sum(dim=1) / dim / sigma**2
        assert stats.kstest(squares.numpy(), stats.f(dim, nu).cdf).pvalue > 1e-3
