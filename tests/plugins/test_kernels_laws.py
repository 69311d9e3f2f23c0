"""What every kernel has to satisfy (THEORY 2, 5 and 8), each law on every first-party kernel."""

import math
import pickle

import pytest
import torch
from common import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import CASES, ISOTROPIC, build, kolmogorov_smirnov, times

import zoo
from zoo.interfaces import IsotropicKernel, over

ALL = list(CASES)
OTHERS = [case for case in ALL if case not in ISOTROPIC]
DOUBLE = torch.float64


def draws(kernel, n, t, seed=0, spread=1.0):
    """Return (x_t, x_0): sources of norm ~ spread sqrt d, and one draw around each."""
    x_0 = spread * torch.randn(n, kernel.dim, dtype=DOUBLE, generator=seeded(seed))
    return kernel.sample(x_0, t, seeded(seed + 1)), x_0


def divergence(kernel, x, t, x_0):
    """Return div_x v per sample: by the full Jacobian, or by symmetry in high dimension."""
    v = kernel.velocity(x, x_0, t)
    if kernel.dim <= 4:
        rows = [
            torch.autograd.grad(v[:, i].sum(), x, create_graph=True)[0][:, i]
            for i in range(kernel.dim)
        ]
        return torch.stack(rows).sum(0)
    if type(kernel).__name__ == "ElementwiseMapKernel":  # a diagonal Jacobian
        return torch.autograd.grad(v.sum(), x)[0].sum(1)
    # The Jacobian is a number along x_t - x_0 and another one across it.
    along = (x - x_0).detach() / (x - x_0).detach().norm(dim=1, keepdim=True)
    across = torch.randn(x.shape, dtype=DOUBLE, generator=seeded(9))
    across = across - (across * along).sum(1, keepdim=True) * along
    across = across / across.norm(dim=1, keepdim=True)
    parts = [
        (torch.autograd.grad((v * w).sum(), x, retain_graph=True)[0] * w).sum(1)
        for w in (along, across)
    ]
    return parts[0] + (kernel.dim - 1) * parts[1]


@pytest.mark.parametrize("dim", [1, 2, 3, 3072])
@pytest.mark.parametrize("case", ALL)
def test_divergence_of_g_is_zero(case, dim):
    """d_t log G_1 + v . grad log G_1 + div v = div G / G_1, against |G| / (t G_1)."""
    kernel = build(case, dim)
    for t in times(kernel, 3 if dim < 100 else 1):
        x, x_0 = draws(kernel, 16, t)
        x.requires_grad_()
        time = t.repeat(len(x)).requires_grad_()
        log = kernel.log_density(x, x_0, time)
        by_x, by_t = torch.autograd.grad(log.sum(), (x, time))
        v = kernel.velocity(x, x_0, time)
        total = by_t + (by_x * v).sum(1) + divergence(kernel, x, time, x_0)
        size = (1 + v.detach().square().sum(1)).sqrt() / t
        assert float((total.detach().abs() / size).max()) < 1e-8


@pytest.mark.parametrize("case", OTHERS)
def test_mass_is_one_on_the_line(case):
    kernel = build(case, 1)
    for t in times(kernel):
        alpha, sigma = kernel.marginal(t)
        w = torch.arange(-5000, 5001, dtype=DOUBLE) * 1e-3  # x reaches 74 sigma
        x = (alpha * 0.7 + sigma * w.sinh())[:, None]
        log = kernel.log_density(x, torch.full_like(x, 0.7), t)
        mass = float((log.exp() * sigma * w.cosh()).sum()) * 1e-3
        assert mass == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 784, 3072])
@pytest.mark.parametrize("case", ISOTROPIC)
def test_mass_is_one_in_the_radius(case, dim):
    kernel = build(case, dim)
    for t in times(kernel):
        q = torch.tensor([1e-13, 1 - 1e-13], dtype=DOUBLE)
        low, high = kernel.radial_icdf(q, t).log().tolist()
        u = torch.linspace(low - 1, high + 1, 4001, dtype=DOUBLE)
        density = (kernel.radius_log_density(u.exp(), t) + u).exp()
        assert float(torch.trapezoid(density, u)) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("dim", [1, 2, 784])
