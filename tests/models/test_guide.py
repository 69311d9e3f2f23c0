"""Autoguidance and its interval: exact fields of other data, under every pair of kernels."""

import math
import pickle

import msgspec
import pytest
import torch

import zoo
from zoo.config.model import DefaultGuidance
from zoo.errors import ZooError
from zoo.interfaces import over
from zoo.models.exact import GaussianMixture
from zoo.models.lift import LevelDenoiser, level_rate
from zoo.networks.levels import haar_level
from zoo.posterior import Mask

KERNELS = ["gravity", "gaussian", "pfgmpp", "flow", "vp", "tanh", "exp"]
SHAPE = (1, 4, 4)


def data(seed, shape=SHAPE, scale=0.5):
    return scale * torch.randn(5, *shape, generator=torch.Generator().manual_seed(seed)).double()


def closed_form(model, guide, sources, x, t, weight):
    """Return the guided field at (x, t), written out of the kernels' own densities."""
    kernel, other = model.kernel, guide.kernel
    time = torch.tensor(t, dtype=torch.float64)
    alpha, level = (c.double() for c in kernel.marginal(time))
    level = (level / alpha).expand(len(x))
    if kernel.random_level:
        level = torch.maximum(haar_level(x), kernel.least_level(time))
    level = level.clamp(*other.level(torch.tensor([other.t_min, other.t_max])).tolist())
    at = other.time_at(level)
    scale = other.marginal(at)[0]
    y = over(scale / alpha, x) * x
    pairs = [(y, s.expand_as(y), at) for s in sources]
    weights = torch.stack([other.log_density(*p) for p in pairs], 1).softmax(1)
    if other.affine:
        d = torch.einsum("bn,n...->b...", weights, sources)
    else:
        v = torch.stack([other.velocity(*p) for p in pairs], 1)
        f = torch.einsum("bn,bn...->b...", weights, v)
        d = y - f / over(level_rate(other, level, at), x)
    if kernel.affine:
        led = kernel.velocity(x, d, time)
    else:
        led = over(level_rate(kernel, level, time), x) * (x - d)
    own = model.field(x, t)
    return led + weight * (own - led)


@pytest.mark.parametrize("kernel", KERNELS)
def test_fields_are_guided_in_closed_form_by_every_kernel(kernel):
    model = zoo.exact(kernel, data(0))
    x, t = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(2)).double(), 0.4
    time = float(model.kernel.time_at(torch.tensor(t)))
    for other in KERNELS:
        if other == kernel:
            continue
        guide = zoo.exact(other, data(1))
        found = model.field(x, time, guide=guide, guidance=2.5)
        expected = closed_form(model, guide, data(1), x, time, 2.5)
        assert (found - expected).norm() < 1e-6 * expected.norm(), other
        assert (found - model.field(x, time)).norm() > 1e-3 * found.norm(), other


@pytest.mark.parametrize("kernel", KERNELS)
def test_fields_of_one_kernel_are_mixed_as_they_are(kernel):
    model, guide = zoo.exact(kernel, data(0, (3,))), zoo.exact(kernel, data(1, (3,)))
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(2)).double()
    t = float(model.kernel.time_at(torch.tensor(0.7)))
    own, other = model.field(x, t), guide.field(x, t)
    found = model.field(x, t, guide=guide, guidance=3)
    assert torch.allclose(found, other + 3 * (own - other), rtol=1e-10)


@pytest.mark.parametrize("shape", [(2,), SHAPE])
@pytest.mark.parametrize("kernel", ["gravity", "vp"])
def test_a_model_guides_itself_to_the_same_samples(kernel, shape):
    model = zoo.exact(kernel, data(0, shape, 30.0 if shape == (2,) else 0.5))
    plain = model.sample(20, seed=0, steps=6)
    assert torch.equal(plain, model.sample(20, seed=0, steps=6, guide=model, guidance=3))
    lifted = zoo.lift(zoo.exact("gaussian", data(0, shape)), "gravity")
    plain = lifted.sample(20, seed=0, steps=6)
    assert torch.equal(plain, lifted.sample(20, seed=0, steps=6, guide=lifted, guidance=3))


@pytest.mark.parametrize("other", ["gravity", "pfgmpp", "vp", "tanh"])
def test_lifted_samples_ask_the_guide_at_their_own_level(other):
    source, guide = zoo.exact("gaussian", data(0)), zoo.exact(other, data(1))
    lifted = zoo.lift(source, "gravity")
    found = lifted.trajectory(4, seed=0, steps=3, solver="euler", guide=guide, guidance=2)
    # one step of euler by hand: the denoisers at the level of each sample
    state = found.x[0].double()
    plain = lifted.trajectory(4, seed=0, steps=3, solver="euler")
    assert torch.isfinite(found.samples).all()
    assert not torch.equal(found.samples, plain.samples)
    level = torch.full((4,), 0.5).double()
    asked = LevelDenoiser(guide.network, guide.kernel)(state / 100, level)
    flow = lifted.augmented_flow(guidance=lifted._guidance(2, guide, None))
    own = source.network(state / 100, source.kernel.time_at(level))
    assert torch.allclose(flow.predict(state / 100, level), asked + 2 * (own - asked))


