"""heun-churn: the law of its samples, and noise that depends on the sample alone."""

import math

import pytest
import torch
from kernel_cases import build as kernel_of
from zoo_gaussian.kernel import GaussianKernel
from zoo_solvers.churn import HeunChurn
from zoo_solvers.heun import Heun

from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.sampling.rng import keys, normal

STD = 0.5


def gaussian_data(kernel, share=None, seen=None):
    """Return the exact flow of N(0, STD^2 I) where sample i has level share[i] times typical."""

    def denoise(x, t):
        if seen is not None:
            seen.extend(t.reshape(-1).tolist())
        alpha, sigma = (over(v, x) for v in kernel.marginal(t))
        sigma = sigma if share is None else sigma * over(share, x)
        return alpha * STD**2 * x / (alpha**2 * STD**2 + sigma**2)

    return Flow(kernel, denoise, dtype=torch.float64)


def start(kernel, n, share=1.0):
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(n, kernel.dim, generator=generator, dtype=torch.float64)
    alpha, sigma = kernel.marginal(kernel.t_max)
    return noise * torch.sqrt(alpha**2 * STD**2 + (sigma * share) ** 2)


def decode(solver, kernel, x, steps=40, **given):
    flow = gaussian_data(kernel, **given)
    return solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=steps)


@pytest.mark.parametrize("case", ["gaussian", "vp-linear", "interpolant", "flow", "gravity"])
def test_without_churn_it_is_heun_to_the_last_bit(case):
    kernel = kernel_of(case, 16)
    x = start(kernel, 5)
    assert torch.equal(decode(HeunChurn(), kernel, x), decode(Heun(), kernel, x))
    assert not torch.equal(decode(HeunChurn(s_churn=10), kernel, x), decode(Heun(), kernel, x))


