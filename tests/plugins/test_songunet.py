"""DDPM++ and NCSN++: the state of the reference, and the arithmetic its description tells."""

import math
from pathlib import Path

import pytest
import torch
from common import reference_state
from torch.nn import functional as F
from zoo_songunet.embedding import Fourier, Positional
from zoo_songunet.layers import Block, DownConv, PyramidConv, UpConv

import zoo
from zoo import ZooError
from zoo.testing import checks

# Names and shapes of the tensors in the reference's network for CIFAR-10, in its own order.
STATE = Path(__file__).parent / "states" / "ddpmpp-cifar10.txt"
SMALL = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
IMAGE = (3, 8, 8)


def cifar(name="ddpmpp", **options):
    """The network at its full size, without numbers."""
    kernel = zoo.kernel("gaussian", dim=3072)
    with torch.device("meta"):
        return zoo.network(name, shape=(3, 32, 32), kernel=kernel, **options).backbone


def small(name="ddpmpp", kernel="gaussian", kernel_options=None, **options):
    built = zoo.kernel(kernel, dim=192, **(kernel_options or {}))
    torch.manual_seed(0)
    network = zoo.network(name, shape=IMAGE, kernel=built, **{**SMALL, **options})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network.double().eval()


@pytest.mark.parametrize("check", checks("songunet"), ids=lambda check: check.__name__)
def test_conformance(check):
    check()


def test_the_state_is_the_references_in_names_shapes_and_order():
    state = cifar(augment=9).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == reference_state(STATE)
    assert [*state] == [*reference_state(STATE)]
    assert sum(v.numel() for n, v in state.items() if "filter" not in n) == 55_733_891


def test_a_state_of_the_reference_loads_strictly():
    network = cifar(augment=9)
    tensors = {n: torch.full(shape, 0.5) for n, shape in reference_state(STATE).items()}
    network.load_state_dict(tensors, strict=True, assign=True)
    assert bool((network.dec["32x32_aux_conv"].bias == 0.5).all())
    with pytest.raises(RuntimeError, match="map_layer0"):
        network.load_state_dict({k: v for k, v in tensors.items() if "layer0" not in k})


def difference(network, other):
    here = {n: tuple(v.shape) for n, v in network.state_dict().items()}
    return {n: shape for n, shape in here.items() if other.get(n) != shape}


def test_what_other_configurations_add():
    plain = {n: s for n, s in reference_state(STATE).items() if n != "map_augment.weight"}
    assert difference(cifar(), plain) == {}
    assert difference(cifar(labels=10), plain) == {
        "map_label.weight": (128, 10),
        "map_label.bias": (128,),
    }
    filters = {n for n in plain if n.endswith("resample_filter")}
    assert difference(cifar("ncsnpp", augment=9), reference_state(STATE)) == {
        "map_noise.freqs": (128,),
        "map_augment.weight": (256, 9),
        "map_layer0.weight": (512, 256),
        **dict.fromkeys(filters, (1, 1, 4, 4)),
        "enc.16x16_aux_residual.weight": (256, 3, 3, 3),
        "enc.16x16_aux_residual.bias": (256,),
        "enc.16x16_aux_residual.resample_filter": (1, 1, 4, 4),
        "enc.8x8_aux_residual.weight": (256, 256, 3, 3),
        "enc.8x8_aux_residual.bias": (256,),
        "enc.8x8_aux_residual.resample_filter": (1, 1, 4, 4),
    }
    count = sum(p.numel() for p in cifar("ncsnpp", augment=9).parameters())
    assert count == 56_397_827


def test_faces_of_64_pixels_have_a_level_more():
    kernel = zoo.kernel("gaussian", dim=3 * 64 * 64)
    with torch.device("meta"):
        network = zoo.network(
            "ddpmpp", shape=(3, 64, 64), kernel=kernel, multipliers=[1, 2, 2, 2], augment=9
        )
    assert len(network.backbone.state_dict()) == 553
    assert sum(p.numel() for p in network.parameters()) == 61_805_571


def test_resampling_of_the_short_filter_is_mean_pooling_and_repetition():
    x = torch.randn(2, 4, 8, 8)
    for layer, by_hand in (
        (DownConv(4, 6, 3, (1, 1)), F.avg_pool2d(x, 2)),
        (UpConv(4, 6, 3, (1, 1)), F.interpolate(x, scale_factor=2, mode="nearest")),
    ):
        assert torch.equal(layer.resample_filter, torch.full((1, 1, 2, 2), 0.25))
        expected = F.conv2d(by_hand, layer.weight, layer.bias, padding=1)
        torch.testing.assert_close(layer(x), expected)


def test_the_long_filter_keeps_constants_inside_and_undoes_no_scale():
    layers = {kind: kind(1, 1, 1, (1, 3, 3, 1)) for kind in (DownConv, UpConv)}
    for kind, layer in layers.items():
        torch.nn.init.ones_(layer.weight)
        out = layer(torch.full((1, 1, 8, 8), 3.0))
        assert out.shape[-1] == (4 if kind is DownConv else 16)
        torch.testing.assert_close(out[..., 2:-2, 2:-2], torch.full_like(out[..., 2:-2, 2:-2], 3.0))
    # Down is the transpose of up: <down x, y> = <x, up y> / 4.
    x, y = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 4, 4)
    down, up = layers[DownConv](x), layers[UpConv](y)
    torch.testing.assert_close((down * y).sum(), (x * up).sum() / 4)