class Counting(torch.nn.Module):
    """How often a network was asked, and at which times."""

    def __init__(self, network):
        super().__init__()
        self.times = []
        network.register_forward_pre_hook(lambda _, given: self.times.append(float(given[1].max())))


def test_outside_its_interval_a_guide_is_not_evaluated():
    model, guide = zoo.exact("gaussian", data(0)), zoo.exact("gaussian", data(1))
    own, asked = Counting(model.network), Counting(guide.network)
    options = {"seed": 0, "steps": 12, "solver": "euler"}
    plain = model.trajectory(4, **options)
    assert not asked.times
    assert len(own.times) == plain.nfe
    led = model.trajectory(4, **options, guide=guide, guidance=2, guidance_interval=(0.1, 5.0))
    assert 0 < len(asked.times) < led.nfe
    assert all(0.1 <= t <= 5 for t in asked.times)
    inside = [t for t in own.times[plain.nfe :] if 0.1 <= t <= 5]
    assert inside == asked.times
    assert torch.equal(led.x[led.t > 5], plain.x[plain.t > 5])
    assert not torch.equal(led.samples, plain.samples)
    del asked.times[:]
    assert torch.equal(plain.samples, model.sample(4, **options, guide=guide, guidance=1))
    assert not asked.times


def test_samples_do_not_depend_on_who_else_is_inside_the_interval():
    lifted = zoo.lift(zoo.exact("gaussian", data(0)), "gravity")  # each has a level of its own
    guide = zoo.exact("gaussian", data(1))
    options = {"seed": 0, "guide": guide, "guidance": 2, "guidance_interval": (0.3, 3.0)}
    whole = lifted.sample(20, steps=8, **options)
    assert torch.equal(whole[3:7], lifted.sample(4, first=3, steps=8, **options))
    assert not torch.equal(whole, lifted.sample(20, steps=8, seed=0))


def test_classes_are_followed_inside_the_interval_alone():
    kernel = zoo.kernel("gaussian", dim=2)
    network = zoo.network("mlp", shape=(2,), kernel=kernel, labels=3, width=16)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.3)
    model = zoo.FieldModel(kernel, zoo.prior("gaussian", kernel), network, zoo.solver("heun"), (2,))
    x, t = torch.randn(3, 2), torch.tensor([0.05, 1.0, 20.0])
    inside = {"guidance_interval": (0.5, 5.0)}
    found = model.denoise(x, t, labels=1, guidance=3, **inside)
    plain, led = (model.denoise(x, t, labels=1, guidance=w) for w in (1, 3))
    assert torch.equal(found[[0, 2]], plain[[0, 2]])
    assert torch.allclose(found[1], led[1], atol=1e-6)
    assert not torch.equal(led[1], plain[1])


def test_all_methods_but_likelihoods_take_a_guide():
    blobs = [GaussianMixture.diagonal(data(i, (2,)), 0.1) for i in (0, 1)]
    model, guide = zoo.exact("gaussian", blobs[0]), zoo.exact("flow", blobs[1])
    told = {"guide": guide, "guidance": 1.5}
    x = data(3, (2,))
    noise = model.encode(x, **told)
    assert (model.decode(noise, **told) - x).abs().max() < 1e-3
    assert (noise - model.encode(x)).abs().max() > 1e-3
    assert not torch.equal(model.denoise(x, 1.0, **told), model.denoise(x, 1.0))
    posterior = model.posterior(torch.zeros(2), Mask(torch.tensor([True, False])), noise=0.1)
    assert not torch.equal(posterior.sample(3, seed=0, **told), posterior.sample(3, seed=0))
    assert torch.equal(pickle.loads(pickle.dumps(model)).sample(2, seed=0), model.sample(2, seed=0))


