"""Checkpoints of score SDE: numbered modules, averages without names."""

import re

import pytest
import torch
from torch import nn
from zoo_songunet.checkpoint import averaged, renamed

import zoo
from zoo import ZooError
from zoo.models.convert import convert

OPTIONS = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
SHAPE = (3, 8, 8)
KINDS = {"ddpmpp-vp": "ddpmpp", "ncsnpp-ve": "ncsnpp"}
LAYERS = {
    "norm0": "GroupNorm_0",
    "conv0": "Conv_0",
    "affine": "Dense_0",
    "norm1": "GroupNorm_1",
    "conv1": "Conv_1",
    "skip": "Conv_2",
}


def network(name):
    torch.manual_seed(0)
    kernel = zoo.kernel("gaussian", dim=192)
    built = zoo.network(name, shape=SHAPE, kernel=kernel, **OPTIONS)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return built.eval()


def numbered(state):
    """Return the state as score SDE has it: modules by number, in the order of application."""
    modules = []
    groups = {}
    for name, value in state.items():
        block = re.match(r"(?:enc|dec)\.\d+x\d+_(?:block\d|down|up|in\d)", name)
        groups.setdefault(block[0] if block else name.rpartition(".")[0], {})[name] = value
    for group, tensors in groups.items():
        own = {n.removeprefix(group + "."): v for n, v in tensors.items() if "filter" not in n}
        if group == "map_noise":
            modules.append({"W": own["freqs"]})
        elif "aux_residual" in group:
            modules.append({f"Conv2d_0.{n}": v for n, v in own.items()})
        elif "norm0.weight" not in own:
            modules.append(own)
        else:
            module = {
                f"{LAYERS[n.split('.')[0]]}.{n.split('.')[1]}": v
                for n, v in own.items()
                if n.split(".")[0] in LAYERS
            }
            modules.append(module)
            if "qkv.weight" in own:
                modules.append(attention(own))
    flat = {f"module.all_modules.{i}.{n}": v for i, m in enumerate(modules) for n, v in m.items()}
    return {"module.sigmas": torch.ones(1000), **flat}


def attention(own):
    made = {f"GroupNorm_0.{part}": own[f"norm2.{part}"] for part in ("weight", "bias")}
    for i in range(3):
        made[f"NIN_{i}.W"] = own["qkv.weight"][i::3, :, 0, 0].T
        made[f"NIN_{i}.b"] = own["qkv.bias"][i::3]
    return {**made, "NIN_3.W": own["proj.weight"][:, :, 0, 0].T, "NIN_3.b": own["proj.bias"]}


def checkpoint(state):
    """The last weights are noise; the averages, in the order of parameters, are the network's."""
    names = [n for n in state if not n.endswith(("sigmas", ".W")) or "NIN" in n]
    noise = {n: torch.randn_like(v) if n in names else v for n, v in state.items()}
    return {
        "optimizer": {"state": {}, "param_groups": [{"lr": 2e-4}]},
        "model": noise,
        "ema": {"decay": 0.9999, "num_updates": 7, "shadow_params": [state[n] for n in names]},
        "step": 7,
    }


@pytest.mark.parametrize("name", KINDS)
def test_the_averages_become_the_network(tmp_path, name):
    trained = network(name)
    file = tmp_path / "checkpoint_8.pth"
    torch.save(checkpoint(numbered(trained.backbone.state_dict())), file)
    model = zoo.load(convert(file, tmp_path / "out", side=8))
    assert model.config.network.use == name
    assert model.config.kernel.use == "gaussian"
    x, sigma = torch.randn(2, *SHAPE), torch.tensor([0.1, 20.0])
    assert torch.equal(model.network(x, sigma), trained(x, sigma))
    assert model.sample(2, seed=0, steps=3).shape == (2, *SHAPE)
    lifted = zoo.load(tmp_path / "out", kernel="gravity")
    assert lifted.sample(2, seed=0, steps=3).shape == (2, *SHAPE)


class Told(nn.Module):
    """A backbone that remembers what it was told."""

    def forward(self, x, features, labels=None, *_):
        self.x, self.condition = x, features[:, 0] / 4
        return torch.full_like(x, 0.5)


