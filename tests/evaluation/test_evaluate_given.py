"""A model that is conditioned is evaluated given what the data are, in turn."""

import msgspec
import numpy as np
import pytest
import torch
from evaluation_data import patterns, write_npz
from tiny_models import images
from torch.nn.functional import avg_pool2d

from zoo.config.condition import Condition
from zoo.errors import ZooError
from zoo.evaluation import features
from zoo.evaluation.distances import fit_gaussian, frechet_distance
from zoo.evaluation.reference import open_reference, some_rows
from zoo.evaluation.run import bits_per_dim, evaluate, training_scores
from zoo.evaluation.settings import Measurement, model_setting

SHAPE = (1, 8, 8)


def conditioned(source):
    """A model of images given images of a quarter of the pixels, called `source` in its config."""
    model = images(condition=[1, 4, 4])
    known = Condition((1, 4, 4), source)
    data = msgspec.structs.replace(model.data, condition=known)
    model.config = msgspec.structs.replace(model.describe(), data=data)
    return model


@pytest.fixture
def opened(tmp_path):
    """Open 12 images as what a model is compared with."""
    ref = write_npz(tmp_path / "patterns.npz", n=12)
    pixels = features.build("pixels", SHAPE, torch.device("cpu"))
    return lambda model: open_reference(ref, SHAPE, pixels, condition=model.condition)


def test_samples_are_drawn_given_what_the_data_are_in_turn(opened, monkeypatch):
    model = conditioned("downscale:2")
    reference = opened(model)
    asked, sample = [], model.sample
    monkeypatch.setattr(
        model, "sample", lambda *a, **k: (asked.append(k["condition"]), sample(*a, **k))[1]
    )
    measurement = Measurement(("frechet",), 30, (0,))
    report = evaluate("m", model, [model_setting(model, "euler", 2)], measurement, reference)
    small = avg_pool2d(reference.data.batch(some_rows(30, 12)), 2)
    assert torch.equal(torch.cat(asked), small)
    assert report.outcomes[0].metrics["frechet"].value > 0


def test_data_without_conditions_are_refused(opened):
    with pytest.raises(ZooError, match=r"has none; config\.json says under data\.condition"):
        opened(conditioned(""))


def test_classes_are_those_of_the_data_where_samples_are_given_a_condition_too(tmp_path):
    model = images(condition=[1, 4, 4], labels=3)
    known = msgspec.structs.replace(model.data, condition=Condition((1, 4, 4), "downscale:2"))
    model.config = msgspec.structs.replace(model.describe(), data=known)
    pictures, _ = patterns(12, 0)
    np.savez(tmp_path / "x.npz", x=pictures.numpy(), y=np.arange(12) // 4)
    pixels = features.build("pixels", SHAPE, torch.device("cpu"))
    ref = f"npz:{tmp_path / 'x.npz'}"
    reference = open_reference(ref, SHAPE, pixels, condition=model.condition)
    assert torch.equal(reference.labels(3, 14), some_rows(14, 12) // 4)
    alone = open_reference(ref, SHAPE, pixels)
    assert alone.labels(3, 6).tolist() == [0, 1, 2, 1, 2, 0]  # equally many of each
    assert alone.labels(0, 6) is None


def test_some_rows_are_of_the_whole_data_and_the_first_of_them_always_the_same():
    few, many = some_rows(1000, 10_000), some_rows(25_000, 10_000)
    assert torch.equal(few, many[:1000])
    assert set(many.bincount().tolist()) == {2, 3}
    for classes in (few // 1000, few % 10):  # of data in their order, and taking turns
        assert int(classes.bincount(minlength=10).min()) > 60


def test_training_images_and_bits_are_not_of_the_first_classes_alone(tmp_path, monkeypatch):
    shades = np.arange(200, dtype=np.uint8).repeat(64).reshape(200, 1, 8, 8)
    np.savez(tmp_path / "x.npz", x=shades, x_test=shades)
    pixels = features.build("pixels", SHAPE, torch.device("cpu"))
    reference = open_reference(f"npz:{tmp_path / 'x.npz'}", SHAPE, pixels)
    near = training_scores(Measurement(("frechet",), 60, (0,)), reference)["frechet"]
    first, whole = (fit_gaussian(reference.features[:n]) for n in (60, 200))
    assert near < 0.1 * frechet_distance(first, whole)
    seen = []
    measured = type("Found", (), {"bits_per_dim": torch.arange(16.0)})
    monkeypatch.setattr(
        "zoo.models.model.FieldModel.log_likelihood",
        lambda _, x, **k: (seen.append(x), measured)[1],
    )
    bits_per_dim(images(), reference)
    assert len(seen[0]) == 16
    assert float(seen[0].float().mean()) == pytest.approx(100, abs=45)
