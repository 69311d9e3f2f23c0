"""Data of any size: a warning before the first step, and `[data] standardise = true`."""

import math
import warnings
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from tiny_recipe import RECIPE

import zoo
from zoo.config.model import parse_config
from zoo.config.standardise import Standardise
from zoo.data.images import Images
from zoo.data.size import moments, standardise
from zoo.errors import ZooError, ZooWarning
from zoo.training.plan import make_plan
from zoo.training.recipes import parse_recipe
from zoo.training.run import data_of

MEAN, SIZE = np.array([100.0, -3.0]), np.array([100.0, 0.01])
TABLES = {
    "name": "table",
    "kernel": {"use": "gaussian"},
    "network": {"use": "mlp", "width": 64, "blocks": 2},
    "train": {"images": 100_000, "batch": 256, "warmup": 5_000, "lr": 3e-3, "ema_halflife": 5_000},
}


def table(n=4_000):
    """Two columns of very different size, half of each at either end of two lumps."""
    chance = np.random.default_rng(0)
    side = chance.integers(0, 2, (n, 1)) * 2 - 1
    return MEAN + SIZE * (0.8 * side + 0.6 * chance.normal(size=(n, 2)))


def tiny(**data):
    recipe = parse_recipe(RECIPE.encode(), "tiny")
    plan = msgspec.structs.replace(recipe.data, **data)
    return msgspec.structs.replace(recipe, data=plan)


@pytest.fixture(scope="module")
def model():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return zoo.train({**TABLES, "data": {"standardise": True}}, data=table(), progress=False)


def test_samples_are_in_data_units_at_any_size(model):
    drawn = model.sample(2_000, seed=0).double().numpy()
    data = table()
    assert np.abs((drawn.mean(axis=0) - data.mean(axis=0)) / SIZE).max() < 0.1
    assert np.abs(drawn.std(axis=0) / data.std(axis=0) - 1).max() < 0.1
    signs = np.sign((drawn - MEAN) / SIZE)
    assert (signs[:, 0] == signs[:, 1]).mean() > 0.75  # the lumps; without them one half


def test_every_method_speaks_data_units(model):
    x = torch.tensor(table()[:8])
    assert torch.allclose(model.decode(model.encode(x)), x, rtol=1e-4, atol=1e-3)
    walk = model.trajectory(8, seed=0)
    assert torch.equal(walk.x[-1].float(), model.sample(8, seed=0))
    t = float(walk.t[-3])
    state, denoised = walk.x[-3], model.denoise(walk.x[-3], t)
    assert torch.allclose(denoised, walk.x[-1], atol=20.0)
    scale = torch.tensor(model.standardise.scale, dtype=torch.float64)
    slope = (state - denoised) / t  # dx/dt of the kernel sigma_t = t
    assert torch.allclose(model.field(state, t), slope, rtol=1e-3, atol=1e-3 * float(scale.max()))


def test_the_density_integrates_to_one_in_data_units(model):
    near = torch.linspace(-4, 4, 41, dtype=torch.float64)
    grid = torch.tensor(MEAN) + torch.tensor(SIZE) * torch.cartesian_prod(near, near)
    cell = float(np.prod(SIZE)) * 0.2**2
    assert float(model.log_prob(grid).exp().sum()) * cell == pytest.approx(1, abs=0.03)


def test_latents_are_as_the_prior_draws_them(model):
    latent = model.encode(torch.tensor(table()[:256]))
    ratio = latent.std(dim=0) / model.kernel.t_max
    assert torch.allclose(ratio, torch.ones(2, dtype=torch.float64), atol=0.2)


def test_it_is_kept_by_saving_loading_and_lifting(model, tmp_path):
    again = zoo.load(model.save_pretrained(tmp_path / "m"))
    assert again.standardise == model.standardise
    assert torch.equal(again.sample(4, seed=0), model.sample(4, seed=0))
    assert "Standardised for the network: x = mean + scale z, mean" in again.card
    lifted = zoo.lift(again, "gravity")
    assert lifted.standardise == model.standardise
    ends = lifted.sample(500, seed=0).double().numpy()
    assert np.abs((ends.mean(axis=0) - MEAN) / SIZE).max() < 0.3
    back = zoo.load(lifted.save_pretrained(tmp_path / "l"))
    assert torch.equal(back.sample(4, seed=0), lifted.sample(4, seed=0))


