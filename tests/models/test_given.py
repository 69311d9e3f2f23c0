"""Conditions in every method of a model, against a conditional law that is known exactly."""

import pickle

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from conditional_models import SPREAD, given_mean
from tiny_models import images, points

import zoo
from zoo.config.columns import Column
from zoo.config.condition import Condition
from zoo.config.standardise import Standardise
from zoo.data.condition import of_array
from zoo.errors import ZooError

KERNELS = ("gaussian", "ve", "vp", "flow")


def rows(n, *shape, seed=0):
    return torch.randn(
        n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_samples_follow_their_condition(kernel):
    model = given_mean(kernel)
    c = rows(2_000, 2)
    drawn = model.sample(2_000, seed=0, steps=60, condition=c).double() - c
    assert drawn.mean(dim=0).abs().max() < 0.03
    assert drawn.std(dim=0) == pytest.approx(torch.full((2,), SPREAD), rel=0.06)
    one = model.sample(2_000, seed=0, steps=60, condition=[4.0, -3.0]).double()
    assert one.mean(dim=0).tolist() == pytest.approx([4.0, -3.0], abs=0.03)


@pytest.mark.parametrize("kernel", ["gaussian", "flow"])
def test_log_prob_is_the_conditional_density(kernel):
    model = given_mean(kernel)
    c = rows(5, 2)
    x = c + SPREAD * rows(5, 2, seed=1)
    law = torch.distributions.Normal(c, SPREAD)
    found = model.log_prob(x, condition=c)
    assert found == pytest.approx(law.log_prob(x).sum(dim=1), abs=0.06)
    estimated = model.log_likelihood(x, condition=c, exact=False, batch_size=2, seed=1)
    assert estimated.nats == pytest.approx(found, abs=0.05)
    near = c[0] + SPREAD * rows(5, 2, seed=1)
    of_one = torch.distributions.Normal(c[0], SPREAD).log_prob(near).sum(dim=1)
    assert model.log_prob(near, condition=c[0]) == pytest.approx(of_one, abs=0.06)


def test_encode_decode_field_and_denoise_take_it():
    model = given_mean()
    c, x = rows(3, 2), rows(3, 2, seed=1)
    back = model.decode(model.encode(x, condition=c), condition=c)
    assert torch.allclose(back, x, atol=1e-4)
    gain = SPREAD**2 / (SPREAD**2 + 4)
    denoised = c + gain * (x - c)
    assert torch.allclose(model.denoise(x, 2.0, condition=c), denoised)
    assert torch.allclose(model.field(x, 2.0, condition=c), (x - denoised) / 2)
    hidden = (1 + SPREAD**2) / (5 + SPREAD**2) * x
    guided = model.denoise(x, 2.0, condition=c, guidance=3.0)
    assert torch.allclose(guided, hidden + 3 * (denoised - hidden))


@pytest.mark.parametrize("kernel", ["gravity", "pfgmpp", "tanh", "flow"])
def test_a_lifted_model_keeps_it(kernel):
    model = zoo.lift(given_mean(shape=(40,)), kernel)
    c = 2 * torch.ones(40)
    drawn = model.sample(64, seed=0, steps=40, condition=c)
    assert float(drawn.mean()) == pytest.approx(2, abs=0.1)
    assert model.condition == Condition((40,))
    assert zoo.lift(model, "vp").condition == Condition((40,))
    with pytest.raises(ZooError, match="give condition="):
        model.sample(2)


@pytest.mark.parametrize("solver", ["heun", "dopri5", "adaptive-heun"])
def test_a_sample_does_not_depend_on_the_batch(solver):
    if solver not in zoo.components("solvers"):
        pytest.skip("no such solver")
    model = points(condition=[3], labels=2, solver=solver)
    c, labels = rows(40, 3), torch.arange(40) % 2
    given = {"seed": 3, "steps": 4}
    whole = model.sample(40, condition=c, labels=labels, **given)
    parts = [
        model.sample(b - a, first=a, condition=c[a:b], labels=labels[a:b], batch_size=7, **given)
        for a, b in ((0, 16), (16, 32), (32, 40))
    ]
    if solver == "heun":
        alone = model.sample(1, first=21, condition=c[21], labels=1, **given)
        assert torch.equal(alone[0], whole[21])
    assert torch.equal(torch.cat(parts), whole)
    same = model.sample(4, first=20, condition=c[0], labels=0, **given)
    assert torch.equal(model.sample(24, condition=c[0], labels=0, **given)[20:], same)


def test_images_of_several_kinds_of_networks():
    c = rows(20, 1, 4, 4)
    for network, options in (("unet", {}), ("dit", {"width": 24, "depth": 1, "patch": 2})):
        kernel = zoo.kernel("gravity", dim=64)
        built = zoo.network(network, shape=(1, 8, 8), kernel=kernel, condition=[1, 4, 4], **options)
        for p in built.parameters():
            p.data.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
        model = zoo.FieldModel(
            kernel, zoo.prior("gravity", kernel), built, zoo.solver("euler"), (1, 8, 8)
        )
        whole = model.sample(20, seed=0, steps=3, condition=c)
        assert torch.equal(
            model.sample(3, first=9, seed=0, steps=3, condition=c[9:12]), whole[9:12]
        )
        other = model.sample(20, seed=0, steps=3, condition=c.flip(0))
        assert not torch.equal(other, whole)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (None, "given a condition, vectors of 2 numbers; give condition=, one for all or one"),
        ([1.0, 2.0, 3.0], r"condition has shape (3,); the model takes vectors of 2 numbers: (2,)"),
        (torch.zeros(4, 2), "(2,) for all, or (3, 2), one for each"),
        ([1.0, float("nan")], "condition is not finite: it holds NaN or infinity"),
        (torch.tensor([[0.0, 1], [np.inf, 0], [0, 0]]), "the first in row 1"),
        ("left", "condition is 'left'; expected a tensor, an array or lists of numbers"),
        (torch.ones(3, 2, dtype=torch.complex64), "expected real numbers"),
    ],
)
def test_what_is_no_condition_is_one_clear_line(condition, told):
    model = given_mean()
    for ask in (
        lambda: model.sample(3, condition=condition),
        lambda: model.log_prob(torch.zeros(3, 2), condition=condition),
        lambda: model.encode(torch.zeros(3, 2), condition=condition),
        lambda: model.denoise(torch.zeros(3, 2), 1.0, condition=condition),
    ):
        with pytest.raises(ZooError) as error:
            ask()
        assert told in str(error.value)
        assert "\n" not in str(error.value)