def test_vp_is_told_999_t_and_says_epsilon():
    model = network("ddpmpp-vp").double()
    model.backbone = Told()
    t = torch.tensor([0.1, 0.9], dtype=torch.float64)
    decay = 0.1 * t + 19.9 * t**2 / 2
    sigma = torch.expm1(decay).sqrt()
    y = torch.randn(2, *SHAPE, dtype=torch.float64)
    out = model(y, sigma)
    torch.testing.assert_close(model.backbone.condition, 999 * t)
    torch.testing.assert_close(model.backbone.x, y * (-decay / 2).exp()[:, None, None, None])
    torch.testing.assert_close(out, y - 0.5 * sigma[:, None, None, None])


def test_ve_is_told_log_sigma_of_images_in_0_1_and_says_sigma_times_the_score():
    model = network("ncsnpp-ve").double()
    model.backbone = Told()
    sigma = torch.tensor([0.1, 90.0], dtype=torch.float64)
    y = torch.randn(2, *SHAPE, dtype=torch.float64)
    out = model(y, sigma)
    torch.testing.assert_close(model.backbone.condition, (sigma / 2).log())
    assert torch.equal(model.backbone.x, y)
    # With u = (y + 1) / 2 and s = sigma / 2: D_u = u + s^2 score, score = F / s, D = 2 D_u - 1.
    u, s = (y + 1) / 2, sigma[:, None, None, None] / 2
    torch.testing.assert_close(out, 2 * (u + s**2 * (0.5 / s)) - 1)


def test_a_kernel_of_random_levels_is_refused():
    kernel = zoo.kernel("gravity", dim=192)
    with pytest.raises(ZooError, match="which lifts it"):
        zoo.network("ddpmpp-vp", shape=SHAPE, kernel=kernel, **OPTIONS)


def test_what_is_wrong_is_told_in_one_line(tmp_path):
    state = numbered(network("ddpmpp-vp").backbone.state_dict())
    good = checkpoint(state)
    file = tmp_path / "checkpoint.pth"
    torch.save(good, file)
    with pytest.raises(ZooError, match="say --set side=32"):
        convert(file, tmp_path / "out")
    short = {**good, "ema": {"shadow_params": good["ema"]["shadow_params"][:-1]}}
    with pytest.raises(ZooError, match="averages for"):
        averaged(short, "file")
    swapped = {**good, "ema": {"shadow_params": good["ema"]["shadow_params"][::-1]}}
    with pytest.raises(ZooError, match="another shape"):
        averaged(swapped, "file")
    with pytest.raises(ZooError, match="'shadow_params' under 'ema'"):
        averaged({"model": state, "ema": {}}, "file")
    first = next(n for n in state if "Conv_0.weight" in n)
    for wrong in (
        {"other.weight": torch.zeros(2)},
        {first.replace("Conv_0", "Conv_9"): state[first]},
    ):
        left = {**state, **wrong}
        left.pop(first)
        with pytest.raises(ZooError, match=r"DDPM\+\+ or NCSN\+\+ network"):
            renamed(left, 8, "file")


# PFGM


def poisson(**options):
    torch.manual_seed(0)
    kernel = zoo.kernel("gravity", dim=192, t_min=1e-3, t_max=43.4)
    return zoo.network("ddpmpp-pfgm", shape=SHAPE, kernel=kernel, **OPTIONS, **options)


class Field(nn.Module):
    """PFGM's normalised field of one source at `center`, with gamma = 5; remembers t."""

    def __init__(self, center):
        super().__init__()
        self.center = center

    def forward(self, x, features, labels=None, *_):
        self.t = t = features[:, 0] / 4
        apart = (x - self.center).flatten(1)
        size = (apart.square().sum(1) + t**2).sqrt() + 5
        scale = -(192**0.5) / size[:, None, None, None]
        wave = torch.linspace(-1, 1, 8, dtype=x.dtype)  # of no mean: only that counts
        last = t[:, None, None, None] + wave.expand(len(x), 1, 8, 8)
        return scale * torch.cat([x - self.center, last], dim=1)