def test_the_pyramid_convolves_an_image_that_is_zero_outside():
    """Filtering first and convolving then is the same, on a canvas wide enough for both."""
    layer = PyramidConv(2, 3, 3, (1, 3, 3, 1)).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    wide = F.pad(x, (8, 8, 8, 8))
    smooth = F.conv2d(wide, layer.filters(2), groups=2)
    expected = F.conv2d(smooth, layer.weight, layer.bias)[..., 6::2, 6::2][..., :4, :4]
    torch.testing.assert_close(layer(x), expected)


def test_attention_reads_queries_keys_and_values_interleaved():
    block = Block(8, 8, 4, attention=True).double()
    torch.nn.init.normal_(block.qkv.weight)
    x = torch.randn(1, 8, 3, 3, dtype=torch.float64)
    qkv = block.qkv(block.norm2(x)).flatten(2)[0]
    q, k, v = qkv[0::3], qkv[1::3], qkv[2::3]
    weights = (q.T @ k / math.sqrt(8)).softmax(dim=1)
    torch.testing.assert_close(block._attention(x)[0].flatten(1), v @ weights.T)


def test_embeddings():
    c = torch.tensor([0.7], dtype=torch.float64)
    out = Positional(128)(c)[0]
    assert out[0] == c.sin()
    assert out[64] == c.cos()
    assert float(out[63]) == pytest.approx(math.sin(0.7e-4))
    assert float(out[1]) == pytest.approx(math.sin(0.7 * 10_000 ** (-1 / 63)))
    noise = Fourier(16).double()
    torch.testing.assert_close(noise(c)[0, :16], (2 * math.pi * 0.7 * noise.freqs).sin())


@pytest.mark.parametrize("name", ["ddpmpp", "ncsnpp"])
def test_under_the_gaussian_kernel_it_is_preconditioned_as_edm_is(name):
    network = small(name)
    x, sigma = torch.randn(2, *IMAGE, dtype=torch.float64), torch.tensor([0.3, 5.0]).double()
    total = (sigma**2 + 0.25)[:, None, None, None]
    raw = network.backbone(x / total.sqrt(), sigma.log()[:, None])
    by_hand = 0.25 / total * x + 0.5 * sigma[:, None, None, None] / total.sqrt() * raw
    torch.testing.assert_close(network(x, sigma), by_hand)


def test_under_pfgmpp_it_is_told_sigma_of_the_paper():
    """D -> infinity at t = sigma sqrt D is the Gaussian kernel: at that sigma D does not matter."""
    gaussian = small()
    x = torch.randn(2, *IMAGE, dtype=torch.float64)
    sigma = torch.tensor([0.3, 5.0], dtype=torch.float64)
    for degrees in (64.0, 2048.0):
        network = small(kernel="pfgmpp", kernel_options={"D": degrees})
        network.load_state_dict(gaussian.state_dict())
        out = network(x, sigma * math.sqrt(degrees))
        torch.testing.assert_close(out, gaussian(x, sigma))
    target = torch.randn_like(x)
    loss = network.loss(x, sigma * math.sqrt(degrees), target)
    torch.testing.assert_close(loss, gaussian.loss(x, sigma, target))


def test_other_kernels_train_it_too():
    network = small(kernel="gravity").train()
    x = torch.randn(4, *IMAGE, dtype=torch.float64)
    loss = network.loss(x, torch.full((4,), 2.0, dtype=torch.float64), torch.zeros_like(x))
    assert bool(loss.isfinite().all())


def test_classes_are_scaled_one_hot_vectors_and_none_is_zero():
    network = small(labels=3).backbone
    features = torch.zeros(2, 1, dtype=torch.float64)
    base = network.map_noise(features[:, 0] / 4) + network.map_label.bias
    column = network.map_label.weight[:, 2] * math.sqrt(3)
    for labels, e in ((torch.tensor([2, -1]), base + torch.stack([column, 0 * column])),):
        out = F.silu(network.map_layer1(F.silu(network.map_layer0(e))))
        torch.testing.assert_close(network.embed(features, labels), out)
    minus = network.embed(features, torch.tensor([-1, -1]))
    assert torch.equal(minus, network.embed(features, None))


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        ((3, 8, 4), {}, "square image"),
        ((96,), {}, "square image"),
        ((3, 6, 6), {"multipliers": [1, 1, 1]}, "divisible by 4"),
        (IMAGE, {"width": 6}, "divisible by 4"),
        (IMAGE, {"blocks": 0}, "blocks = 0"),
        (IMAGE, {"attention": [0]}, "attention = 0"),
        (IMAGE, {"multipliers": []}, "at least one multiplier"),
        (IMAGE, {"dropout": 1.0}, "dropout = 1.0"),
        (IMAGE, {"augment": -1}, "augment = -1"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(shape, options, told):
    kernel = zoo.kernel("gaussian", dim=math.prod(shape))
    with pytest.raises(ZooError, match=told) as caught:
        zoo.network("ddpmpp", shape=shape, kernel=kernel, **{**SMALL, **options})
    assert "\n" not in str(caught.value)