def test_true_and_false_are_1_and_0_as_in_training():
    model = given_mean()
    ones = model.sample(3, seed=0, steps=3, condition=[1.0, 0.0])
    for given in ([True, False], torch.tensor([True, False]), np.array([[True, False]] * 3)):
        assert torch.equal(model.sample(3, seed=0, steps=3, condition=given), ones)


def test_a_model_without_conditions_takes_none():
    with pytest.raises(ZooError, match="the model takes none: it was trained without one"):
        points().sample(2, condition=[1.0])
    with pytest.raises(ZooError, match=r"guidance = 2\.0 needs labels"):
        points().sample(2, guidance=2.0)
    assert "given vectors of 2 numbers" in repr(given_mean())
    assert points().condition is None


def test_a_condition_is_standardised_and_named(tmp_path):
    model = points(condition=[2], kernel="gaussian")
    known = Condition(
        (2,),
        standardise=Standardise((1e6, -2.0), (1e3, 0.5)),
        columns=(Column("mass", "float64"), Column("age", "int64")),
    )
    data = msgspec.structs.replace(model.data, condition=known)
    model.config = msgspec.structs.replace(model.describe(), data=data)
    frame = pd.DataFrame({"age": [-2, -1], "x": ["a", "b"], "mass": [1e6, 1e6 + 2e3]})
    named = model.sample(2, seed=0, steps=3, condition=frame)
    assert torch.equal(named, model.sample(2, seed=0, steps=3, condition=frame[["mass", "age"]]))
    plain = points(condition=[2], kernel="gaussian")
    raw = plain.sample(2, seed=0, steps=3, condition=[[0.0, 0.0], [2.0, 2.0]])
    assert torch.equal(named, raw)
    one, row = frame[["mass", "age"]].iloc[1], frame.iloc[1:]
    assert torch.equal(
        model.sample(3, seed=0, steps=3, condition=row),
        model.sample(3, seed=0, steps=3, condition=one.to_list()),
    )
    for entries in (one, one[["age", "mass"]], pd.Series(one.to_list())):
        assert torch.equal(
            model.sample(1, seed=0, steps=3, condition=entries),
            model.sample(1, seed=0, steps=3, condition=row),
        )
    with pytest.raises(ZooError, match="condition has no column 'mass'"):
        model.sample(1, condition=one.rename({"mass": "weight"}))
    with pytest.raises(ZooError, match="condition has no column 'mass'; it takes 'mass', 'age'"):
        model.sample(2, condition=frame[["age"]])
    again = zoo.load(model.save_pretrained(tmp_path / "named"))
    assert again.condition == known
    assert torch.equal(again.sample(2, seed=0, steps=3, condition=frame), named)
    assert torch.equal(
        pickle.loads(pickle.dumps(model)).sample(2, seed=0, steps=3, condition=frame), named
    )
    card = (tmp_path / "named" / "README.md").read_text(encoding="utf-8")
    assert "given vectors of 2 numbers (mass, age)" in card
    assert "condition=c" in card