def test_the_field_of_pfgm_gives_the_denoiser():
    """Of one source D is that source, whichever part of the field R is taken from."""
    center = torch.linspace(-1, 1, 192, dtype=torch.float64).reshape(SHAPE)
    t = torch.tensor([1e-3, 0.3, 4.9, 5.1, 43.0], dtype=torch.float64)
    z = torch.randn(5, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = center + 1.4 * t[:, None, None, None] * z
    for below in (5.0, 1e-6, 100.0):
        model = poisson(inferred_below=below).double()
        model.backbone = Field(center)
        torch.testing.assert_close(model(x, t), center.expand_as(x), rtol=0, atol=1e-9)
        torch.testing.assert_close(model.backbone.t, t)


class Said(nn.Module):
    """A backbone that says one number."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x, *_):
        return torch.full((len(x), 4, 8, 8), self.number, dtype=x.dtype)


@pytest.mark.parametrize("number", [0.0, 1.0, 50.0])
def test_a_field_that_none_of_pfgm_is_gives_a_finite_denoiser(number):
    """F_t >= 0 or |F_x| >= sqrt(d): R is kept to |x| + sqrt(d), what data in [-1, 1] allow."""
    model = poisson().double()
    model.backbone = Said(number)
    t = torch.tensor([1e-3, 43.0], dtype=torch.float64)
    x = torch.ones(2, *SHAPE, dtype=torch.float64)
    reach = (2**2 * 192 + t.square()).sqrt() + 5
    assert bool(((model(x, t) - x).abs().amax((1, 2, 3)) <= number * reach / 192**0.5).all())


def test_a_checkpoint_of_pfgm_becomes_a_model_of_gravity(tmp_path):
    trained = poisson().eval()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    file = tmp_path / "checkpoint_9.pth"
    torch.save(checkpoint(numbered(trained.backbone.state_dict())), file)
    folder = convert(file, tmp_path / "out", side=8)
    model = zoo.load(folder)
    assert model.config.network.use == "ddpmpp-pfgm"
    assert model.config.kernel.use == model.config.prior.use == "gravity"
    assert "license: unknown" in model.card
    x, t = 10 * torch.randn(2, *SHAPE), torch.tensor([0.1, 20.0])
    assert torch.equal(model.network(x, t), trained(x, t))
    start = model.prior.sample(64, SHAPE, torch.Generator().manual_seed(0))
    level = start.flatten(1).square().mean(dim=1).sqrt()
    assert float(level.max()) == pytest.approx(0.01 * 1.03**291)
    assert 0.4 < float((level > 54.3).double().mean()) < 0.8
    assert model.sample(2, seed=0, steps=3).isfinite().all()
    with pytest.raises(ZooError, match="leave kernel out"):
        zoo.load(folder, kernel="tanh")


def test_other_numbers_of_channels_are_told(tmp_path):
    state = numbered(network("ncsnpp-ve").backbone.state_dict())
    prefix = f"module.all_modules.{max(int(n.split('.')[2]) for n in state if 'all' in n)}"
    for part in ("weight", "bias"):
        value = state[f"{prefix}.{part}"]
        state[f"{prefix}.{part}"] = torch.cat([value, value[:1]])
    file = tmp_path / "checkpoint.pth"
    torch.save(checkpoint(state), file)
    with pytest.raises(ZooError, match="ncsnpp network that makes 4 channels of 3; of PFGM's"):
        convert(file, tmp_path / "out", side=8)


@pytest.mark.parametrize("options", [{"gamma": 0}, {"inferred_below": -1.0}])
def test_impossible_settings_of_pfgm_are_refused(options):
    with pytest.raises(ZooError, match=r"expected a positive number"):
        poisson(**options)


def test_the_prior_of_gravity_keeps_directions_and_small_norms():
    kernel = zoo.kernel("gravity", dim=192)
    whole, bounded = (zoo.prior("gravity", kernel, **o) for o in ({}, {"largest_level": 80.0}))
    x, y = (p.sample(40, SHAPE, torch.Generator().manual_seed(2)) for p in (whole, bounded))
    size = x.flatten(1).square().mean(dim=1).sqrt()
    share = (80 / size).clamp(max=1)[:, None, None, None]
    assert 0 < int((size > 80).sum()) < 40
    torch.testing.assert_close(y, x * share)
    with pytest.raises(ZooError, match="largest_level = 0"):
        zoo.prior("gravity", kernel, largest_level=0)
