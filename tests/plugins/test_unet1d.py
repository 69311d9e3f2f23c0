"""unet1d: series of any length, folded or not, whose times all know each other and their places."""

import pytest
import torch
from zoo_networks.unet1d import folded, places_like, unfolded

import zoo


def network(shape, **options):
    """Return a small network whose parameters are moved off their first values."""
    kernel = zoo.kernel("gaussian", dim=shape[0] * shape[1])
    made = zoo.network("unet1d", shape=shape, kernel=kernel, width=8, **options).double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in made.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return made


def series(shape, n=2):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_folding_keeps_the_times_of_a_place_together_and_comes_back():
    x = torch.arange(24).reshape(1, 2, 12)
    assert folded(x, 4)[0, :, 1].tolist() == [4, 5, 6, 7, 16, 17, 18, 19]
    assert torch.equal(unfolded(folded(x, 4), 4), x)


@pytest.mark.parametrize("patch", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [1, 9, 64, 67])
def test_series_of_any_length_in_any_patches(patch, length):
    x = series((2, length))
    out = network((2, length), patch=patch)(x, torch.tensor(0.7))
    assert out.shape == x.shape
    assert out.isfinite().all()


@pytest.mark.parametrize("patch", [1, 4])
def test_attention_tells_each_end_of_the_other(monkeypatch, patch):
    """Without norms and the size of x, which mix all times; convolutions do not reach so far."""
    monkeypatch.setattr(torch.nn.GroupNorm, "forward", lambda self, x: x)
    x = series((1, 256), n=1).requires_grad_()
    features = torch.zeros(1, 3, dtype=torch.float64)
    out = network((1, 256), patch=patch).backbone(x, features)
    (by,) = torch.autograd.grad(out[0, 0, 0], x)
    assert by[0, 0, -1] != 0


def test_attention_knows_places_far_from_both_ends():
    """Of a constant, convolutions tell no place from another but near the ends."""
    x = torch.ones(1, 1, 1024, dtype=torch.float64)
    out = network((1, 1024))(x, torch.tensor(0.7))
    assert out[..., 400:624:8].diff().abs().min() > 1e-6


def test_no_two_of_a_thousand_places_are_alike():
    places = places_like(torch.zeros(1, 16, 1000, dtype=torch.float64))
    assert places.shape == (16, 1000)
    apart = torch.pdist(places.T)
    assert apart.min() > 0.1