def test_a_network_of_ones_own_without_conditions_is_called_as_ever():
    model = images()
    given = []
    model.network.register_forward_pre_hook(lambda module, args: given.append(len(args)))
    model.sample(2, seed=0, steps=2)
    assert set(given) == {2}


def test_rows_of_a_data_frame_go_by_their_names():
    model = points("gaussian", dim=2)
    columns = (Column("a", "float64"), Column("b", "int64"))
    data = msgspec.structs.replace(model.data, columns=columns)
    model.config = msgspec.structs.replace(model.describe(), data=data)
    frame = pd.DataFrame({"b": [1, 2], "a": [0.5, -0.5]})
    rows = torch.tensor([[0.5, 1], [-0.5, 2]], dtype=torch.float64)
    assert torch.equal(model.denoise(frame, 1.0), model.denoise(rows, 1.0))
    assert torch.equal(model.denoise(frame[["a", "b"]], 1.0), model.denoise(rows, 1.0))
    assert model.denoise(rows.long(), 1.0).shape == (2, 2)
    numbered = pd.DataFrame(rows.numpy())
    assert torch.equal(model.denoise(numbered, 1.0), model.denoise(rows, 1.0))
    with pytest.raises(ZooError, match="x has no column 'b'; it takes 'a', 'b'"):
        model.denoise(frame[["a"]], 1.0)


def test_classes_are_named_by_an_array_too():
    model = images(labels=2)
    data = msgspec.structs.replace(model.data, classes=("cat", "dog"))
    model.config = msgspec.structs.replace(model.describe(), data=data)
    expected = model.sample(2, seed=0, steps=2, labels=["dog", "cat"])
    assert torch.equal(model.sample(2, seed=0, steps=2, labels=np.array(["dog", "cat"])), expected)


@pytest.mark.parametrize("shape", [(4, 8, 8, 3), (4, 8, 8, 1)])
def test_images_with_channels_last_are_no_condition(shape):
    with pytest.raises(ZooError, match=r"channels first"):
        of_array(np.zeros(shape), 4, source="x", where="condition")
