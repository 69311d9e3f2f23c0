"""Training with conditions: arrays, files, rules; hidden ones; resumed, in parts, standardised."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import zoo
from zoo.config.recipe import from_dict
from zoo.data import load
from zoo.data.condition import by_rule, fitted, of_array
from zoo.data.npz import from_arrays
from zoo.errors import ZooError
from zoo.training.batch import BatchSampler
from zoo.training.plan import make_plan
from zoo.training.start import start

TINY = {
    "kernel": "gaussian",
    "network": {"use": "mlp", "width": 8, "blocks": 1},
    "images": 256,
    "batch": 64,
    "progress": False,
}


def chance(seed=0):
    return np.random.default_rng(seed)


def fit(x, condition, **options):
    return zoo.fit(x, condition=condition, **{**TINY, **options})


def recipe(**data):
    return {
        "name": "given",
        "data": data,
        "kernel": {"use": "gaussian"},
        "network": {"use": "unet", "width": 8, "blocks": 1},
        "train": {"images": 64, "batch": 16, "warmup": 16, "log_every": 2, "checkpoint_every": 2},
    }


@pytest.mark.parametrize(
    "kernel",
    ["gravity", "gaussian", *(pytest.param(k, marks=pytest.mark.slow) for k in ("pfgmpp", "flow"))],
)
def test_a_posterior_is_learned_at_any_scale(kernel):
    c = 1e4 + 1e3 * chance().normal(size=(2_000, 1))
    x = np.hstack([(c - 1e4) * 1e-6, -(c - 1e4) * 5]) * 1.0
    x = x + chance(1).normal(size=x.shape) * [3e-4, 1e3]
    model = fit(
        x,
        c,
        kernel=kernel,
        images=60_000,
        network={"use": "mlp", "width": 32},
        lr=5e-3,
        validation=0,
    )
    for given in (9e3, 11e3):
        drawn = model.sample(400, seed=0, condition=[given]).double().numpy()
        expected = np.array([(given - 1e4) * 1e-6, -(given - 1e4) * 5])
        error = (drawn.mean(axis=0) - expected) / [3e-4, 1e3]
        assert np.abs(error).max() < 0.6
        spread = drawn.std(axis=0) / [3e-4, 1e3]
        assert spread.min() > 0.6
        assert spread.max() < 1.6
    assert model.condition.standardise.mean == pytest.approx((c.mean(),), rel=1e-3)


def test_columns_of_a_data_frame_stay_named(capsys):
    c = pd.DataFrame({"dose": chance().normal(5, 2, 200), "arm": chance(1).integers(0, 2, 200)})
    model = zoo.fit(chance(2).normal(size=(200, 2)), condition=c, **{**TINY, "progress": True})
    assert [column.name for column in model.condition.columns] == ["dose", "arm"]
    line = capsys.readouterr().err
    assert "given vectors of 2 numbers (dose, arm)" in line
    one = pd.DataFrame({"arm": [1], "dose": [4.0]})
    assert torch.isfinite(model.sample(1, seed=0, condition=one)).all()
    recipe = model.config.training.recipe
    assert recipe["network"]["condition"] == [2]
    assert recipe["train"]["condition_dropout"] == 0.1
    assert (recipe["train"]["level_mean"], recipe["train"]["level_std"]) == (-2.5, 1.6)


def test_images_given_images_vectors_and_rules():
    x = chance().integers(0, 256, (48, 1, 8, 8), dtype=np.uint8)
    small = {"network": {"use": "unet", "width": 8, "blocks": 1}, "images": 32, "batch": 16}
    for condition, shape in (
        (chance().normal(size=(48, 2, 3, 5)), (2, 3, 5)),
        (chance().normal(size=(48, 3)), (3,)),
        ("downscale:4", (1, 2, 2)),
    ):
        model = fit(x, condition, **small)
        assert model.condition.shape == shape
        drawn = model.sample(2, seed=0, steps=2, condition=np.zeros(shape))
        assert drawn.shape == (2, 1, 8, 8)
    assert model.condition.source == "downscale:4"
    whole = fit(x, "downscale:4", standardise=True, **small).condition.standardise
    assert whole == model.condition.standardise
    with pytest.raises(ZooError, match="uint8; expected floating-point numbers, as downscale:4"):
        model.sample(2, condition=np.zeros((1, 2, 2), np.uint8))


def test_vectors_given_images_and_series_given_series():
    x = chance().normal(size=(60, 2))
    model = fit(x, chance().normal(size=(60, 1, 4, 4)), images=64)
    assert model.sample(2, seed=0, steps=2, condition=np.zeros((1, 4, 4))).shape == (2, 2)
    series = chance().normal(size=(60, 2, 12)) * [[1e3], [1]]
    options = {"network": {"use": "unet1d", "width": 8}, "images": 64, "batch": 16}
    model = fit(series, series[:, :1, ::2], **options)
    assert model.condition.shape == (1, 6)
    assert model.sample(2, seed=0, steps=2, condition=series[0, :1, ::2]).shape == (2, 2, 12)


def test_hidden_conditions_take_their_labels_along():
    data = from_arrays(chance().normal(size=(500, 2)), np.arange(500) % 2, name="array")
    given = of_array(np.arange(500.0)[:, None], 500, source="array", where="x")
    table = {
        **recipe(use="array"),
        "network": {"use": "mlp", "width": 8, "blocks": 1, "labels": 2},
    }
    table["train"] |= {"batch": 400, "images": 800, "condition_dropout": 0.3, "label_dropout": 0.1}
    plan = make_plan(from_dict(table, "test"), replace(data, given=given))
    batches = BatchSampler(plan, torch.device("cpu"))
    batch = batches.batch(0, slice(0, 400))
    hidden = batch.condition.isnan()[:, 0]
    assert 0.2 < hidden.double().mean() < 0.4
    assert (batch.labels[hidden] == -1).all()
    alone = (batch.labels[~hidden] == -1).double().mean()
    assert 0.03 < alone < 0.2
    seen = batch.condition[~hidden, 0]
    known = plan.data.condition.standardise
    which = known.undo(seen[:, None].double()).round()[:, 0].long()
    assert torch.equal(batch.target[~hidden], plan.data.batch(which))
    parts = [batches.batch(0, slice(a, a + 200)) for a in (0, 200)]
    together = torch.cat([part.condition for part in parts])
    assert torch.equal(together.nan_to_num(9), batch.condition.nan_to_num(9))
    assert torch.equal(
        torch.cat([p.condition for p in batch.split(4)]).isnan(), batch.condition.isnan()
    )


def test_a_rule_sees_the_images_as_they_are_shown():
    table = recipe(use="digits", condition="downscale:2", flip=True, standardise=True)
    plan = make_plan(from_dict(table, "test"))
    batch = BatchSampler(plan, torch.device("cpu")).batch(0, slice(0, 16))
    shown = ~batch.condition.flatten(1).isnan().any(dim=1)
    images = plan.data.standardise.undo(batch.target[shown])
    small = torch.nn.functional.avg_pool2d(images, 2)
    known = plan.data.condition.standardise
    assert torch.allclose(known.undo(batch.condition[shown]), small, atol=1e-5)
    assert plan.recipe.network.options["condition"] == [1, 4, 4]
    assert load("digits", condition="downscale:4").condition.shape == (1, 2, 2)


def test_a_run_stopped_and_resumed_is_the_same(tmp_path):
    x = chance().normal(size=(40, 1, 8, 8)).clip(-1, 1)
    c = chance(1).normal(size=(40, 3))
    np.savez(tmp_path / "d.npz", x=x, angles=c, x_test=x[:8], angles_test=c[:8] + 5)
    table = recipe(use=f"npz:{tmp_path / 'd.npz'}", condition="angles")
    table["train"] |= {"validate_every": 16, "samples_every": 32}
    whole = zoo.train(table, folder=tmp_path / "whole", progress=False)
    folder = tmp_path / "parts"

    def plan():
        return make_plan(from_dict(table, "test"))

    first = start(plan(), folder)
    while first.step < 2:
        first.advance()
    first.save()
    again = zoo.train(table, folder=folder, resume=True, progress=False)
    given = {"seed": 0, "steps": 2, "condition": c[0]}
    assert torch.equal(again.sample(2, **given), whole.sample(2, **given))
    assert again.condition.source == "angles"
    assert again.condition.standardise.mean == pytest.approx(tuple(c.mean(axis=0)), rel=1e-4)
    assert (tmp_path / "whole" / "samples").is_dir()
    changed = c.copy()
    changed[0] += 1
    np.savez(tmp_path / "d.npz", x=x, angles=changed, x_test=x[:8], angles_test=c[:8])
    with pytest.raises(ZooError, match="was trained on other samples"):
        zoo.train(table, folder=folder, resume=True, progress=False)


def test_arrays_for_a_recipe():
    table = recipe()
    del table["data"]
    x = chance().normal(size=(40, 1, 8, 8)).clip(-1, 1)
    model = zoo.train(table, data=(x, None, x.mean(axis=(2, 3))), progress=False)
    assert model.condition.shape == (1,)
    assert model.sample(2, seed=0, steps=2, condition=0.1).shape == (2, 1, 8, 8)
    ruled = zoo.train({**table, "data": {"condition": "downscale:2"}}, data=x, progress=False)
    assert ruled.condition.shape == (1, 4, 4)


def test_held_out_conditions(measured):
    x, c = chance().normal(size=(200, 2)), chance(1).normal(5, 2, size=(200, 1))
    own = chance(2).normal(size=(50, 1))
    model = fit(x, c, validation=(x[:50], None, own))
    assert math.isfinite(model.config.training.outcome.validation_loss)
    held_out = measured[0]
    assert np.array_equal(held_out.given.values[:50].numpy(), own.astype(np.float32))
    assert held_out.given.known.standardise == model.condition.standardise
    with pytest.raises(ZooError, match=r"validation has conditions of shape None, X of \(1,\)"):
        fit(x, c, validation=x[:50])
    named = pd.DataFrame(np.hstack([c, c]), columns=["dose", "age"])
    for other in (named[["age", "dose"]], named.rename(columns={"age": "mass"})):
        with pytest.raises(ZooError, match="has other columns than that of X; give the same"):
            fit(x, named, validation=(x[:50], None, other[:50]))


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (np.zeros((200,)), "expected (n, k): give it as [:, None]"),
        (pd.Series(np.zeros(200), name="age"), "expected (n, k): give it as df[['age']]"),
        ("age", "'age' is no rule of images, such as downscale:2; give the values: a column as"),
        (np.zeros((199, 2)), "condition: 199 conditions for 200 samples; expected one each"),
        (np.full((200, 1), np.nan), "condition: 200 of 200 samples hold NaN or infinity"),
        ([["a"]] * 200, "condition holds text"),
        ("downscale:2", "takes images whose sides are multiples of 2, not shape (2,)"),
        ("half:2", "no such rule"),
        ("downscale:x", "expected downscale:2, 3, ..."),
        (pd.DataFrame({"a": ["x"] * 200}), "condition: column 'a' is of type"),
    ],
)
def test_what_is_no_condition_is_one_clear_line(condition, told):
    with pytest.raises(ZooError) as error:
        fit(chance().normal(size=(200, 2)), condition)
    assert told in str(error.value)


def test_recipes_that_do_not_go_with_a_condition(tmp_path):
    x = chance().normal(size=(40, 1, 8, 8)).clip(-1, 1)
    np.savez(tmp_path / "d.npz", x=x, c=x[:, :, :4])
    ref = f"npz:{tmp_path / 'd.npz'}"

    def told(**data):
        return recipe(use=ref, **data)

    for table, message in (
        (told(condition="d"), "no array 'd' of conditions; there are 'x' and 'c'"),
        (told(condition="c", flip=True), "change images and not their conditions"),
        (recipe(use="digits", condition="c"), "would be an array of an npz: file"),
        (recipe(use="digits", condition="downscale:3"), "sides are multiples of 3"),
    ):
        with pytest.raises(ZooError) as error:
            make_plan(from_dict(table, "test"))
        assert message in str(error.value)
    table = told()
    table["network"]["condition"] = [2]
    with pytest.raises(ZooError, match=r"d has no conditions; say which with data\.condition"):
        make_plan(from_dict(table, "test"))
    table = told(condition="c")
    table["network"]["condition"] = [2]
    with pytest.raises(ZooError, match=r"leave network\.condition out"):
        make_plan(from_dict(table, "test"))
    table = told(condition="c")
    table["train"]["reference_batch"] = 32
    with pytest.raises(ZooError, match=r"which data\.condition forbids"):
        make_plan(from_dict(table, "test"))
    table = told(condition="c")
    table["network"] = {"use": "ddpmpp"}
    with pytest.raises(ZooError, match="no option 'condition'"):
        make_plan(from_dict(table, "test"))
    np.savez(tmp_path / "d.npz", x=x, c=x[:, :, :4], x_test=x, c_test=x)
    table = told(condition="c")
    table["train"]["validate_every"] = 16
    with pytest.raises(ZooError, match=r"conditions of shape \(1, 8, 8\) are not \(1, 4, 8\)"):
        make_plan(from_dict(table, "test"))


@pytest.mark.parametrize(("side", "read"), [(8, 20_000), (64, 8_192), (1_024, 64)])
def test_standardising_reads_no_more_than_fits_in_memory(side, read):
    asked = []

    def images(chosen):
        asked.append(len(chosen))
        return torch.zeros(len(chosen), 1, 1, 1).expand(-1, 1, side, side)

    given = by_rule(f"downscale:{side}", (1, side, side))
    fitted(given, 50_000, images)
    assert asked == [1, read]


def test_a_constant_condition_says_nothing_and_does_no_harm():
    x = chance().normal(size=(100, 2))
    sevens = np.full((100, 1), 7.0)
    for given in (sevens, pd.DataFrame(sevens, columns=["dose"])):
        model = fit(x, given, images=64)
        assert torch.isfinite(model.sample(2, seed=0, condition=[7.0])).all()
