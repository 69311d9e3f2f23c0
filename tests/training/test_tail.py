"""D = "auto": by the tail of the data, in zoo.fit and in recipes; never a crash."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import zoo
from zoo.config.recipe import from_dict
from zoo.data import Images
from zoo.data.toy import two_moons
from zoo.errors import ZooError
from zoo.training.choices import Asked, tables_of
from zoo.training.plan import make_plan
from zoo.training.tail import degrees_for

TINY = {"network": {"use": "mlp", "width": 8, "blocks": 1}, "images": 128, "batch": 64}


def student(n, d, nu, seed=0):
    chance = np.random.default_rng(seed)
    return chance.normal(size=(n, d)) / np.sqrt(chance.chisquare(nu, n) / nu)[:, None]


def vectors(x):
    return Images(torch.as_tensor(x), None, 0, "array", "", range=None)


def fit(x, **options):
    return zoo.fit(x, **{**TINY, "progress": False, **options})


@pytest.mark.parametrize(("nu", "d"), [(1.5, 2), (3, 2), (3, 20), (5, 2)])
def test_a_heavy_tail_gives_its_index(nu, d):
    assert degrees_for(vectors(student(40_000, d, nu))) == pytest.approx(nu, rel=0.25)


def test_light_tails_give_the_most_and_the_heaviest_the_least():
    chance = np.random.default_rng(0)
    moons = two_moons(10_000, torch.Generator().manual_seed(0))[0]
    assert degrees_for(vectors(moons)) == 128
    for d in (1, 2, 10):
        assert degrees_for(vectors(chance.normal(size=(10_000, d)))) == 128
    assert degrees_for(vectors(chance.random((10_000, 3)))) == 128
    assert degrees_for(vectors(student(10_000, 2, 0.6))) == 1


def test_images_of_bytes_have_light_tails():
    x = torch.randint(0, 256, (300, 1, 4, 4), dtype=torch.uint8)
    assert degrees_for(Images(x, None, 0, "noise", "")) == 128


def test_a_mean_far_off_hides_no_tail():
    assert degrees_for(vectors(1e4 + student(40_000, 2, 3))) == pytest.approx(3, rel=0.25)
    far = 1e4 + student(4_000, 2, 3)
    asked = Asked("pfgmpp", {"D": "auto"}, None, None, None, None, 100, {}, 0)
    found = tables_of(asked, vectors(far), 1e4, False)["kernel"]["D"]
    assert found == pytest.approx(3, rel=0.5)


def test_images_that_are_to_be_standardised_are_measured_so():
    # One channel is small and of heavy tails, the other large and of light ones.
    tails = (student(4_000, 16, 2) / 1e3).clip(-1, 1).reshape(-1, 1, 4, 4)
    light = np.random.default_rng(1).uniform(-1, 1, size=tails.shape)
    data = Images(torch.as_tensor(np.concatenate([tails, light], axis=1)), None, 0, "two", "")
    asked = Asked("pfgmpp", {"D": "auto"}, None, None, None, None, 100, {}, 0)
    assert tables_of(asked, data, 1.0, False)["kernel"]["D"] == 128
    found = tables_of(asked, data, 1.0, True)["kernel"]["D"]
    assert found == pytest.approx(2, rel=0.5)


def test_zoo_fit_puts_the_number_into_the_model_and_says_so(capsys, tmp_path):
    model = fit(1e3 * student(4_000, 2, 3) - 7, kernel="pfgmpp", D="auto", progress=True)
    degrees = model.kernel.part.options["D"]
    assert degrees == pytest.approx(3, rel=0.5)
    line = capsys.readouterr().err.splitlines()[0]
    assert f"pfgmpp D = {degrees} by the tail of the data" in line.replace(
        f" t_max = {model.kernel.t_max}", ""
    )
    again = zoo.load(model.save_pretrained(tmp_path / "m"))
    assert again.kernel.part.options["D"] == degrees
    by_table = fit(student(4_000, 2, 3), kernel={"use": "pfgmpp", "D": "auto"})
    assert by_table.kernel.part.options["D"] == pytest.approx(3, rel=0.5)


@pytest.mark.filterwarnings("ignore:X has 8 rows of 30")
@pytest.mark.parametrize("shape", [(8, 1), (8, 2), (8, 30), (9, 2), (63, 2)])
def test_tiny_tables_have_no_tail_to_speak_of(shape):
    model = fit(np.random.default_rng(0).standard_cauchy(shape), D="auto")
    assert model.kernel.part.options["D"] == 128


def test_recipes_take_it_too_and_keep_the_number():
    tables = {
        "name": "tails",
        "data": {"use": "toy:student?d=2&n=4000", "standardise": True},
        "kernel": {"use": "pfgmpp", "D": "auto"},
        "network": {"use": "mlp", "width": 8, "blocks": 1},
        "train": {"images": 64, "batch": 32, "warmup": 32},
    }
    plan = make_plan(from_dict(tables, "recipe"))
    degrees = plan.recipe.kernel.options["D"]
    assert degrees == plan.kernel.degrees == pytest.approx(3, rel=0.5)
    assert make_plan(plan.recipe).recipe == plan.recipe
    model = zoo.train(tables, progress=False)
    assert model.config.kernel.options == {"D": degrees}


def test_other_kernels_have_no_d():
    with pytest.raises(ZooError, match="no option 'D'"):
        fit(student(100, 2, 3), kernel="gaussian", D="auto")
    with pytest.raises(ZooError, match="D = 'atuo'"):
        fit(student(100, 2, 3), kernel="pfgmpp", D="atuo")


@pytest.mark.parametrize(
    ("kernel", "options", "known"),
    [
        ("gaussian", {}, True),
        ("flow", {}, True),
        ("vp", {}, True),
        ("pfgmpp", {}, True),
        ("pfgmpp", {"D": 3}, False),
        ("gravity", {}, False),
        ("tanh", {}, False),
    ],
)
@pytest.mark.parametrize("d", [1, 2, 30])
def test_columns_are_taken_one_by_one_where_t_tells_the_level(kernel, options, known, d):
    data = vectors(np.random.default_rng(0).normal(size=(100, d)))
    asked = Asked(kernel, options, None, None, None, None, 100, {}, 0)
    network = tables_of(asked, data, 1.0, True)["network"]
    assert network.get("columns", False) is known
    given = tables_of(replace(asked, condition="array"), data, 1.0, True)["network"]
    assert "columns" not in given
