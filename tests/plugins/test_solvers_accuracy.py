"""Endpoint error on data N(0, std^2 I) under every self-similar kernel, at few evaluations.

First on the exact field. Then on that of a denoiser which is told each sample's own level s = c t,
as a lifted network is, where the flow map is x(s) = x(S) sqrt((std^2 + s^2) / (std^2 + S^2)). Peers
have errors of 0.06 to 0.17 at 18 evaluations, and 4e-5 to 0.06 at 36.
"""

from functools import cache

import pytest
import torch
from kernel_cases import CASES
from test_solvers import build

import zoo
from zoo.interfaces import Flow, SelfSimilarKernel, over

OPTIONS = {"phi-cubic": ("phi", {"phi": "exp(-(r/t)**3)"}), **CASES}
SELF_SIMILAR = (
    *("gaussian", "gravity", "pfgmpp-1.5", "pfgmpp-128", "tanh", "exp"),
    *("psi-power", "phi-laplace", "phi-cubic"),
)


RANDOM_LEVEL = ("gravity", "pfgmpp-128", "tanh", "exp")
# The grid for data without shape, docs/solvers.md.
WIDE = {"grid": {"use": "focus", "pivot": 0.07, "width": 2.0}}


@cache
def kernel_of(case, dim):
    name, options = OPTIONS[case]
    return zoo.kernel(name, dim=dim, **options)


@pytest.mark.parametrize("level", [0.05, 0.3, 3.0])
@pytest.mark.parametrize("case", RANDOM_LEVEL)
def test_what_the_exact_denoiser_leaves_has_nothing_to_do_with_the_state(
    case, level, gaussian_posterior
):
    """E[(x_0 - D(x_t)) . x_t] = 0, which no other multiple of x_t fulfils at every radius."""
    kernel = kernel_of(case, 256)
    t = float(kernel.time_at(level))
    generator = torch.Generator().manual_seed(0)
    x_0 = 0.5 * torch.randn(1000, 256, generator=generator, dtype=torch.float64)
    x_t = kernel.sample(x_0, t, generator)
    left = x_0 - gaussian_posterior(kernel, 0.5)(x_t, torch.tensor(t))
    for weight in (1.0, 1 / x_t.norm(dim=1), 1 / x_t.norm(dim=1).square()):
        along = (left * x_t).sum(dim=1) * weight
        assert abs(float(along.mean())) < 4 * float(along.std()) / 1000**0.5


@pytest.mark.parametrize("case", ["gaussian", *RANDOM_LEVEL])
def test_the_exact_field_of_gaussian_data(case, gaussian_posterior):
    kernel = kernel_of(case, 784)
    denoise = gaussian_posterior(kernel, 0.5)
    generator = torch.Generator().manual_seed(0)
    x_0 = 0.5 * torch.randn(12, 784, generator=generator, dtype=torch.float64)
    start = kernel.sample(x_0, kernel.t_max, generator)
    expected = denoise.ends(start)
    for evaluations, bound in ((18, 5e-3), (36, 4e-5)):
        flow = Flow(kernel, denoise, dtype=torch.float64, sigma_data=0.5)
        solver = build("exp-abm4", **WIDE)
        got = solver.integrate(flow, start, kernel.t_max, kernel.t_min, steps=evaluations)
        assert flow.nfe == evaluations
        assert float((got - expected).square().mean(dim=1).sqrt().max()) <= bound


def problem(kernel, std, given):
    """Return (flow, x at t_max, x at t_min) of eight samples; the flow says `given` for std."""
    generator = torch.Generator().manual_seed(0)
    noise = kernel.sample(torch.zeros(8, kernel.dim).double(), kernel.t_max, generator)
    share = noise.square().mean(dim=1).sqrt() / kernel.t_max
    share = share if kernel.random_level else torch.ones_like(share)

    def denoise(x, t):
        own = share if flow.rows is None else share[flow.rows]
        return x * std**2 / (std**2 + over(own * t, x).square())

    flow = Flow(kernel, denoise, dtype=torch.float64, sigma_data=given)
    first, last = (over(share * t, noise).square() for t in (kernel.t_max, kernel.t_min))
    start = noise * ((std**2 + first) / first).sqrt()
    return flow, start, start * ((std**2 + last) / (std**2 + first)).sqrt()


def error(kernel, name, steps, std=0.5, given=0.5):
    """Return the largest error at t_min, and the evaluations."""
    flow, x, expected = problem(kernel, std, given)
    got = build(name).integrate(flow, x, kernel.t_max, kernel.t_min, steps=steps)
    return float((got - expected).abs().max()), flow.nfe


@pytest.mark.parametrize("dim", [784, 3072])
@pytest.mark.parametrize("case", SELF_SIMILAR)
def test_gaussian_data_of_known_levels_at_18_and_36_evaluations(case, dim):
    kernel = kernel_of(case, dim)
    assert isinstance(kernel, SelfSimilarKernel)
    for evaluations, bound in ((18, 5e-3), (36, 4e-5)):
        got, nfe = error(kernel, "exp-abm3", evaluations)
        assert nfe == evaluations
        assert got <= bound


@pytest.mark.parametrize("std", [0.1, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("case", ["gaussian", "gravity"])
def test_gaussian_data_of_any_scale_that_the_model_knows(case, std):
    kernel = kernel_of(case, 784)
    assert error(kernel, "exp-abm3", 18, std, std)[0] <= 5e-3
    assert error(kernel, "exp-abm3", 36, std, std)[0] <= 4e-5


def test_a_scale_that_is_off_costs_accuracy_and_no_more():
    kernel = kernel_of("gaussian", 784)
    for std in (0.3, 0.4, 0.7, 1.0):
        assert error(kernel, "exp-abm3", 18, std, 0.5)[0] <= 0.2 * std
        assert error(kernel, "exp-abm3", 36, std, 0.5)[0] <= 0.02 * std


@pytest.mark.parametrize("std", [0.3, 0.5, 1.0])
def test_exp_adaptive_on_gaussian_data_that_it_was_not_told_of(std):
    got, nfe = error(kernel_of("gaussian", 784), "exp-adaptive", 18, std, 0.5)
    assert got <= 1e-2
    assert nfe <= 36
