"""Exact fields against sums over all pairs, against each other, and against the data."""

import math
import subprocess
import sys

import pytest
import torch
from common import normal
from zoo_gaussian.kernel import GaussianKernel
from zoo_radial.psi import TanhKernel

import zoo
from zoo.errors import ZooError
from zoo.host.registry import catalogue
from zoo.interfaces import KernelPrior
from zoo.models.exact import (
    ExactDenoiser,
    ExactField,
    ExactPrior,
    GaussianMixture,
    flow_map,
    network,
)

DOUBLE = torch.float64
KERNELS = {found.component.name: found.component.example for found in catalogue("kernels").values()}
# Kernels that solve an equation for every pair.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("map", "phi")]
QUICK = [name for name in KERNELS if name not in ("map", "phi")]


def build(name, dim, **options):
    return zoo.kernel(name, dim=dim, **KERNELS[name], **options)


def brute_force(kernel, data, x, t):
    """The field, log p_t and E[x_0 | x_t] from every pair at once."""
    b, n = len(x), len(data)
    time = torch.as_tensor(t, dtype=DOUBLE)
    time = time if time.ndim == 0 else time.repeat_interleave(n)
    pairs = x.repeat_interleave(n, 0), data.repeat(b, *[1] * (data.ndim - 1)), time
    logs = kernel.log_density(*pairs).reshape(b, n)
    velocities = kernel.velocity(*pairs).reshape(b, n, *x.shape[1:])
    weights = logs.softmax(1)
    field = torch.einsum("bn,bn...->b...", weights, velocities)
    denoised = torch.einsum("bn,n...->b...", weights, data)
    return field, logs.logsumexp(1) - math.log(n), denoised


@pytest.mark.parametrize("name", KERNELS)
def test_the_field_is_the_sum_over_all_pairs(name, monkeypatch):
    monkeypatch.setattr(network, "CHUNK_NUMBERS", 10)  # many chunks, of uneven size
    kernel = build(name, 6)
    data, x = normal(11, 1, 2, 3) + 5, 2 * normal(4, 1, 2, 3, seed=1) + 5
    model = zoo.exact(kernel, data)
    middle = math.sqrt(kernel.t_min * kernel.t_max)
    for t in (middle, torch.linspace(middle, kernel.t_max, 4, dtype=DOUBLE)):
        field, log_p, denoised = brute_force(kernel, data, x, t)
        scale = float(field.abs().max())
        torch.testing.assert_close(model.field(x, t), field, rtol=1e-8, atol=1e-9 * scale)
        torch.testing.assert_close(model.network.log_density(x, t), log_p, rtol=1e-9, atol=1e-8)
        if kernel.affine:
            torch.testing.assert_close(model.denoise(x, t), denoised, rtol=1e-8, atol=1e-8)
    assert isinstance(model.network, ExactDenoiser if kernel.affine else ExactField)


@pytest.mark.parametrize("name", QUICK)
def test_at_a_source_everything_is_finite(name):
    kernel = build(name, 16)
    data = normal(5, 16)
    model = zoo.exact(kernel, torch.cat([data, data[:1]]))
    for t in (kernel.t_min, math.sqrt(kernel.t_min * kernel.t_max)):
        assert model.field(data, t).isfinite().all()
        assert model.network.log_density(data, t).isfinite().all()
    if kernel.affine:
        torch.testing.assert_close(model.denoise(data, kernel.t_min), data, rtol=1e-6, atol=1e-6)


def test_a_singular_kernel_is_drawn_to_the_source_it_is_at():
    kernel = TanhKernel(dim=16)
    data = normal(5, 16)
    near = data + 1e-6 * normal(5, 16, seed=1)
    # At a radius of 1e-6 the density r^-15 outweighs all others, even at a large t.
    torch.testing.assert_close(zoo.exact(kernel, data).denoise(near, 10.0), data)


