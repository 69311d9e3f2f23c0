"""Preconditioning: levels are estimated right, losses are of order 1, the minimiser is kept."""

import math

import pytest
import torch
from torch import nn

import zoo
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.networks.levels import haar_level
from zoo.networks.precondition import FEATURES, Preconditioned
from zoo.training.batch import LogNormalLevels

SD = 0.5


class Silent(nn.Module):
    """A backbone that says 0, as a network does before its first step."""

    def forward(self, x, features, labels=None):
        assert features.shape == (len(x), FEATURES)
        assert features.isfinite().all()
        return torch.zeros_like(x)


class Says(nn.Module):
    """A backbone that always says the same, and remembers what it was shown."""

    def __init__(self, value):
        super().__init__()
        self.value, self.shown = value, None

    def forward(self, x, features, labels=None):
        self.shown = x
        return self.value


class Weibull(IsotropicKernel):
    """psi = 1 - exp(-r^2/t - r/t^2): neither self-similar nor affine in x_0."""

    def radial_cdf(self, r, t):
        return 1 - (-(r**2) / t - r / t**2).exp()


def kernel_of(name, dim):
    return (
        Weibull(dim=dim, t_min=0.01, t_max=20.0) if name == "weibull" else zoo.kernel(name, dim=dim)
    )


def data(shape, n=400):
    """Smooth images, or vectors with a common offset, of standard deviation about SD."""
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 1:
        return torch.randn(n, *shape, generator=generator) * SD
    coarse = torch.randn(n, shape[0], 2, 2, generator=generator)
    return nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear").clamp(-1, 1)


# Levels


@pytest.mark.parametrize("sigma", [1e-3, 0.3, 100.0])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 27, 33)])
def test_the_level_of_pure_noise_is_read_off_an_image(shape, sigma):
    noise = torch.randn(64, *shape, generator=torch.Generator().manual_seed(0)) * sigma
    levels = haar_level(noise) / sigma
    assert abs(levels.mean() - 1) < 0.03
    assert levels.std() < 1.5 / math.sqrt(noise[0].numel() / 4)  # in theory 1.17 / sqrt(n)


def test_the_level_does_not_see_slopes_and_edges_along_the_grid():
    rows = torch.linspace(-1, 1, 28)[:, None].expand(28, 28)
    stripes = torch.sign(torch.arange(28.0) - 13).expand(28, 28)
    noise = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 0.05
    for image in (rows, rows + rows.T, stripes, stripes.T):
        torch.testing.assert_close(haar_level(noise + image), haar_level(noise), rtol=0.02, atol=0)
        assert haar_level(image[None, None]) < 1e-6


# Losses


@pytest.mark.parametrize("shape", [(2,), (64,), (1, 8, 8), (1, 28, 28)])
@pytest.mark.parametrize("name", ["gaussian", "gravity", "pfgmpp", "tanh", "weibull", "flow"])
def test_the_loss_starts_at_order_one_for_the_levels_of_training(name, shape):
    x_0 = data(shape)
    kernel = kernel_of(name, x_0[0].numel())
    network = Preconditioned(Silent(), shape, kernel, sigma_data=SD)
    generator = torch.Generator().manual_seed(1)
    x, t = LogNormalLevels().draw(kernel, x_0, generator)
    target = x_0 if network.predicts == "denoised" else kernel.velocity(x, x_0, t)
    loss = network.loss(x, t, target)
    assert loss.shape == (len(x_0),)
    assert 0.2 < loss.mean() < 3
    assert loss.max() < 100


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
@pytest.mark.parametrize("name", ["gaussian", "gravity", "tanh", "flow"])
def test_it_stays_finite_at_both_ends_of_time_and_far_out(name, shape):
    x_0 = data(shape, 200)
    kernel = kernel_of(name, x_0[0].numel())
    backbone = nn.Conv2d(1, 1, 1) if len(shape) == 3 else nn.Linear(2, 2)
    network = Preconditioned(Listens(backbone), shape, kernel, sigma_data=SD)
    for t in (kernel.t_min, kernel.t_max):
        x = kernel.sample(x_0, t, torch.Generator().manual_seed(1))
        x[0] = torch.randn(shape) * 1e12
        loss = network.loss(x, torch.full((len(x),), t), x_0)
        assert loss.isfinite().all()
        assert loss.median() < 30
        network.zero_grad()
        loss.mean().backward()
        assert all(p.grad.isfinite().all() for p in network.parameters())


