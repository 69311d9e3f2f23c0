"""Networks: any size and channel count, labels, gradients, and what preconditioning promises."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo import ZooError
from zoo.interfaces import Network

SMALL = {
    "unet": {"width": 8, "blocks": 1},
    "mlp": {"width": 16, "blocks": 2},
    "dit": {"width": 16, "depth": 2, "heads": 2, "patch": 4},
}
IMAGE = (2, 8, 8)


def small(name: str, shape=IMAGE, kernel="gravity", **options) -> Network:
    dim = int(torch.tensor(shape).prod())
    return zoo.network(
        name, shape=shape, kernel=zoo.kernel(kernel, dim=dim), **SMALL[name], **options
    )


def awake(network: Network) -> Network:
    """Move every parameter off its initial value, so that zeroed output layers speak."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return network.eval()


def inputs(shape=IMAGE, n=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn((n, *shape), generator=generator), torch.linspace(0.1, 2, n)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("kernel", ["gravity", "gaussian"])
def test_output_has_the_shape_and_dtype_of_the_input(name, kernel):
    network = awake(small(name, kernel=kernel))
    x, t = inputs()
    assert network(x, t).shape == x.shape
    assert network.double()(x.double(), t.double()).dtype == torch.float64


@pytest.mark.parametrize("name", SMALL)
def test_a_scalar_time_is_that_time_for_every_sample(name):
    network = awake(small(name))
    x, _ = inputs()
    torch.testing.assert_close(network(x, torch.tensor(0.5)), network(x, torch.full((3,), 0.5)))


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name):
    network = awake(small(name, labels=3)).train()
    x, t = inputs()
    network.loss(x, t, torch.zeros_like(x), torch.tensor([0, 2, -1])).sum().backward()
    trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
    silent = [n for n, p in trained.items() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", SMALL)
def test_samples_do_not_see_each_other(name):
    network = awake(small(name))
    x, t = inputs()
    torch.testing.assert_close(network(x, t)[1:2], network(x[1:2], t[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_labels_change_the_output_and_minus_one_is_no_label(name):
    network = awake(small(name, labels=4))
    x, t = inputs()
    plain = network(x, t)
    torch.testing.assert_close(network(x, t, torch.full((3,), -1)), plain)
    one, two = (network(x, t, torch.full((3,), k)) for k in (1, 2))
    assert (one - plain).abs().max() > 1e-3
    assert (one - two).abs().max() > 1e-3


@pytest.mark.parametrize("name", SMALL)
def test_the_noise_level_changes_the_output(name):
    backbone = awake(small(name, kernel="gaussian")).backbone
    x, _ = inputs()
    low, high = (backbone(x, torch.full((3, 3), level), None) for level in (-2.0, -1.9))
    assert (low - high).abs().max() > 1e-3


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["unet", "dit"]),
    shape=st.tuples(st.integers(1, 4), st.integers(2, 19), st.integers(2, 19)),
)
def test_images_of_any_size_and_channel_count(name, shape):
    network = small(name, shape).eval()
    x, t = inputs(shape, n=1)
    assert network(x, t[:1]).shape == x.shape


@pytest.mark.parametrize("option", [{"attention": [1]}, {"patch": 2}, {"multipliers": [1, 2, 3]}])
def test_unet_options_build_working_networks(option):
    network = awake(small("unet", **option))
    x, t = inputs()
    assert network(x, t).isfinite().all()


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_vectors_are_refused_with_the_network_that_takes_them(name):
    with pytest.raises(ZooError, match="use mlp for vectors"):
        small(name, shape=(4,))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("unet", {"multipliers": []}),
        ("unet", {"dropout": 1.5}),
        ("mlp", {"dropout": -1}),
        ("dit", {"dropout": 2.0}),
        ("dit", {"labels": -1}),
        ("mlp", {"sigma_data": 0.0}),
        ("unet", {"attention": [7]}),
        ("unet", {"blocks": 10**9}),
        ("unet", {"multipliers": [1] * 10**6}),
        ("unet1d", {"multipliers": [1] * 10**6}),
        ("mlp", {"blocks": 10**9}),
        ("mlp", {"labels": 10**12}),
        ("dit", {"depth": 10**9}),
        ("ddpmpp", {"blocks": 10**9}),
    ],
)
def test_impossible_options_are_named(name, option):
    shape = (2, 8) if name == "unet1d" else IMAGE
    kernel = zoo.kernel("gravity", dim=math.prod(shape))
    with pytest.raises(ZooError, match=f"{next(iter(option))} = "):
        zoo.network(name, shape=shape, kernel=kernel, **option)


def test_dropout_acts_in_training_only():
    network = awake(small("mlp", dropout=0.5))
    x, t = inputs()
    assert torch.equal(network(x, t), network(x, t))
    network.train()
    torch.manual_seed(0)
    assert not torch.equal(network(x, t), network(x, t))