@pytest.mark.parametrize("case", ["gaussian", "vp-linear", "flow"])
def test_churn_keeps_the_law_and_forgets_the_start(case):
    kernel = kernel_of(case, 4)
    x = start(kernel, 3000)
    got = decode(HeunChurn(s_churn=30), kernel, x, steps=60)
    plain = decode(Heun(), kernel, x, steps=60)
    expected = math.hypot(STD, float(kernel.level(kernel.t_min)))
    # 12,000 numbers: a standard error of 0.65 % of the standard deviation, and 0.9 % of rho.
    assert float(got.std()) == pytest.approx(expected, rel=0.03)
    assert abs(float(got.mean())) < 0.03 * expected
    correlation = torch.corrcoef(torch.stack([got.flatten(), plain.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.8
    more = decode(HeunChurn(s_churn=30, s_noise=1.3), kernel, x, steps=60)
    assert float(more.std()) > 1.05 * expected


def test_churn_is_in_the_level_of_each_sample_under_gravity():
    kernel, share = kernel_of("gravity", 784), torch.tensor([0.3, 1.0, 6.0]).double()
    x = start(kernel, 3, share[:, None])
    got = decode(HeunChurn(s_churn=30), kernel, x, steps=60, share=share)
    # 784 numbers each: a standard error of 2.5 %.
    torch.testing.assert_close(got.std(dim=1), torch.full((3,), STD).double(), rtol=0.1, atol=0)


@pytest.mark.parametrize("least", [0.0, 1.0])
def test_churn_keeps_the_law_while_the_state_tells_its_level(least, gaussian_posterior):
    """|y|^2 of the exact posterior's samples, as `HeunChurn` says: kept from level 1 on."""
    kernel = kernel_of("pfgmpp-128", 784)
    denoise = gaussian_posterior(kernel, STD)
    generator = torch.Generator().manual_seed(0)
    x_0 = STD * torch.randn(250, 784, generator=generator, dtype=torch.float64)
    x = kernel.sample(x_0, kernel.t_max, generator)
    flow = Flow(kernel, denoise, dtype=torch.float64)
    solver = HeunChurn(s_churn=30, s_min=least)
    got = solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=50)
    size = denoise(got, torch.tensor(kernel.t_min)).square().mean(dim=1) / STD**2
    right = math.sqrt(2 / 784)
    # 250 numbers: a standard error of 4.5 % of their spread, and of 6 % of it of their mean.
    assert float(size.mean()) == pytest.approx(1, abs=0.05)
    if least:
        assert float(size.std()) == pytest.approx(right, rel=0.15)
    else:
        assert float(size.std()) > 1.3 * right


@pytest.mark.parametrize("case", ["gaussian", "gravity"])
def test_a_samples_noise_is_its_own_in_any_batch(case):
    kernel = kernel_of(case, 7)
    x = start(kernel, 6)
    solver = HeunChurn(s_churn=20)
    together = decode(solver, kernel, x)
    again = decode(solver, kernel, x.flip(0)).flip(0)
    alone = torch.cat([decode(solver, kernel, one) for one in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together, again, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", ["gaussian", "vp-cosine", "flow", "gravity"])
def test_churn_stays_in_the_interval(case):
    kernel, seen = kernel_of(case, 4), []
    decode(HeunChurn(s_churn=100), kernel, start(kernel, 2), steps=9, seen=seen)
    assert kernel.t_min <= min(seen)
    assert max(seen) <= kernel.t_max


def test_churn_is_between_its_levels_only():
    kernel, heights = GaussianKernel(dim=4), []
    HeunChurn(s_churn=1e9, s_min=1.0, s_max=10.0).integrate(
        gaussian_data(kernel, seen=heights), start(kernel, 1), 80.0, 0.002, steps=30
    )
    up = [b / a for a, b in zip(heights[1::2], heights[2::2], strict=False)]
    levels = heights[1::2][: len(up)]
    for level, rise in zip(levels, up, strict=True):
        expected = math.sqrt(2) if 1.0 <= level <= 10.0 else 1.0
        assert rise == pytest.approx(expected, rel=1e-9)


def test_going_up_is_heun():
    kernel = GaussianKernel(dim=4)
    x = 0.5 * start(kernel, 3) / 80
    up = [
        solver.integrate(gaussian_data(kernel), x, 0.002, 80.0, steps=20)
        for solver in (HeunChurn(s_churn=20), Heun())
    ]
    assert torch.equal(*up)


def test_a_kernel_without_one_level_is_refused():
    kernel = kernel_of("rotating", 4)
    with pytest.raises(ZooError, match="RotatingKernel does not have"):
        HeunChurn(s_churn=1.0).integrate(
            Flow(kernel, lambda x, t: x, "field", dtype=torch.float64),
            torch.zeros(1, 4),
            kernel.t_max,
            kernel.t_min,
            steps=3,
        )


@pytest.mark.parametrize(
    ("option", "value"), [("s_churn", -1.0), ("s_min", -1.0), ("s_max", 0.0), ("s_noise", 0.0)]
)
def test_wrong_options_are_named(option, value):
    with pytest.raises(ZooError, match=option):
        HeunChurn(**{option: value})


def test_own_noise_is_normal_and_independent():
    x = start(GaussianKernel(dim=301), 400)
    key = keys(x)
    assert len(set(key.tolist())) == 400
    draws = torch.stack([normal(key, i, x) for i in range(3)])
    assert draws.shape == (3, 400, 301)
    ends = draws.flatten().sort().values
    uniform = torch.special.ndtr(ends)
    even = (torch.arange(len(ends)) + 0.5) / len(ends)
    # Kolmogorov and Smirnov: exceeded once in a thousand times.
    assert float((uniform - even).abs().max()) * math.sqrt(len(ends)) < 1.95
    pairs = [(draws[0], draws[1]), (draws[1], draws[2]), (draws[:, 1:], draws[:, :-1])]
    pairs += [(draws[..., 1:], draws[..., :-1]), (draws[..., :150], draws[..., 151:])]
    for a, b in pairs:
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(float(correlation)) < 4.5 / math.sqrt(a.numel())


def test_keys_tell_starts_apart_by_one_bit_and_by_place():
    x = torch.zeros(4, 3, dtype=torch.float64)
    x[1, 0] = 5e-324
    x[2, 1] = 5e-324
    x[3, 0] = -0.0
    assert len(set(keys(x).tolist())) == 4