class Listens(nn.Module):
    """A backbone that is one layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, features, labels=None):
        return self.layer(x)


@pytest.mark.parametrize("shape", [(6,), (1, 8, 8)])
@pytest.mark.parametrize("name", ["gaussian", "gravity", "vp", "flow", "weibull"])
def test_the_loss_is_the_error_times_a_weight_that_the_target_does_not_enter(name, shape):
    """Any positive weight w(x_t, t) keeps the minimiser E[target | x_t]: so only that is asked."""
    x_0 = data(shape, 30)
    kernel = kernel_of(name, x_0[0].numel())
    generator = torch.Generator().manual_seed(1)
    x, t = LogNormalLevels().draw(kernel, x_0, generator)
    x, t = x.double(), t.double()
    network = Preconditioned(Says(torch.randn(x.shape).double()), shape, kernel, sigma_data=SD)
    said = network(x, t)
    weights = []
    for _ in range(2):
        target = said + torch.randn(x.shape, generator=generator).double()
        error = (said - target).square().flatten(1).mean(dim=1)
        weights.append(network.loss(x, t, target) / error)
    torch.testing.assert_close(*weights, rtol=1e-6, atol=0)
    assert (weights[0] > 0).all()
    assert (network.loss(x, t, said) < 1e-12 * weights[0]).all()


def test_for_gaussian_data_the_best_network_says_zero():
    """x_0 ~ N(0, sd^2) makes c_skip x the exact denoiser at every level."""
    kernel = zoo.kernel("gaussian", dim=3)
    network = Preconditioned(Silent(), (3,), kernel, sigma_data=SD)
    x = torch.randn(20, 3, dtype=torch.float64)
    for t in (0.01, 0.5, 70.0):
        exact = x * SD**2 / (SD**2 + t**2)
        torch.testing.assert_close(network(x, torch.tensor(t)), exact)


@pytest.mark.parametrize("name", ["gaussian", "vp", "flow"])
def test_what_the_backbone_sees_and_has_to_say_has_unit_variance(name):
    x_0 = data((400,))
    kernel = kernel_of(name, 400)
    for level in (0.01, 0.5, 40.0):
        t = kernel.time_at(level).float()
        x = kernel.sample(x_0, t, torch.Generator().manual_seed(1))
        backbone = Says(torch.zeros_like(x))
        network = Preconditioned(backbone, (400,), kernel, sigma_data=SD)
        assert network.loss(x, t, x_0).mean() == pytest.approx(1, rel=0.02)
        assert backbone.shown.square().mean() == pytest.approx(1, rel=0.02)


# Kernels whose field is learned itself


@pytest.mark.parametrize("inference", [False, True])
def test_a_field_is_predicted_with_and_without_autograd(inference):
    kernel = kernel_of("weibull", 2)
    network = Preconditioned(Silent(), (2,), kernel)
    assert network.predicts == "field"
    with torch.inference_mode(inference):
        x, t = torch.randn(5, 2), torch.linspace(0.1, 3, 5)
        assert network(x, t).isfinite().all()
        torch.testing.assert_close(network(x[:1], t[0]), network(x, t)[:1])


def test_its_rates_are_the_derivatives_of_the_marginal():
    """A field-predicting network and a denoiser that say the same d have the same ODE."""
    kernel = zoo.kernel("vp", dim=4)
    assert kernel.affine
    x, t = torch.randn(6, 4, dtype=torch.float64), torch.linspace(0.05, 0.95, 6).double()
    network = Preconditioned(Silent(), (4,), kernel)
    field = kernel.velocity(x, network(x, t), t)
    network.predicts = "field"
    torch.testing.assert_close(network(x, t), field, rtol=1e-6, atol=1e-8)


# What is refused


@pytest.mark.parametrize("sigma_data", [0, -1.0, math.inf, math.nan])
def test_a_wrong_sigma_data_is_told(sigma_data):
    with pytest.raises(zoo.ZooError, match=f"sigma_data = {sigma_data}; expected a positive"):
        Preconditioned(Silent(), (2,), zoo.kernel("gaussian", dim=2), sigma_data=sigma_data)


def test_random_levels_without_a_radius_are_told():
    class Odd(FieldKernel):
        random_level = True
        log_density = velocity = sample = marginal = None

    with pytest.raises(zoo.ZooError, match="Odd has random levels and is not an IsotropicKernel"):
        Preconditioned(Silent(), (2,), Odd(dim=2, t_min=1.0, t_max=2.0))