def test_float32_agrees_with_float64_and_far_out_too():
    kernel = zoo.kernel("gravity", dim=64)
    data, x = normal(50, 64) + 3, normal(8, 64, seed=1) + 3
    x = x * torch.tensor([1, 1, 1, 1, 1e2, 1e3, 1e4, 1e5], dtype=DOUBLE)[:, None]
    t = torch.tensor([0.1, 1, 5, 20, 5, 20, 20, 20], dtype=DOUBLE)
    fine, coarse = zoo.exact(kernel, data), zoo.exact(kernel, data.float())
    assert (fine.dtype, coarse.dtype) == (DOUBLE, torch.float32)
    torch.testing.assert_close(coarse.denoise(x, t), fine.denoise(x, t), rtol=1e-2, atol=1e-2)


def test_one_source_pulls_everything_straight_to_it():
    kernel, source = GaussianKernel(dim=3), normal(1, 3)
    model = zoo.exact(kernel, source)
    x = 5 * normal(4, 3, seed=1)
    torch.testing.assert_close(model.field(x, 2.0), (x - source) / 2)
    torch.testing.assert_close(
        model.sample(3, seed=0).double(), source.expand(3, 3), atol=1e-6, rtol=0
    )


def energy_distance(a, b):
    """Szekely's energy distance of two samples."""
    return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())


def p_value(a, b, permutations=200):
    """Share of random relabellings at least as far apart as a and b."""
    both, n = torch.cat([a, b]), len(a)
    found, generator = energy_distance(a, b), torch.Generator().manual_seed(0)
    orders = (torch.randperm(len(both), generator=generator) for _ in range(permutations))
    larger = sum(energy_distance(both[o[:n]], both[o[n:]]) >= found for o in orders)
    return (1 + larger) / (1 + permutations)


PLANE = GaussianMixture.diagonal(
    torch.tensor([[-0.7, 0.0], [0.5, 0.6], [0.4, -0.5]]), 0.01, torch.tensor([1.0, 2.0, 1.0])
)


@pytest.mark.parametrize("name", QUICK + SLOW)
def test_samples_of_the_exact_field_are_the_data(name):
    kernel = build(name, 2)
    data = PLANE.sample(100, torch.Generator().manual_seed(0))
    model = zoo.exact(kernel, data, solver="heun")
    samples = model.sample(100, steps=40, seed=1).double()
    assert p_value(samples, data) > 0.01
    # The test has to be able to fail: here one of the three bumps is missing.
    assert p_value(samples, data[data[:, 0] > -0.3].repeat(2, 1)[:100]) < 0.01


# Closed forms


