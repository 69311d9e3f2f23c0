"""Noise schedules: against their papers' formulas, and what is refused."""

import math

import pytest
import torch
from zoo_gaussian.schedules import CosineSchedule, LinearSchedule, TableSchedule

import zoo
from zoo import ZooError

DOUBLE = torch.float64


def column(*values):
    return torch.tensor(values, dtype=DOUBLE)


def test_ddpm_table_at_its_time_steps():
    """alpha_bar_n = prod (1 - beta_i), at t = n + 1."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=DOUBLE)
    kernel = zoo.kernel("vp", dim=2, schedule="ddpm")
    assert (kernel.t_min, kernel.t_max) == (1, 1000)
    alpha, sigma = kernel.marginal(torch.arange(1, 1001, dtype=DOUBLE))
    bar = (1 - betas).cumprod(0)
    torch.testing.assert_close(alpha.square(), bar, rtol=1e-12, atol=0)
    torch.testing.assert_close(sigma.square(), 1 - bar, rtol=1e-9, atol=0)


def test_a_table_of_ones_own():
    kernel = zoo.kernel("vp", dim=2, schedule="ddpm", betas=[0.1, 0.2, 0.4])
    alpha, _ = kernel.marginal(column(1, 2, 3))
    assert alpha.square().tolist() == pytest.approx([0.9, 0.72, 0.432])


def test_the_table_is_monotone_and_smooth_in_between():
    schedule = TableSchedule([0.3, 1e-3, 0.2, 1e-4, 0.5])
    t = torch.linspace(0, 5, 2001, dtype=DOUBLE)
    decay, rate = schedule.decay(t)
    assert bool((decay.diff() >= 0).all())
    assert bool((rate > 0).all())
    assert float(rate.diff().abs().max()) < 0.02  # a jump would be of the betas' size
    torch.testing.assert_close(
        decay.diff() / t.diff(), (rate[1:] + rate[:-1]) / 2, rtol=0, atol=1e-4
    )


def test_linear_schedule():
    """alpha^2 = exp(-int beta), beta_t = 0.1 + 19.9 t."""
    kernel = zoo.kernel("vp", dim=2)
    t = column(1e-3, 0.1, 0.5, 1.0)
    alpha, sigma = kernel.marginal(t)
    torch.testing.assert_close(alpha.square(), (-(0.1 * t + 9.95 * t**2)).exp())
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones_like(t))
    other = zoo.kernel("vp", dim=2, beta_min=1.0, beta_max=1.0)
    assert float(other.marginal(column(0.7))[0].square()) == pytest.approx(math.exp(-0.7))


def test_cosine_schedule():
    s = 0.008
    t = column(1e-4, 0.2, 0.9)
    alpha, _ = zoo.kernel("vp", dim=2, schedule="cosine").marginal(t)
    ratio = ((t + s) / (1 + s) * math.pi / 2).cos() / math.cos(s / (1 + s) * math.pi / 2)
    torch.testing.assert_close(alpha, ratio, rtol=1e-12, atol=0)
    ends = zoo.kernel("vp", dim=2, schedule="cosine")
    assert float(ends.level(ends.t_max)) == pytest.approx(80)
    assert float(ends.level(ends.t_min)) == pytest.approx(0.002)


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule(), TableSchedule()])
def test_rates_are_derivatives(schedule):
    t = torch.linspace(0.01, 0.95, 40, dtype=DOUBLE) * schedule.end
    t.requires_grad_()
    decay, rate = schedule.decay(t)
    (slope,) = torch.autograd.grad(decay.sum(), t)
    torch.testing.assert_close(rate.detach(), slope, rtol=1e-10, atol=1e-12)


def test_sigma_t_equal_t_is_the_gaussian_kernel():
    one, other = zoo.kernel("ve", dim=3, sigma="t"), zoo.kernel("gaussian", dim=3)
    assert (one.t_min, one.t_max) == pytest.approx((other.t_min, other.t_max))
    x = torch.randn(4, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    t = column(0.01, 0.5, 3.0, 70.0)
    torch.testing.assert_close(one.velocity(x, 2 * x, t), other.velocity(x, 2 * x, t))
    torch.testing.assert_close(one.log_density(x, 2 * x, t), other.log_density(x, 2 * x, t))


@pytest.mark.parametrize(
    ("sigma", "parameters", "expected"),
    [
        ("sqrt(t)", {}, math.sqrt(0.3)),
        ("low * ratio**t", {"low": 0.01, "ratio": 5000.0}, 0.01 * 5000**0.3),
        (lambda t: t**2, {}, 0.09),
        (lambda t, a: a * t, {"a": 4.0}, 1.2),
    ],
)
def test_free_schedules(sigma, parameters, expected):
    kernel = zoo.kernel("ve", dim=2, sigma=sigma, t_min=0.1, t_max=1.0, **parameters)
    assert float(kernel.level(0.3)) == pytest.approx(expected, rel=1e-12)
    x = torch.ones(1, 2, dtype=DOUBLE)
    rate = (kernel.level(0.3 + 1e-6) - kernel.level(0.3 - 1e-6)) / 2e-6 / expected
    found = kernel.velocity(x, 0 * x, 0.3)
    torch.testing.assert_close(found, float(rate) * x, rtol=1e-6, atol=0)


def test_an_interpolant_may_be_flow_matching_or_vp():
    x_0 = torch.randn(3, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    for name, other in (
        ("flow", zoo.kernel("interpolant", dim=2, alpha="1-t", sigma="t")),
        (
            "vp",
            zoo.kernel(
                "interpolant",
                dim=2,
                alpha="exp(-0.05*t - b*t**2)",
                sigma="sqrt(-expm1(-0.1*t - 2*b*t**2))",
                b=4.975,
            ),
        ),
    ):
        kernel = zoo.kernel(name, dim=2)
        assert other.t_min == pytest.approx(kernel.t_min, rel=1e-9)
        t = column(0.01, 0.4, 0.9)
        x = kernel.sample(x_0, t, torch.Generator().manual_seed(1))
        torch.testing.assert_close(other.velocity(x, x_0, t), kernel.velocity(x, x_0, t))
        torch.testing.assert_close(other.log_density(x, x_0, t), kernel.log_density(x, x_0, t))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vp", {"schedule": "linnear"}, "did you mean 'linear'"),
        ("vp", {"beta_mx": 3}, "the schedule 'linear' has no option 'beta_mx'; did you mean"),
        (
            "vp",
            {"schedule": "cosine", "beta_max": 3},
            "the schedule 'cosine' has no option 'beta_max'",
        ),
        ("vp", {"beta_min": -1}, "beta_min = -1; expected a positive number"),
        ("vp", {"schedule": "cosine", "s": 1.5}, "s = 1.5; expected a positive number below 1"),
        ("vp", {"schedule": "ddpm", "steps": 1}, "steps = 1; expected a whole number"),
        ("vp", {"schedule": "ddpm", "betas": [0.1, 1.0]}, r"betas\[1\] = 1.0; expected .* below 1"),
        ("vp", {"schedule": "ddpm", "betas": [0.1]}, "betas has 1 entries"),
        ("vp", {"t_max": 2.0}, "t_max = 2 is beyond the schedule's end 1"),
        ("ve", {"sigma": "1 / t"}, "sigma does not increase"),
        (
            "ve",
            {"sigma": "1 / t", "t_min": 0.1, "t_max": 1.0},
            "sigma does not increase at t = 0.1",
        ),
        ("ve", {"sigma": "t - 1", "t_min": 0.1, "t_max": 3.0}, "sigma is not positive at t = 0.1"),
        ("ve", {"sigma": "log(t - 1)", "t_min": 0.1, "t_max": 3.0}, "sigma is not a number"),
        ("ve", {"sigma": "2", "t_min": 0.1, "t_max": 3.0}, "sigma does not increase"),
        ("ve", {"sigma": "tanh(t)"}, "t_max cannot be matched.*give t_min and t_max"),
        ("ve", {"sigma": "t.real"}, "attribute"),
        ("ve", {"sigma": "t", "beta": 1.0}, "unknown option 'beta'"),
        (
            "interpolant",
            {"alpha": "1-t", "sigma": "t", "c": 1.0},
            "occurs in neither alpha nor sigma",
        ),
        ("interpolant", {"alpha": "2-t", "sigma": "t"}, "alpha tends to 2 as t -> 0"),
        ("interpolant", {"alpha": "1", "sigma": "t*(1.1-t)"}, "sigma / alpha does not increase"),
        ("interpolant", {"alpha": "1-t"}, "needs the option 'sigma'"),
    ],
)
def test_bad_options_are_told(name, options, message):
    with pytest.raises(ZooError, match=message):
        zoo.kernel(name, dim=2, **options)


def test_the_cosine_schedule_has_its_slope_at_the_end_where_no_signal_is_left():
    schedule = CosineSchedule()
    w = math.pi / 2 / (1 + schedule.s)
    *_, slope = schedule.path(torch.ones(1, dtype=torch.float64))
    assert float(slope) == pytest.approx(-w / math.cos(w * schedule.s), rel=1e-12)
    kernel = zoo.kernel("vp", dim=2, schedule="cosine", t_max=1.0)
    x_0 = torch.ones(1, 2, dtype=torch.float64)
    velocity = kernel.velocity(torch.zeros_like(x_0), x_0, 1.0)
    torch.testing.assert_close(velocity, slope * x_0, rtol=1e-9, atol=0)


def test_a_callable_sigma_is_given_tensors():
    plain, called = (zoo.kernel("ve", dim=3, sigma=s) for s in ("sqrt(t)", lambda t: torch.sqrt(t)))
    r = torch.tensor([0.5, 2.0], dtype=torch.float64)
    torch.testing.assert_close(called.radial_cdf(r, 1.0), plain.radial_cdf(r, 1.0))