def test_images_are_standardised_per_channel_and_likelihoods_stay_in_bits(tmp_path):
    x = np.random.default_rng(0).integers(0, 60, (40, 3, 4, 4), dtype=np.uint8)
    x[:, 1] += 100
    plan = make_plan(tiny(standardise=True), data_of(x))
    z = plan.data.batch(torch.arange(40))
    size = plan.network.sigma_data
    assert torch.allclose(z.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(z.square().mean(dim=(0, 2, 3)).sqrt(), torch.full((3,), size), atol=1e-5)
    low, high = plan.data.ends(z)
    assert torch.allclose(plan.data.standardise.undo(low), torch.tensor(-1.0), atol=1e-5)
    assert torch.allclose(plan.data.standardise.undo(high), torch.tensor(1.0), atol=1e-5)


def test_the_volume_is_the_determinant_of_the_map():
    known = Standardise((0.5, -1.0, 2.0), (2.0, 3.0, 0.25))
    x = torch.randn(1, 3, 2, 5, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda z: known.undo(z[None])[0])(x[0]).reshape(30, 30)
    assert known.log_volume((3, 2, 5)) == pytest.approx(float(jacobian.logdet()))
    assert torch.allclose(known.apply(known.undo(x)), x)


@pytest.mark.parametrize("shape", [(7,), (3, 5, 4)])
def test_moments_are_those_of_all_samples(shape):
    x = torch.randn(101, *shape) * 3 + 50
    mean, std = moments(Images(x, None, 0, "x", "", range=None))
    dims = (0, 2, 3) if len(shape) == 3 else (0,)
    assert torch.allclose(mean, x.double().mean(dim=dims))
    assert torch.allclose(std, x.double().std(dim=dims, correction=0))


@pytest.mark.parametrize("offset", [1.7e9, 1e12, -3e7])
@pytest.mark.parametrize("whole", [False, True])
def test_a_column_far_from_zero_keeps_its_digits(offset, whole):
    """Such as times in seconds: rounded to float32 they are all alike, or differ by 128."""
    chance = np.random.default_rng(0)
    x = np.c_[offset + 30 * chance.normal(size=500), chance.normal(size=500)]
    data = data_of(x.round().astype(np.int64) if whole else x)
    found = standardise(data, 0.5)
    assert found.scale[0] == pytest.approx(60, rel=0.1)
    z = replace(data, standardise=found).batch(torch.arange(500))
    assert z.dtype == torch.float32
    expected = (x[:, 0] - offset) / 60
    np.testing.assert_allclose(z[:, 0].numpy(), expected, atol=0.15 + 0.02 * whole)


def test_a_constant_coordinate_becomes_zero():
    x = torch.tensor([[1.0, 1e6], [2.0, 1e6]])
    data = Images(x, None, 0, "x", "", range=None)
    assert standardise(data, 0.5).apply(x)[:, 1].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (MEAN + SIZE * np.random.default_rng(0).normal(size=(500, 2)), "coordinate 0 has mean"),
        (np.random.default_rng(0).normal(size=(500, 3)) * [1, 1, 1e-3], "coordinate 2 has mean"),
        (np.random.default_rng(0).normal(size=(500, 2)) * 0.01, "standard deviation 0.0"),
    ],
    ids=["large", "one small", "all small"],
)
def test_data_of_another_size_are_told_before_the_first_step(data, told):
    with pytest.warns(ZooWarning, match=f"{told}.*set data.standardise = true in the recipe"):
        make_plan(tiny(), data_of(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_plan(tiny(standardise=True), data_of(data))


def test_vectors_of_more_coordinates_than_a_config_can_hold_are_refused():
    data = Images(torch.zeros(2, 10_001), None, 0, "wide", "", range=None)
    with pytest.raises(ZooError, match="at most 10,000 coordinates, wide has 10,001"):
        standardise(data, 0.5)


CONFIG = (
    '{"format": 1, "data": {"shape": [2], "range": null, "standardise": %s}, "kernel": {"use": "x"}'
    ', "prior": {"use": "x"}, "network": {"use": "x"}, "solver": {"use": "x"}}'
)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('{"mean": [0], "scale": [1]}', "has 1 numbers; expected 2"),
        ('{"mean": [0, 1], "scale": [1]}', "data.standardise: 2 means and 1 scales"),
        ('{"mean": [0, 1], "scale": [1, 0]}', "scale has to be positive and finite"),
        ('{"mean": [0, 1], "scale": [1, -1e300]}', "scale has to be positive and finite"),
        ('{"mean": [0, 1]}', "data.standardise.scale is missing"),
        ('{"mean": [0, 1], "scale": [1, 1], "std": 1}', "unknown key 'data.standardise.std'"),
    ],
)
def test_a_map_that_is_none_is_refused(written, told):
    with pytest.raises(ZooError, match=told) as error:
        parse_config((CONFIG % written).encode(), "config.json")
    assert len(str(error.value).splitlines()) == 1


def test_a_config_without_it_is_in_data_units():
    assert parse_config((CONFIG % "null").encode(), "config.json").data.standardise is None
    assert math.isclose(Standardise((0.0,), (2.0,)).log_volume((1, 3, 3)), 9 * math.log(2))