def full_mixture():
    half = normal(3, 4, 4, seed=3)
    covariances = half @ half.transpose(1, 2) / 8 + 0.05 * torch.eye(4, dtype=DOUBLE)
    return GaussianMixture.full(normal(3, 4), covariances, torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("name", ["gaussian", "ve", "vp", "interpolant", "flow"])
def test_a_mixture_has_the_density_of_its_components_and_tweedies_denoiser(name):
    kernel, mixture = build(name, 4), full_mixture()
    model = zoo.exact(kernel, mixture)
    t = torch.tensor([0.01, 0.3, 0.8], dtype=DOUBLE)
    x = normal(3, 4, seed=5).requires_grad_()
    alpha, sigma = kernel.marginal(t)
    logs = []
    for k in range(3):
        covariance = mixture.axes[k] * mixture.variances[k] @ mixture.axes[k].T
        total = alpha[:, None, None] ** 2 * covariance + sigma[:, None, None] ** 2 * torch.eye(4)
        law = torch.distributions.MultivariateNormal(alpha[:, None] * mixture.means[k], total)
        logs.append(law.log_prob(x) + math.log((k + 1) / 6))
    expected = torch.stack(logs).logsumexp(0)
    torch.testing.assert_close(model.network.log_density(x, t), expected)
    (score,) = torch.autograd.grad(expected.sum(), x)
    tweedie = (x + sigma[:, None] ** 2 * score) / alpha[:, None]
    torch.testing.assert_close(model.denoise(x.detach(), t), tweedie.detach())


def test_a_mixtures_samples_have_its_moments():
    mixture = full_mixture()
    x = mixture.sample(40_000, torch.Generator().manual_seed(0))
    mean = mixture.weights @ mixture.means
    torch.testing.assert_close(x.mean(0), mean, atol=0.03, rtol=0)
    inner = torch.stack([a * v @ a.T for a, v in zip(mixture.axes, mixture.variances, strict=True)])
    off = mixture.means - mean
    covariance = torch.einsum("k,kij->ij", mixture.weights, inner + off[:, :, None] * off[:, None])
    torch.testing.assert_close(x.T.cov(), covariance, atol=0.06, rtol=0)


def test_many_samples_of_a_mixture_come_to_its_closed_form():
    kernel = GaussianKernel(dim=2)
    closed = zoo.exact(kernel, PLANE)
    drawn = zoo.exact(kernel, PLANE.sample(20_000, torch.Generator().manual_seed(0)))
    x = normal(20, 2, seed=1)
    torch.testing.assert_close(closed.denoise(x, 0.5), drawn.denoise(x, 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["gaussian", "vp", "flow"])
def test_the_flow_map_of_one_gaussian_solves_the_ode(name):
    mixture = full_mixture()
    one = GaussianMixture.full(
        mixture.means[:1], (mixture.axes[:1] * mixture.variances[:1, None]) @ mixture.axes[:1].mT
    )
    kernel = build(name, 4)
    model = zoo.exact(kernel, one)
    t, h = 0.4, 1e-5
    x = normal(6, 4, seed=5)
    ahead, behind = (flow_map(kernel, one, x, t, t + s) for s in (h, -h))
    torch.testing.assert_close((ahead - behind) / (2 * h), model.field(x, t), rtol=1e-6, atol=1e-6)
    there = flow_map(kernel, one, x, t, kernel.t_min)
    torch.testing.assert_close(flow_map(kernel, one, there, kernel.t_min, t), x)


# Memory

PEAK = """
from pathlib import Path
import torch
import zoo

def peak():  # in MB, on Linux; getrusage would begin with the peak of the process that began this
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
data = torch.rand(60_000, 1, 28, 28, generator=generator).mul_(2).sub_(1)  # in place: no peak
kernel = zoo.kernel("{name}", dim=784, **{options})
x = data[:256] + kernel.sample(torch.zeros(256, 1, 28, 28), kernel.time_at(0.5))
zoo.exact(kernel, data[:100]).field(x, kernel.time_at(0.5))  # what torch itself takes
before = peak()
field = zoo.exact(kernel, data).field(x, kernel.time_at(0.5))
assert field.isfinite().all()
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("gravity", {}), ("vp", {}), ("psi", {"psi": "1 - exp(-r / (t + t**2))"})],
)
def test_sixty_thousand_images_take_less_than_a_gigabyte(name, options):
    """Peak memory of a process, above that of torch and of the data, for a batch of 256."""
    code = PEAK.format(name=name, options=options)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"{name}: {float(done.stdout):.0f} MB")
    assert 0 < float(done.stdout) < 1024


# The prior


@pytest.mark.parametrize("data", [PLANE, PLANE.sample(7, torch.Generator().manual_seed(0))])
def test_the_exact_prior_has_the_law_of_the_mixture_at_t_max(data):
    kernel = GaussianKernel(dim=2, t_max=0.5)
    prior = ExactPrior(kernel, data)
    x = prior.sample(40_000, (2,), torch.Generator().manual_seed(0))
    model = zoo.exact(kernel, data)
    torch.testing.assert_close(prior.log_density(x[:5]), model.network.log_density(x[:5], 0.5))
    points = data if isinstance(data, torch.Tensor) else data.sample(40_000)
    torch.testing.assert_close(x.mean(0), points.mean(0), atol=0.02, rtol=0)
    cells = torch.cdist(x, points[:1]).squeeze(1) < 0.3
    grid = torch.cartesian_prod(*[torch.linspace(-0.3, 0.3, 121, dtype=DOUBLE)] * 2)
    inside = grid[grid.norm(dim=1) < 0.3] + points[0]
    mass = float(prior.log_density(inside).exp().sum()) * 0.005**2
    assert float(cells.double().mean()) == pytest.approx(mass, abs=0.015)


def test_the_default_prior_is_the_kernels_own():
    model = zoo.exact("gravity", normal(4, 3, 2, 2))
    assert type(model.prior) is KernelPrior
    assert model.shape == (3, 2, 2)
    assert model.kernel.dim == 12
    assert model.sample(2, seed=0).shape == (2, 3, 2, 2)


# Wrong input


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (torch.zeros(0, 3), r"data has shape \(0, 3\); expected \(N, \*shape\)"),
        (torch.zeros(3), r"data has shape \(3,\)"),
        (torch.zeros(2, 3, dtype=torch.uint8), "data is uint8; expected float32 or float64"),
        (torch.tensor([[1.0, math.nan]]), "data is not finite"),
        (torch.tensor([[1.0, -math.inf]]), "data is not finite"),
        ([["a"]], "data is a list"),
        ([[1], [2]], "data is int64; expected float32 or float64"),
    ],
)
def test_wrong_data_is_told(data, text):
    with pytest.raises(ZooError, match=text):
        zoo.exact("gaussian", data)


def test_what_does_not_fit_is_told():
    with pytest.raises(ZooError, match="data has 3 coordinates per sample, the kernel 2"):
        zoo.exact(GaussianKernel(dim=2), torch.zeros(4, 3))
    with pytest.raises(ZooError, match="no kernel 'gausian'; did you mean 'gaussian'"):
        zoo.exact("gausian", torch.zeros(4, 3))
    with pytest.raises(ZooError, match=r"GravityKernel has no Gaussian noise.*give samples"):
        zoo.exact("gravity", PLANE)
    with pytest.raises(ZooError, match="PFGMppKernel has no Gaussian noise"):
        zoo.exact(zoo.kernel("pfgmpp", dim=2, D=1e4), PLANE)
    with pytest.raises(ZooError, match="the mixture has 2 coordinates, the kernel 3"):
        zoo.exact(GaussianKernel(dim=3), PLANE)
    with pytest.raises(ZooError, match="the flow map of 3 Gaussians has no closed form"):
        flow_map(GaussianKernel(dim=2), PLANE, torch.zeros(1, 2), 1.0, 0.1)


@pytest.mark.parametrize(
    ("means", "variances", "weights", "text"),
    [
        (torch.zeros(2), 1.0, None, "means of shape"),
        (torch.zeros(2, 3), torch.ones(2), None, r"variances of shape \(2,\)"),
        (torch.zeros(2, 3), 0.0, None, "positive definite"),
        (torch.zeros(2, 3), 1.0, torch.ones(3), "weights have to be 2 positive numbers"),
        (torch.zeros(2, 3), 1.0, torch.tensor([1.0, -0.5]), "weights have to be 2 positive"),
    ],
)
def test_wrong_mixtures_are_told(means, variances, weights, text):
    with pytest.raises(ZooError, match=text):
        GaussianMixture.diagonal(means, variances, weights)


def test_a_covariance_of_the_wrong_shape_is_told():
    with pytest.raises(ZooError, match=r"covariances of shape \(3, 3\); expected \(1, 3, 3\)"):
        GaussianMixture.full(torch.zeros(1, 3), torch.eye(3))


@pytest.mark.parametrize("dim", [1, 2, 5, 6, 7, 9, 11, 16, 20])
def test_a_row_is_the_same_to_the_last_bit_wherever_it_stands(dim):
    generator = torch.Generator().manual_seed(0)
    exact = zoo.exact("gravity", torch.randn(60, dim, generator=generator)).network
    x = 3 * torch.randn(64, dim, generator=generator)
    at = torch.randperm(64, generator=generator)
    assert torch.equal(exact(x, torch.tensor(1.0))[at], exact(x[at], torch.tensor(1.0)))
