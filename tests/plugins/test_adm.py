"""ADM: the state of the reference, and its arithmetic, written a second time over that state."""

import math
from pathlib import Path

import pytest
import torch
from common import reference_state
from reference_pickles import snapshot
from torch.nn import functional as F

import zoo
from zoo import ZooError
from zoo.models.convert import convert

# Names and shapes of the tensors in the reference's class for the sizes below, in its own order.
STATE = Path(__file__).parent / "states" / "adm-tiny.txt"
SIZES = {"width": 32, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
IMAGE, DOUBLE = (3, 8, 8), torch.float64


def tiny(kernel="gaussian", kernel_options=None, **options):
    """A network whose every layer says something: those that end a residual begin as 0."""
    built = zoo.kernel(kernel, dim=192, **(kernel_options or {}))
    torch.manual_seed(0)
    network = zoo.network("adm", shape=IMAGE, kernel=built, **{**SIZES, **options})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network.double().eval()


# The arithmetic


def normed(state, name, x):
    groups = min(32, x.shape[1] // 4)
    return F.group_norm(x, groups, state[f"{name}.weight"], state[f"{name}.bias"], 1e-5)


def convolved(state, name, x):
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def attended(qkv, heads):
    """Softmax of q.k / sqrt c, a head at a time; channels of a head are q, k, v in turn."""
    out = []
    for part in qkv.flatten(2).chunk(heads, dim=1):
        q, k, v = part[:, 0::3], part[:, 1::3], part[:, 2::3]
        weights = torch.einsum("bcq,bck->bqk", q, k).div(math.sqrt(q.shape[1])).softmax(dim=2)
        out.append(torch.einsum("bqk,bck->bcq", weights, v))
    return torch.cat(out, dim=1).reshape(len(qkv), -1, *qkv.shape[2:])


def block(state, name, x, e):
    def resized(x):
        if name.endswith("_down"):
            return F.avg_pool2d(x, 2)
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3) if name.endswith("_up") else x

    h = convolved(state, f"{name}.conv0", resized(F.silu(normed(state, f"{name}.norm0", x))))
    both = F.linear(e, state[f"{name}.affine.weight"], state[f"{name}.affine.bias"])
    scale, shift = both[:, : h.shape[1], None, None], both[:, h.shape[1] :, None, None]
    h = (1 + scale) * normed(state, f"{name}.norm1", h) + shift
    h = convolved(state, f"{name}.conv1", F.silu(h))
    x = resized(x)
    x = h + (convolved(state, f"{name}.skip", x) if f"{name}.skip.weight" in state else x)
    if f"{name}.qkv.weight" not in state:
        return x
    qkv = convolved(state, f"{name}.qkv", normed(state, f"{name}.norm2", x))
    return x + convolved(state, f"{name}.proj", attended(qkv, x.shape[1] // 64))


def embedded(state, c, hot, augment):
    half = state["map_layer0.weight"].shape[1] // 2
    angles = c[:, None] * 10_000.0 ** (-torch.arange(half, dtype=DOUBLE) / half)
    e = torch.cat([angles.cos(), angles.sin()], dim=1)
    if augment is not None:
        e = e + augment @ state["map_augment.weight"].T
    e = F.silu(F.linear(e, state["map_layer0.weight"], state["map_layer0.bias"]))
    e = F.linear(e, state["map_layer1.weight"], state["map_layer1.bias"])
    return F.silu(e if hot is None else e + hot @ state["map_label.weight"].T)


def reference(state, x, c, hot=None, augment=None):
    """F of two resolutions with one block each: what is kept for the decoder, newest first."""
    e = embedded(state, c, hot, augment)
    kept = [convolved(state, "enc.8x8_conv", x)]
    for name in ("enc.8x8_block0", "enc.4x4_down", "enc.4x4_block0"):
        kept.append(block(state, name, kept[-1], e))
    x = kept[-1]
    for name in ("4x4_in0", "4x4_in1", "4x4_block0", "4x4_block1", "8x8_up"):
        x = torch.cat([x, kept.pop()], dim=1) if "block" in name else x
        x = block(state, f"dec.{name}", x, e)
    for name in ("dec.8x8_block0", "dec.8x8_block1"):
        x = block(state, name, torch.cat([x, kept.pop()], dim=1), e)
    assert not kept
    return convolved(state, "out_conv", F.silu(normed(state, "out_norm", x)))


@pytest.mark.parametrize("width", [32, 64, 128])  # one head, or none in the first stage; two; four
def test_the_output_is_that_of_the_arithmetic(width):
    sides = [4] if width < 64 else [4, 8]
    backbone = tiny(width=width, attention=sides, labels=3, augment=9).backbone
    x, level = torch.randn(3, *IMAGE, dtype=DOUBLE), torch.tensor([0.01, 1.5, 60.0], dtype=DOUBLE)
    hot = torch.zeros(3, 3, dtype=DOUBLE)
    hot[0, 2] = hot[1, 0] = 1
    augment = torch.randn(3, 9, dtype=DOUBLE)
    labels = torch.tensor([2, 0, -1])
    with torch.no_grad():
        out = backbone(x, level.log()[:, None], labels, augment)
        expected = reference(backbone.state_dict(), x, level.log() / 4, hot, augment)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    assert float(out.std()) > 0.1


def test_without_classes_and_augmentation():
    backbone = tiny().backbone
    x, level = torch.randn(2, *IMAGE, dtype=DOUBLE), torch.tensor([0.2, 5.0], dtype=DOUBLE)
    with torch.no_grad():
        out = backbone(x, level.log()[:, None])
        expected = reference(backbone.state_dict(), x, level.log() / 4)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)


# The state


def test_the_state_is_the_references_in_names_shapes_and_order():
    state = tiny(labels=3, augment=9).backbone.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == reference_state(STATE)
    assert [*state] == [*reference_state(STATE)]


def test_the_network_of_imagenet_at_its_full_size():
    kernel = zoo.kernel("gaussian", dim=3 * 64 * 64)
    with torch.device("meta"):
        network = zoo.network("adm", shape=(3, 64, 64), kernel=kernel, labels=1000)
    assert sum(p.numel() for p in network.parameters()) == 295_899_267  # "296 M" of the paper
    assert network.backbone.map_label.weight.shape == (768, 1000)
    heads = {name: part.heads for name, part in network.backbone.enc.items() if "block0" in name}
    assert heads == {"64x64_block0": 0, "32x32_block0": 6, "16x16_block0": 9, "8x8_block0": 12}


def test_a_residual_begins_as_nothing_and_classes_as_numbers_of_unit_size():
    torch.manual_seed(0)
    kernel = zoo.kernel("gaussian", dim=192)
    backbone = zoo.network(
        "adm", shape=IMAGE, kernel=kernel, labels=50, augment=9, **SIZES
    ).backbone
    x = torch.randn(2, *IMAGE)
    assert not backbone(x, torch.zeros(2, 1), torch.tensor([1, 2])).any()
    backbone.requires_grad_(False)
    assert float(backbone.map_label.weight.std()) == pytest.approx(1, abs=0.05)
    assert not backbone.map_augment.weight.any()
    weight = backbone.enc["4x4_block0"].conv0.weight  # uniform, of variance 1 / (3 fan in)
    assert float(weight.std()) == pytest.approx(1 / math.sqrt(3 * weight[0].numel()), rel=0.02)


# The file


def test_a_snapshot_becomes_the_same_network(tmp_path):
    trained = tiny(labels=3, augment=9).float()
    file = tmp_path / "edm-imagenet-64x64-cond-adm.pkl"
    file.write_bytes(snapshot(trained.backbone, inner="DhariwalUNet"))
    model = zoo.load(convert(file, tmp_path / "out"))
    part = model.config.network
    assert (part.use, part.options) == ("adm", {**SIZES, "labels": 3, "augment": 9})
    assert model.config.data.labels == 3
    x, sigma = torch.randn(2, *IMAGE), torch.tensor([0.1, 20.0])
    labels = torch.tensor([2, -1])
    assert torch.equal(model.network(x, sigma, labels), trained(x, sigma, labels))
    total = (sigma**2 + 0.25).sqrt()[:, None, None, None]
    hot = torch.tensor([[0.0, 0, 1], [0, 0, 0]], dtype=DOUBLE)
    state = {n: v.double() for n, v in trained.backbone.state_dict().items()}
    raw = reference(state, (x / total).double(), sigma.double().log() / 4, hot)
    by_hand = 0.25 / total**2 * x + 0.5 * sigma[:, None, None, None] / total * raw
    torch.testing.assert_close(model.network(x, sigma, labels).double(), by_hand, rtol=0, atol=1e-5)
    assert model.sample(2, seed=0, steps=2, labels=1, guidance=2.0).isfinite().all()
    assert "license: cc-by-nc-sa-4.0\n" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("multipliers", [[1, 2], [2, 3]])
def test_the_state_alone_says_how_wide_it_is(tmp_path, multipliers):
    trained = tiny(multipliers=multipliers).float()
    torch.save(trained.backbone.state_dict(), tmp_path / "state.pt")
    model = zoo.load(convert(tmp_path / "state.pt", tmp_path / "out"))
    x, t = torch.randn(1, *IMAGE), torch.tensor(3.0)
    torch.testing.assert_close(model.network(x, t), trained(x, t))
    lifted = zoo.load(tmp_path / "out", kernel="gravity")
    assert lifted.sample(1, seed=0, steps=2).isfinite().all()
    model = zoo.load(convert(tmp_path / "state.pt", tmp_path / "other", D=128))
    assert model.config.kernel.use == "pfgmpp"
    torch.testing.assert_close(model.network(x, t * math.sqrt(128)), trained(x, t))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"map_layer0.weight": None}, "no map_layer0"),
        ({"map_layer0.weight": torch.zeros(0, 0)}, "no map_layer0"),
        ({"map_layer0.weight": torch.zeros(7)}, "no map_layer0"),
        ({"map_layer0.weight": torch.zeros(128, 640)}, "multipliers = 0"),
        ({"out_norm.weight": None}, r"backbone\.out_norm\.weight' is missing"),
        ({"out_conv.weight": torch.zeros(6, 32, 3, 3)}, "has shape"),
        ({"dec.8x8_aux_conv.weight": torch.zeros(3, 32, 3, 3)}, "is not one of the network's"),
    ],
)
def test_what_is_not_wholly_such_a_network(tmp_path, changes, told):
    state = {**tiny().float().backbone.state_dict(), **changes}
    torch.save({n: v for n, v in state.items() if v is not None}, tmp_path / "state.pt")
    with pytest.raises(ZooError, match=told) as caught:
        convert(tmp_path / "state.pt", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_heads_and_groups_that_do_not_divide_the_channels():
    for width, told in ((112, "224 channels do not divide into 3 heads"), (100, "into 32 groups")):
        with pytest.raises(ZooError, match=told) as caught:
            tiny(width=width)
        assert "\n" not in str(caught.value)


# Training


@pytest.mark.parametrize("kernel", ["gaussian", "pfgmpp", "gravity", "flow"])
def test_it_trains_under_every_kernel(kernel):
    network = tiny(kernel, labels=3, augment=9).float().train()
    x, t = torch.randn(4, *IMAGE), torch.full((4,), 0.7)
    labels, augment = torch.tensor([0, 1, 2, -1]), torch.randn(4, 9)
    loss = network.loss(x, t, torch.zeros_like(x), labels, augment=augment).mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