@pytest.mark.parametrize("case", ISOTROPIC)
def test_log_phi_is_the_radius_density_over_the_sphere(case, dim):
    kernel = build(case, dim)
    t = times(kernel, 1)[0]
    r = kernel.radial_icdf(torch.linspace(0.01, 0.99, 9, dtype=DOUBLE), t)
    area = math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2) + (dim - 1) * r.log()
    expected = kernel.radius_log_density(r, t) - area
    torch.testing.assert_close(kernel.log_phi(r, t), expected, rtol=1e-11, atol=1e-11)
    x = torch.zeros(9, dim, dtype=DOUBLE)
    x[:, 0] = r
    found = kernel.log_density(x, torch.zeros_like(x), t)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dim", [1, 2, 784, 200_000])
@pytest.mark.parametrize("case", ISOTROPIC)
def test_radial_icdf_inverts_the_cdf(case, dim):
    kernel = build(case, dim)
    q = torch.cat([torch.logspace(-8, -1, 8, dtype=DOUBLE), torch.linspace(0.2, 0.999, 9).double()])
    for t in times(kernel, 2):
        r = kernel.radial_icdf(q, t)
        assert bool((r.diff() > 0).all())
        torch.testing.assert_close(kernel.radial_cdf(r, t), q, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 784])