def test_what_is_no_guide_is_refused_in_one_line():
    model = zoo.exact("gaussian", data(0, (2,)))
    good = zoo.exact("gaussian", data(1, (2,)))
    rotating = zoo.exact(
        zoo.kernel("map", dim=2, map="(1-t)*x_0 + t*(z + a*sin(z))", a=0.3), data(1, (2,))
    )
    mask = Mask(torch.tensor([True, False]))
    asked = model.posterior(torch.zeros(2), mask, noise=0.1)
    exactly = model.posterior(torch.zeros(2), mask, noise=0.1, method="exact")
    cases = [
        (model, {"guide": good}, "give guidance="),
        (model, {"guide": 3, "guidance": 2}, "expected a FieldModel"),
        (zoo.load("gravity-digits"), {"guide": "gravity", "guidance": 2}, "no model 'gravity'"),
        (model, {"guide": zoo.exact("gaussian", data(1, (3,))), "guidance": 2}, "shape"),
        (model, {"guide": good, "guidance": math.nan}, "finite"),
        (model, {"guide": asked, "guidance": 2}, "posterior"),
        (model, {"guide": rotating, "guidance": 2}, "no noise level"),
        (exactly, {"guide": good, "guidance": 2}, "weighs the data itself"),
        (model, {"guidance_interval": (0.1, 1)}, "without guidance"),
        (model, {"guidance": 2}, "needs labels"),
        (model, {"guidance": 2, "guidance_interval": (0.1, 1)}, "needs labels"),
        *[
            (model, {"guide": good, "guidance": 2, "guidance_interval": interval}, words)
            for interval, words in [
                ((2, 1), "0 <= low < high"),
                ((-1, 1), "0 <= low < high"),
                ((math.nan, 1), "0 <= low < high"),
                ((200, 300), "outside the noise levels"),
                ((1, 2, 3), "two noise levels"),
                (4, "two noise levels"),
            ]
        ],
    ]
    for of, options, words in cases:
        with pytest.raises(ZooError, match=words) as caught:
            of.sample(2, seed=0, **options)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) <= 500


def test_config_json_names_a_guide_for_default_sampling(tmp_path):
    import json

    model = zoo.load("gravity-fashion-mnist")
    folder = model.save(tmp_path / "led")
    config = json.loads((folder / "config.json").read_text())
    known = {"guide": "gaussian-fashion-mnist-base", "weight": 1.5, "interval": [0.05, 10.0]}
    (folder / "config.json").write_text(json.dumps({**config, "guidance": known}))
    led = zoo.load(folder)
    options = {"seed": 0, "steps": 3}
    told = {
        "guide": "gaussian-fashion-mnist-base",
        "guidance": 1.5,
        "guidance_interval": (0.05, 10),
    }
    expected = model.sample(2, **options, **told)
    assert torch.equal(led.sample(2, **options), expected)
    assert torch.equal(led.sample(2, **options, guidance=1), model.sample(2, **options))
    assert not torch.equal(expected, model.sample(2, **options))
    again = zoo.load(led.save(tmp_path / "again"))
    assert torch.equal(again.sample(2, **options), expected)
    for guide in ("./there", "/there", "../x"):
        (folder / "config.json").write_text(
            json.dumps({**config, "guidance": {**known, "guide": guide}})
        )
        with pytest.raises(ZooError, match="no path"):
            zoo.load(folder)


def test_a_lifted_model_is_guided_by_default_as_the_one_it_was_lifted_from():
    guided = {"guide": "gaussian-fashion-mnist", "weight": 1.5}
    options = {"seed": 0, "steps": 3}
    source = zoo.load("gaussian-fashion-mnist-base")
    # A kernel without a name has no config.json.
    kernel = type(zoo.kernel("gravity", dim=784))(dim=784, t_max=100.0)
    plain = zoo.lift(source, kernel)
    for interval in (None, (1e4, 2e4)):
        known = DefaultGuidance(**guided, interval=interval)
        source.config = msgspec.structs.replace(source.config, guidance=known)
        lifted = zoo.lift(source, kernel)
        assert lifted.config is None
        same = torch.equal(lifted.sample(2, **options), plain.sample(2, **options))
        assert same == (interval is not None)  # whose levels the kernel never has


def test_a_guide_of_config_json_is_loaded_as_the_model_was(tmp_path):
    model = zoo.load("gravity-digits")
    known = DefaultGuidance("owner/guide", 1.5)
    model.config = msgspec.structs.replace(model.config, guidance=known)
    folder = model.save(tmp_path / "led")
    asked = {"token": "hf_secret", "cache_dir": tmp_path / "cache", "local_files_only": True}
    led = zoo.load(folder, **asked)
    with pytest.raises(ZooError, match="owner/guide") as caught:
        led.sample(2, seed=0, steps=2)
    assert "offline" in str(caught.value) or "on this disk" in str(caught.value)
    assert led.load_guide.keywords == asked
    assert b"hf_secret" not in pickle.dumps(led)


def test_pull_fetches_the_guide_too(tmp_path):
    model = zoo.load("gravity-digits")
    model.config = msgspec.structs.replace(
        model.config, guidance=DefaultGuidance("owner/guide", 1.5)
    )
    folder = model.save(tmp_path / "led")
    with pytest.raises(ZooError, match="owner/guide"):
        zoo.pull(folder, local_files_only=True)
