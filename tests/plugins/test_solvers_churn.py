"""heun-churn: the law of its samples, and noise that depends on the sample alone."""

import math

import pytest
import torch
from kernel_cases import build as kernel_of
from tiny_models import images
from zoo_gaussian.kernel import GaussianKernel
from zoo_solvers.runge_kutta import Heun, HeunChurn

from zoo.errors import ZooError
from zoo.interfaces import Flow, over
from zoo.models.lift import lift
from zoo.sampling.rng import seed_for, step_noise

STD = 0.5


def gaussian_data(kernel, share=None, seen=None, noise=None):
    """Return the exact flow of N(0, STD^2 I) where sample i has level share[i] times typical."""

    def denoise(x, t):
        if seen is not None:
            seen.extend(t.reshape(-1).tolist())
        alpha, sigma = (over(v, x) for v in kernel.marginal(t))
        sigma = sigma if share is None else sigma * over(share, x)
        return alpha * STD**2 * x / (alpha**2 * STD**2 + sigma**2)

    return Flow(kernel, denoise, dtype=torch.float64, noise=noise)


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
def test_the_noise_of_a_sample_is_that_of_its_row(case):
    kernel = kernel_of(case, 7)
    x = start(kernel, 6)
    noise = torch.randn(40, 6, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def walk(rows):
        flow = gaussian_data(kernel, noise=lambda i: noise[i][rows])
        solver = HeunChurn(s_churn=20)
        return solver.integrate(flow, x[rows], kernel.t_max, kernel.t_min, steps=40)

    together = walk(slice(None))
    again = walk(torch.arange(6).flip(0)).flip(0)
    alone = torch.cat([walk(slice(i, i + 1)) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together, again, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "gravity", "lifted"])
def test_a_models_sample_depends_on_seed_and_number_alone(kernel):
    model = images(kernel="gaussian" if kernel == "lifted" else kernel)
    model = lift(model, "gravity") if kernel == "lifted" else model
    options = {"seed": 1, "steps": 6, "solver": HeunChurn(s_churn=20)}
    whole = model.sample(40, batch_size=40, **options)
    assert torch.equal(model.sample(40, batch_size=16, **options), whole)
    assert torch.equal(model.sample(10, first=30, **options), whole[30:])
    assert not torch.equal(model.sample(40, **{**options, "seed": 2}), whole)
    plain = model.sample(40, **{**options, "solver": Heun()})
    assert not torch.allclose(whole, plain, atol=1e-2)


def test_a_flow_without_noise_of_its_own_draws_the_same_at_the_same_step():
    kernel = kernel_of("gaussian", 4)
    x = start(kernel, 5)
    flow = gaussian_data(kernel)
    assert torch.equal(flow.noise(3, x), flow.noise(3, x))
    assert not torch.equal(flow.noise(3, x), flow.noise(4, x))
    assert flow.noise(3, x.float()).dtype == torch.float32
    solver = HeunChurn(s_churn=20)
    assert torch.equal(decode(solver, kernel, x), decode(solver, kernel, x))


def test_a_lifted_state_gets_no_noise_in_its_level():
    lifted = lift(images(kernel="gaussian"), "gravity")
    flow = lifted.augmented_flow(noise=lambda i: torch.ones(2, 1, 8, 8))
    noise = flow.noise(0, torch.zeros(2, 65, dtype=torch.float64))
    assert noise.dtype == torch.float64
    assert torch.equal(noise, torch.ones_like(noise).index_fill(1, torch.tensor(64), 0.0))


@pytest.mark.parametrize("case", ["gaussian", "gravity"])
def test_evaluations_are_two_a_step_under_every_kernel(case):
    kernel, solver = kernel_of(case, 4), HeunChurn(s_churn=20)
    flow = gaussian_data(kernel)
    solver.integrate(flow, start(kernel, 2), kernel.t_max, kernel.t_min, steps=9)
    assert flow.nfe == solver.evaluations(9) == 18


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


def test_churn_is_shared_by_the_steps_that_edm_counts():
    """Its 18 steps are 17 to t_min and one to t = 0."""
    kernel, heights = GaussianKernel(dim=4), []
    decode(HeunChurn(s_churn=4), kernel, start(kernel, 1), steps=17, seen=heights)
    up = [b / a for a, b in zip(heights[1::2], heights[2::2], strict=False)]
    assert up == pytest.approx([1 + 4 / 18] * 16, rel=1e-9)


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


def test_the_noise_of_steps_is_normal_and_independent():
    draws = torch.stack([step_noise((301,), 5, i, 0, 400) for i in range(3)])
    assert draws.shape == (3, 400, 301)
    uniform = torch.special.ndtr(draws.double().flatten().sort().values)
    even = (torch.arange(len(uniform)) + 0.5) / len(uniform)
    # Kolmogorov and Smirnov: exceeded once in a thousand times.
    assert float((uniform - even).abs().max()) * math.sqrt(len(uniform)) < 1.95
    pairs = [(draws[0], draws[1]), (draws[1], draws[2]), (draws[:, 1:], draws[:, :-1])]
    pairs += [(draws[..., 1:], draws[..., :-1]), (draws[..., :150], draws[..., 151:])]
    for a, b in pairs:
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(float(correlation)) < 4.5 / math.sqrt(a.numel())


def test_seeds_of_different_keys_differ():
    """Also where numpy's SeedSequence alone would pad or split them alike."""
    keys = [(0, 0), (0, 0, 0), (0, 1), (1, 0), (1, 0, 0), (2**32, 0), (2**32, 0, 0), (0, 1, 0)]
    keys += [(-1, 0), (5 * 2**32 + 7, 3), (7, 5, 3)]
    assert len({seed_for(*key) for key in keys}) == len(keys)
    assert seed_for(3, 1, 2) == seed_for(3, 1, 2)