@pytest.mark.parametrize("case", ISOTROPIC)
def test_velocity_keeps_the_quantile(case, dim):
    """v = -(d_t psi / d_r psi) (x_t - x_0) / r, both derivatives by ordinary autodiff."""
    kernel = build(case, dim)
    q = torch.tensor([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99], dtype=DOUBLE)
    for t in times(kernel):
        r = kernel.radial_icdf(q, t).requires_grad_()
        time = t.repeat(len(r)).requires_grad_()
        by_r, by_t = torch.autograd.grad(kernel.radial_cdf(r, time).sum(), (r, time))
        expected = -by_t / by_r
        found = kernel.radial_velocity(r.detach(), t)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=0)
        x_0 = torch.randn(len(r), dim, dtype=DOUBLE, generator=seeded())
        u = torch.randn(len(r), dim, dtype=DOUBLE, generator=seeded(1))
        u = u / u.norm(dim=1, keepdim=True)
        v = kernel.velocity(x_0 + r.detach()[:, None] * u, x_0, t)
        torch.testing.assert_close(v, expected[:, None] * u, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dim", [2, 3072])
@pytest.mark.parametrize("case", ISOTROPIC)
def test_sample_radii_follow_the_cdf(case, dim):
    kernel = build(case, dim)
    t = times(kernel, 1)[0]
    x, x_0 = draws(kernel, 2000 if dim == 2 else 500, t)
    assert kolmogorov_smirnov(kernel.radial_cdf((x - x_0).norm(dim=1), t)) < 1.95


@pytest.mark.parametrize("case", ISOTROPIC)
def test_sample_directions_are_uniform(case):
    kernel = build(case, 2)
    x, x_0 = draws(kernel, 2000, times(kernel, 1)[0])
    angle = torch.atan2((x - x_0)[:, 1], (x - x_0)[:, 0])
    assert kolmogorov_smirnov(angle / (2 * math.pi) + 0.5) < 1.95


@pytest.mark.parametrize("case", OTHERS)
def test_samples_on_the_line_follow_the_density(case):
    """The empirical law of `sample` against the integral of exp(log_density)."""
    kernel = build(case, 1)
    for i, t in enumerate(times(kernel, 2)):
        x_0 = torch.full((4000, 1), 0.7, dtype=DOUBLE)
        x = kernel.sample(x_0, t, seeded(i))
        alpha, sigma = kernel.marginal(t)
        w = torch.arange(-5000, 5001, dtype=DOUBLE) * 1e-3
        grid = alpha * 0.7 + sigma * w.sinh()
        log = kernel.log_density(grid[:, None], torch.full_like(grid, 0.7)[:, None], t)
        cdf = (log.exp() * sigma * w.cosh()).cumsum(0) * 1e-3
        at = ((x[:, 0] - alpha * 0.7) / sigma).asinh()
        index = (at / 1e-3 + 5000).long().clamp(0, len(cdf) - 1)
        assert kolmogorov_smirnov(cdf[index]) < 1.95


@pytest.mark.parametrize("case", ["anisotropic", "rotating"])
def test_distances_of_gaussian_noise_follow_the_chi_square_law(case):
    """log G_1 = const - |A^-1 n|^2 / 2, and the square has d degrees of freedom."""
    kernel = build(case, 3)
    for t in (0.1, 1.0):
        x, x_0 = draws(kernel, 4000, t)
        top = kernel.log_density((1 - t) * x_0, x_0, t)
        square = 2 * (top - kernel.log_density(x, x_0, t))
        u = torch.special.gammainc(torch.full_like(square, 1.5), square / 2)
        assert kolmogorov_smirnov(u) < 1.95


@pytest.mark.parametrize("case", ALL)
def test_noise_vanishes_as_t_goes_to_zero(case):
    kernel = build(case, 2)
    x, x_0 = draws(kernel, 500, kernel.t_min)
    level = float(kernel.level(kernel.t_min))
    assert level < 0.02
    # 0.9 quantile of |x_t - x_0|, gravity's law being the heaviest here.
    assert float((x - x_0).norm(dim=1).quantile(0.9)) < 10 * level


@pytest.mark.parametrize("case", ALL)
def test_level_grows_and_time_at_inverts_it(case):
    kernel = build(case, 16)
    t = times(kernel, 6)
    level = kernel.level(t)
    assert bool((level.diff() > 0).all())
    torch.testing.assert_close(kernel.time_at(level), t, rtol=1e-9, atol=0)
    ends = kernel.time_at(torch.tensor([1e-9, 1e9], dtype=DOUBLE))
    torch.testing.assert_close(
        ends, torch.tensor([kernel.t_min, kernel.t_max], dtype=DOUBLE), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("case", ALL)
def test_one_time_or_one_per_sample(case):
    kernel = build(case, 3)
    t = times(kernel, 5)
    x_0 = torch.randn(5, 3, dtype=DOUBLE, generator=seeded())
    x = kernel.sample(x_0, t, seeded(1))
    both = kernel.log_density(x, x_0, t), kernel.velocity(x, x_0, t)
    for i in range(5):
        one = slice(i, i + 1)
        for alone in (t[i], float(t[i]), t[one]):
            log = kernel.log_density(x[one], x_0[one], alone)
            v = kernel.velocity(x[one], x_0[one], alone)
            torch.testing.assert_close(log, both[0][one], rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(v, both[1][one], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", ALL)
def test_dtype_device_and_shape_are_kept(case, dtype):
    kernel = build(case, 12)
    x_0 = torch.randn(4, 1, 3, 4, dtype=dtype, generator=seeded())
    for t in (times(kernel, 1)[0], times(kernel, 4).to(dtype)):
        x = kernel.sample(x_0, t, seeded(1))
        for like in (x, kernel.velocity(x, x_0, t)):
            assert (like.shape, like.dtype, like.device) == (x_0.shape, dtype, x_0.device)
            assert bool(like.isfinite().all())
        log = kernel.log_density(x, x_0, t)
        assert (log.shape, log.dtype) == ((4,), dtype)
        density, flux = kernel.green(x.double(), x_0.double(), t)
        assert (density.shape, flux.shape) == ((4,), x_0.shape)
        torch.testing.assert_close(
            flux, over(density, flux) * kernel.velocity(x.double(), x_0.double(), t)
        )


@pytest.mark.parametrize("case", ALL)
def test_single_precision_agrees_with_double(case):
    kernel = build(case, 784)
    t = times(kernel, 1)[0]
    x, x_0 = draws(kernel, 8, t)
    x, x_0 = x.float().double(), x_0.float().double()
    for method in (kernel.log_density, kernel.velocity):
        double, single = method(x, x_0, t), method(x.float(), x_0.float(), t)
        scale = float(double.abs().max())
        assert float((single.double() - double).abs().max()) < 1e-4 * scale


@pytest.mark.parametrize("case", ALL)
def test_the_generator_decides(case):
    kernel = build(case, 6)
    t = times(kernel, 1)[0]
    x_0 = torch.zeros(5, 6, dtype=DOUBLE)
    first, again, other = (kernel.sample(x_0, t, seeded(s)) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not bool((first == other).any())
    state = torch.get_rng_state()
    kernel.sample(x_0, t, seeded(3))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("case", [c for c in ALL if CASES[c][0] != "map"])
def test_denoised_inverts_the_field(case):
    kernel = build(case, 5)
    t = times(kernel, 4)
    x_0 = torch.randn(4, 5, dtype=DOUBLE, generator=seeded())
    x = kernel.sample(x_0, t, seeded(1))
    field = kernel.velocity(x, x_0, t)
    if kernel.affine:
        torch.testing.assert_close(kernel.denoised(field, x, t), x_0, rtol=0, atol=1e-8)
        mean = (x_0 + x_0.roll(1, 0)) / 2
        average = (field + kernel.velocity(x, x_0.roll(1, 0), t)) / 2
        torch.testing.assert_close(kernel.velocity(x, mean, t), average, rtol=1e-9, atol=1e-9)
    else:
        with pytest.raises(zoo.ZooError, match="not affine"):
            kernel.denoised(field, x, t)


@pytest.mark.parametrize("case", ALL)
def test_the_prior_is_the_kernel_at_t_max(case):
    name = CASES[case][0]
    kernel = build(case, 4)
    prior = zoo.prior(name, kernel)
    x = prior.sample(3, (1, 2, 2), seeded())
    assert (x.shape, x.dtype) == ((3, 1, 2, 2), DOUBLE)
    zero = torch.zeros_like(x)
    assert torch.equal(prior.log_density(x), kernel.log_density(x, zero, kernel.t_max))
    assert torch.equal(x, kernel.sample(zero, kernel.t_max, seeded()))
    assert torch.equal(x, prior.sample(3, (1, 2, 2), seeded()))


@pytest.mark.parametrize("other", ["gravity", "gaussian", "pfgmpp-128", "tanh", "exp"])
@pytest.mark.parametrize("case", ISOTROPIC)
def test_matched_times_have_equal_median_radii(case, other):
    kernel, other = build(case, 2), build(other, 2)
    t = times(other, 3)
    matched = kernel.match_time(other, t)
    inside = (matched > kernel.t_min) & (matched < kernel.t_max)
    half = torch.full_like(t, 0.5)
    mine, theirs = kernel.radial_icdf(half, matched), other.radial_icdf(half, t)
    assert bool(inside.any())
    torch.testing.assert_close(mine[inside], theirs[inside], rtol=1e-9, atol=0)


@pytest.mark.parametrize("case", ALL)
def test_bad_arguments_are_told(case):
    kernel = build(case, 6)
    t = float(times(kernel, 1)[0])
    x = torch.randn(4, 6, generator=seeded())
    for wrong in (0.0, -1.0, kernel.t_max * 1.01, kernel.t_min * 0.9, math.nan, math.inf):
        for call in (
            lambda s: kernel.sample(x, s),
            lambda s: kernel.velocity(x, x + 1, s),
            lambda s: kernel.log_density(x, x + 1, torch.tensor(s)),
            lambda s: kernel.log_density(x, x + 1, torch.tensor([t, s, t, t])),
        ):
            with pytest.raises(zoo.ZooError, match=r"^t = .* is outside \[.*\]"):
                call(wrong)
    for call in (kernel.velocity, kernel.log_density):
        with pytest.raises(zoo.ZooError, match=r"x_t has shape \(4, 6\) and x_0 \(3, 6\)"):
            call(x, x[:3], t)
        with pytest.raises(zoo.ZooError, match=r"x_0 has shape \(4, 5\).* 6 coordinates"):
            call(x, x[:, :5], t)
        with pytest.raises(zoo.ZooError, match=r"t has shape \(3,\)"):
            call(x, x + 1, torch.full((3,), t))
    with pytest.raises(zoo.ZooError, match=r"x_0 has shape \(6,\)"):
        kernel.sample(x[0], t)


@pytest.mark.parametrize("case", ALL)
def test_can_be_pickled(case):
    kernel = build(case, 3)
    again = pickle.loads(pickle.dumps(kernel))
    t, x_0 = times(kernel, 1)[0], torch.randn(4, 3, dtype=DOUBLE, generator=seeded())
    x = kernel.sample(x_0, t, seeded(1))
    assert torch.equal(again.sample(x_0, t, seeded(1)), x)
    assert torch.equal(again.velocity(x, x_0, t), kernel.velocity(x, x_0, t))
    assert repr(again) == repr(kernel)


@pytest.mark.parametrize("case", ALL)
def test_works_in_inference_mode(case):
    """Sampling runs there, where autodiff does not."""
    kernel = build(case, 3)
    t = times(kernel, 1)[0]
    x_0 = torch.randn(4, 3, dtype=DOUBLE, generator=seeded())
    x = kernel.sample(x_0, t, seeded(1))
    expected = kernel.velocity(x, x_0, t), kernel.log_density(x, x_0, t)
    with torch.inference_mode():
        assert torch.equal(kernel.sample(x_0 + 0, t + 0, seeded(1)), x)
        torch.testing.assert_close(kernel.velocity(x + 0, x_0 + 0, t + 0), expected[0])
        torch.testing.assert_close(kernel.log_density(x + 0, x_0 + 0, t + 0), expected[1])
        kernel.marginal(t + 0)


@pytest.mark.parametrize("case", ISOTROPIC)
def test_far_sources_have_finite_weights(case):
    """An exact field weighs every source of a data set, however many noise levels away."""
    kernel = build(case, 2)
    t = kernel.t_min
    x = torch.zeros(3, 2, dtype=DOUBLE)
    x_0 = torch.tensor([[1e-6, 0.0], [1.0, 0.0], [1e3, 0.0]], dtype=DOUBLE)
    log, v = kernel.log_density(x, x_0, t), kernel.velocity(x, x_0, t)
    assert bool(log.isfinite().all())
    assert bool((log.diff() < 0).all())
    assert bool(v.isfinite().all())
    assert isinstance(kernel, IsotropicKernel)


@given(
    case=st.sampled_from(["gaussian", "ve-square", "tanh", "exp", "psi-power", "psi-warped"]),
    dim=st.sampled_from([1, 2, 7, 784, 3072]),
    share=st.floats(0, 1),
    decades=st.floats(-6, 6),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_closed_forms_are_what_their_cdf_gives(case, dim, share, decades):
    """log phi and dr/dt from psi alone, by derivatives in logarithms, over 12 decades of r/t."""
    kernel = build(case, dim)
    t = kernel.t_min ** (1 - share) * kernel.t_max**share
    level = float(kernel.radial_icdf(torch.tensor(0.5, dtype=DOUBLE), t)) if "psi" in case else t
    r = torch.tensor([level * 10**decades], dtype=DOUBLE)
    expected = IsotropicKernel.log_phi(kernel, r, t)
    torch.testing.assert_close(kernel.log_phi(r, t), expected, rtol=1e-10, atol=1e-9)
    velocity = IsotropicKernel.radial_velocity(kernel, r, t)
    torch.testing.assert_close(kernel.radial_velocity(r, t), velocity, rtol=1e-9, atol=0)
