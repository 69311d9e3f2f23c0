"""Augmentation that the network is told of: what the labels say is what was done."""

import math

import pytest
import torch

import zoo
from zoo.data.augment import LABELS, Changes, geometric
from zoo.errors import ZooError


def smooth(n, height=32, width=32):
    """Images of a few low frequencies, which survive interpolation."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    image = 0.5 * (2 * x + y).sin() + 0.3 * (3 * y - x).cos()
    return image.expand(n, 1, height, width)


def only(monkeypatch, n, **values):
    """Let every image be changed in one given way."""
    whole = Changes.__init__

    def init(self, count, probability, generator=None):
        whole(self, count, 0.0, generator)
        self.x_flip = torch.zeros(count)
        for name, value in values.items():
            setattr(self, name, torch.full((count,), float(value)))

    monkeypatch.setattr(Changes, "__init__", init)
    return geometric(smooth(n), 1.0)


def inner(x):
    """The centre, where nothing comes from outside."""
    return x[..., 12:20, 12:20]


def test_at_probability_0_images_are_mirrored_or_exactly_themselves():
    x = torch.rand(400, 3, 8, 8) * 2 - 1
    y, labels = geometric(x, 0.0, torch.Generator().manual_seed(0))
    mirrored = labels[:, 0] == 1
    assert 150 < int(mirrored.sum()) < 250
    assert torch.equal(y[mirrored], x[mirrored].flip(-1))
    assert torch.equal(y[~mirrored], x[~mirrored])
    assert labels[:, 1:].abs().max() == 0


def test_each_change_comes_as_often_as_asked():
    _, labels = geometric(smooth(20_000, 2, 2), 0.12, torch.Generator().manual_seed(0))
    share = (labels != 0).float().mean(dim=0)
    expected = [0.5, 0.06, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12]
    assert labels.shape == (20_000, LABELS)
    assert torch.allclose(share, torch.tensor(expected), atol=0.015)
    scale = labels[labels[:, 2] != 0, 2]
    assert abs(float(scale.mean())) < 0.1
    assert abs(float(scale.std()) - 1) < 0.1


def test_a_quarter_turn_is_a_quarter_turn(monkeypatch):
    y, labels = only(monkeypatch, 1, angle=math.pi / 2)
    turned = min((y - smooth(1).rot90(k, (-2, -1))).abs().max() for k in (1, 3))
    assert turned < 1e-4
    assert labels[0].tolist() == pytest.approx([0, 0, 0, -1, 1, 0, 0, 0, 0], abs=1e-6)


def test_a_shift_is_an_eighth_of_the_size(monkeypatch):
    y, labels = only(monkeypatch, 1, x_shift=1, y_shift=-1)
    moved = smooth(1).roll((4, -4), (-1, -2))  # to the right and up, by 4 of 32 pixels
    assert (inner(y) - inner(moved)).abs().max() < 1e-4
    assert labels[0, 7:].tolist() == [1, -1]


def test_a_scale_of_5_doubles(monkeypatch):
    y, _ = only(monkeypatch, 1, scale=5)
    half = torch.nn.functional.interpolate(y, scale_factor=0.5, mode="area")
    assert (half - smooth(1)[..., 8:24, 8:24]).abs().max() < 0.02


def test_a_stretch_keeps_areas_and_its_axis(monkeypatch):
    only(monkeypatch, 1, stretch=2, axis=0.3)
    inverse = Changes(1, 0.0).inverse()[0]
    axis = torch.tensor([math.cos(0.3), math.sin(0.3)])
    assert torch.allclose(inverse @ axis, axis / 2**0.4, atol=1e-6)
    assert torch.linalg.det(inverse) == pytest.approx(1, abs=1e-6)


def test_pictures_that_are_not_square_turn_without_shear(monkeypatch):
    only(monkeypatch, 1, angle=math.pi)
    x = smooth(1, 16, 24)
    y, _ = geometric(x, 1.0)
    assert (y - x.flip(-1).flip(-2)).abs().max() < 1e-4


def test_it_is_a_function_of_the_generator_and_keeps_the_range():
    x = torch.rand(64, 3, 16, 16) * 2 - 1
    y, labels = geometric(x, 1.0, torch.Generator().manual_seed(1))
    z, again = geometric(x, 1.0, torch.Generator().manual_seed(1))
    assert torch.equal(y, z)
    assert torch.equal(labels, again)
    assert y.abs().max() <= 1
    assert not torch.equal(y, geometric(x, 1.0, torch.Generator().manual_seed(2))[0])


def test_vectors_are_refused():
    with pytest.raises(ZooError, match="images"):
        geometric(torch.zeros(4, 2), 0.1)


@pytest.mark.parametrize("kernel", ["gaussian", "pfgmpp"])
def test_a_network_listens_and_takes_none_as_no_change(kernel):
    shape = (1, 8, 8)
    small = {"width": 8, "multipliers": [1], "blocks": 1, "attention": [], "dropout": 0.0}
    built = zoo.kernel(kernel, dim=64)
    torch.manual_seed(0)
    network = zoo.network("ddpmpp", shape=shape, kernel=built, augment=LABELS, **small)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    x, t = torch.randn(3, *shape), torch.full((3,), built.t_max / 10)

    def loss(**more):
        return network.loss(x, t, torch.zeros_like(x), None, **more)

    assert network.augment == LABELS
    assert torch.equal(loss(augment=torch.zeros(3, LABELS)), loss())
    told = loss(augment=torch.eye(LABELS)[:3])
    assert (told - loss()).abs().min() > 1e-6
