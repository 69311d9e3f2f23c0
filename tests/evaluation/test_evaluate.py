"""Evaluation: features, references, perturbations, budgets, and the report as a whole."""

import errno
import hashlib
import json
import sys
from dataclasses import replace
from importlib.resources import files
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch
from evaluation_data import patterns, write_npz
from fashion_data import data_root, write_fashion_mnist
from safetensors.torch import load as load_weights
from tiny_models import images, points
from train_garments import accuracy, export, train

import zoo
from zoo.config.distilled import Distilled
from zoo.config.training import TrainingRecord
from zoo.data import load
from zoo.errors import ZooError
from zoo.evaluation import card, garments, report
from zoo.evaluation import features as extractors
from zoo.evaluation.intervals import GROUPS, balanced_classes
from zoo.evaluation.metrics import METRICS, parse_metrics, with_features
from zoo.evaluation.perturb import NoisySolver, quantised
from zoo.evaluation.reference import open_reference, round_to_bytes, some_rows
from zoo.evaluation.report import Setting
from zoo.evaluation.run import (
    bits_per_dim,
    check_measurement,
    class_accuracy,
    class_hits,
    evaluate,
    evaluate_setting,
)
from zoo.evaluation.settings import (
    Measurement,
    evaluations,
    model_setting,
    perturbed,
    steps_for,
    sweep,
)
from zoo.folder.results import table
from zoo.interfaces import Flow
from zoo.models.lift import lift
from zoo.sampling.guidance import Guidance

CPU = torch.device("cpu")


@pytest.fixture
def reference(tmp_path):
    kind = extractors.build("pixels", (1, 8, 8), CPU)
    return open_reference(write_npz(tmp_path / "patterns.npz"), (1, 8, 8), kind)


def test_images_are_rounded_as_a_file_of_8_bits_would():
    levels = torch.arange(256).float() / 127.5 - 1
    assert torch.equal(round_to_bytes(levels, (-1, 1)), levels)
    between = round_to_bytes(levels[:-1] + 0.3 / 127.5, (-1, 1))
    assert torch.allclose(between, levels[:-1], atol=1e-6)
    assert round_to_bytes(between, None) is between


def test_the_shipped_classifier_is_the_one_described_and_small():
    raw = (files("zoo.evaluation.garments") / "garments.safetensors").read_bytes()
    about = garments.about()
    net = garments.load_garment_net()
    assert hashlib.sha256(raw).hexdigest() == about["sha256"]
    assert len(raw) == about["size"] < 500_000
    assert sum(p.numel() for p in net.parameters()) == about["parameters"] <= 150_000
    assert about["test_accuracy"] >= 0.92
    assert about["license"]


def test_a_damaged_classifier_is_refused(monkeypatch):
    monkeypatch.setattr("zoo.evaluation.garments.about", lambda: {"sha256": "0" * 64})
    with pytest.raises(ZooError, match="is not what garments"):
        garments.load_garment_net()


def test_the_features_are_the_penultimate_layer():
    net, kind = garments.load_garment_net(), extractors.build("garments", (1, 28, 28), CPU)
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = kind.extract(x)
    assert found.shape == (5, 64)
    assert found.dtype == torch.float64
    assert torch.equal(net.head(found.float() / 10).argmax(dim=1), kind.classify(x))


@pytest.mark.slow
def test_the_classifier_is_as_good_as_it_says(tmp_path, monkeypatch):
    """Needs the real Fashion-MNIST."""
    monkeypatch.setenv("ZOO_DATA", str(data_root(tmp_path)))
    found = accuracy(garments.load_garment_net(), load("fashion-mnist", split="test"))
    assert found == pytest.approx(garments.about()["test_accuracy"], abs=5e-4)


def test_training_the_classifier_writes_what_loads(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(write_fashion_mnist(tmp_path / "data")))
    net = train(load("fashion-mnist"), epochs=1)
    export(net, load("fashion-mnist", split="test"), tmp_path, 0.1)
    about = json.loads((tmp_path / "garments.json").read_text())
    raw = (tmp_path / "garments.safetensors").read_bytes()
    assert about["sha256"] == hashlib.sha256(raw).hexdigest()
    again = garments.GarmentNet()
    again.load_state_dict(load_weights(raw))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    test = load("fashion-mnist", split="test")
    assert about["test_accuracy"] == round(accuracy(again.eval(), test), 4)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("garment", (1, 28, 28), "did you mean 'garments'"),
        ("garments", (3, 32, 32), "28x28 grey|1x28x28"),
        ("timm:resnet1888", (1, 28, 28), "no such model; did you mean .*resnet18"),
        ("timm:zzz", (1, 28, 28), r"no such model; timm.list_models\(\) names them$"),
        ("timm:resnet18", (2,), "take 'pixels'"),
        ("inception", (2,), "take 'pixels'"),
        ("timm:", (1, 28, 28), "no features 'timm:'"),
    ],
)
def test_features_that_are_not_there_or_do_not_fit(name, shape, said):
    with pytest.raises(ZooError, match=said):
        extractors.build(name, shape, CPU)


def test_timm_features_of_grey_images(monkeypatch):
    import timm

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, pretrained, **kw: create(name, pretrained=False, **kw)
    )
    kind = extractors.build("timm:test_convnext", (1, 28, 28), CPU)
    x = torch.rand(3, 1, 28, 28) * 2 - 1
    found = kind.extract(x)
    assert found.shape[0] == 3
    assert found.ndim == 2
    assert torch.allclose(kind.extract(x.expand(-1, 3, -1, -1)), found, atol=1e-5)


def test_weights_that_are_not_to_be_had_are_one_line(monkeypatch):
    def offline(*_args, **_options):
        raise OSError("no\nnetwork")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(ZooError, match=r"timm:resnet18.*cannot be loaded: no network"):
        extractors.build("timm:resnet18", (1, 28, 28), CPU)


INCEPTION = "torch_fidelity.feature_extractor_inceptionv3"


def test_inception_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, INCEPTION, None)
    with pytest.raises(ZooError, match=r"pip install 'fieldzoo\[eval\]'"):
        extractors.build("inception", (1, 28, 28), CPU)


def test_inception_sees_bytes_of_three_channels(monkeypatch):
    class Inception(torch.nn.Module):
        def __init__(self, name, features):
            super().__init__()
            assert features == ["2048"]

        def forward(self, x):
            assert x.dtype == torch.uint8
            return (x.flatten(1).float(),)

    module = SimpleNamespace(FeatureExtractorInceptionV3=Inception)
    monkeypatch.setitem(sys.modules, INCEPTION, module)
    kind = extractors.build("inception", (1, 4, 4), CPU)
    x = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    expected = ((x + 1) * 127.5).round().flatten().double().repeat(3)
    assert torch.equal(kind.extract(x)[0], expected)


def test_data_without_a_test_split_is_compared_with_its_training_split(reference):
    assert (reference.split, len(reference.data)) == ("train", 120)


def test_data_of_another_shape_is_refused(tmp_path):
    kind = extractors.build("pixels", (3, 8, 8), CPU)
    with pytest.raises(ZooError, match="is of shape 1x8x8, the model's samples of 3x8x8"):
        open_reference(write_npz(tmp_path / "p.npz"), (3, 8, 8), kind)


def test_copies_of_training_images_are_found(reference):
    fresh, _ = patterns(40, seed=5)
    x = fresh.float() / 127.5 - 1
    x[:30] = reference.data.batch(torch.arange(30))
    rows = METRICS["nearest"].rows(with_features(x, reference), reference)
    assert bool((rows[:30] == 0).all())
    assert bool((rows[30:] > 0.5).all())
    assert METRICS["nearest"].compute(rows, reference).tolist() == [0, 0]


def test_a_limit_keeps_images_and_labels_together(tmp_path):
    kind = extractors.build("pixels", (1, 8, 8), CPU)
    ref = write_npz(tmp_path / "p.npz")
    limited = open_reference(ref, (1, 8, 8), kind, limit=7)
    assert (len(limited.data), len(limited.data.labels), len(limited.images)) == (7, 7, 7)


@pytest.mark.parametrize("solver", ["euler", "heun", "rk4"])
def test_no_noise_changes_nothing(solver):
    model = images()
    quiet = NoisySolver(zoo.solver(solver), 0.0)
    plain = model.sample(3, seed=1, steps=5, solver=solver)
    assert torch.allclose(model.sample(3, seed=1, steps=5, solver=quiet), plain, atol=1e-5)


def test_noise_enters_once_per_inner_step_with_the_levels_variance():
    """Where the denoiser returns its input nothing moves, so the noise is all that is left."""
    kernel = zoo.kernel("gaussian", dim=4)
    still = Flow(kernel, lambda x, t: x, dtype=torch.float64)
    seen = []
    x = torch.randn(20_000, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    end = NoisySolver(zoo.solver("heun"), 0.5).integrate(
        still, x, 2.0, 0.5, steps=4, callback=lambda i, t, x: seen.append(t)
    )
    assert len(seen) == 4
    assert all(a > b for a, b in pairwise(seen))
    expected = 0.25 * sum(t * t for t in seen[:-1])
    assert float((end - x).var()) == pytest.approx(expected, rel=0.03)


def test_a_samples_noise_is_its_own_in_any_batch():
    model, noisy = images(), NoisySolver(zoo.solver("heun"), 0.5)
    options = {"seed": 1, "steps": 4, "solver": noisy}
    whole = model.sample(40, batch_size=40, **options)
    assert torch.equal(model.sample(40, batch_size=16, **options), whole)
    assert torch.equal(model.sample(10, first=30, **options), whole[30:])


def test_the_level_that_a_lifted_sample_carries_is_not_perturbed():
    """Its ODE asks nothing of x: it goes down as the time does, whatever becomes of x."""
    lifted, levels = lift(images(kernel="gaussian"), "gravity"), []
    flow = lifted.augmented_flow()
    start = flow.start(torch.full((3, 1, 8, 8), 5.0, dtype=torch.float64))
    ends = (lifted.kernel.t_max, lifted.kernel.t_min)
    for solver in (zoo.solver("heun"), NoisySolver(zoo.solver("heun"), 0.5)):
        state = solver.integrate(flow, start, *ends, steps=6)
        levels.append(flow.unpack(state)[1])
    torch.testing.assert_close(*levels, rtol=1e-12, atol=0)


@pytest.mark.parametrize("amount", [-0.1, float("nan"), float("inf")])
def test_impossible_noise(amount):
    with pytest.raises(ZooError, match="noise ="):
        NoisySolver(zoo.solver("heun"), amount)


@pytest.mark.parametrize(
    ("solver", "options", "said"),
    [
        ("heun-churn", {"s_churn": 40}, "which heun-churn cannot do"),
        ("learned", {"grid": [80.0, 1.0, 0.01]}, "which learned cannot do"),
        ("exp-adaptive", {}, "exp-adaptive chooses its own steps"),
    ],
)
def test_solvers_that_cannot_be_disturbed_are_told_before_anything_is_drawn(
    reference, monkeypatch, solver, options, said
):
    model = images("gaussian")
    model.solver = zoo.solver(solver, **options)
    settings = perturbed([Setting(solver, 3, 3)], [0.1], [])
    monkeypatch.setattr(model, "sample", lambda *_, **__: pytest.fail("drawn"))
    with pytest.raises(ZooError, match=said):
        evaluate("m", model, settings, Measurement(("frechet",), 30, (0,)), reference)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_weights_of_few_bits_have_few_levels_and_lie_near(bits):
    model = images()
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    coarse = quantised(model, bits)
    for (name, old), new in zip(
        model.network.named_parameters(), coarse.network.parameters(), strict=True
    ):
        old, new = old.detach(), new.detach()
        assert torch.equal(old, before[name])
        if old.ndim < 2:
            assert torch.equal(old, new)
            continue
        step = float(old.abs().max()) / (2 ** (bits - 1) - 1)
        assert len(new.unique()) <= 2**bits - 1
        assert float((new - old).abs().max()) <= step / 2 * (1 + 1e-4)


def test_a_lifted_model_of_few_bits_carries_its_levels_as_before():
    lifted = lift(images(kernel="gaussian"), "gravity")
    plain, fine = (m.sample(3, steps=4, seed=0) for m in (lifted, quantised(lifted, 16)))
    torch.testing.assert_close(fine, plain, rtol=0, atol=0.02)


def test_one_bit_is_refused():
    with pytest.raises(ZooError, match="bits = 1"):
        quantised(images(), 1)


@pytest.mark.parametrize(
    ("solver", "budget", "steps", "nfe"),
    [("heun", 35, 18, 35), ("heun", 36, 18, 35), ("euler", 9, 9, 9), ("rk4", 9, 3, 9)],
)
def test_steps_for_a_number_of_evaluations(solver, budget, steps, nfe):
    model, built = images(), zoo.solver(solver)
    assert steps_for(built, budget) == steps
    assert evaluations(model, built, steps) == nfe


def test_a_solver_that_chooses_its_own_steps_cannot_keep_to_a_budget():
    with pytest.raises(ZooError, match="dopri5 cannot keep to 5 evaluations"):
        steps_for(zoo.solver("dopri5"), 5)


def test_a_sweep_and_its_perturbations():
    found = sweep(images(), ["euler", "heun"], [3, 5])
    assert [(s.solver, s.steps, s.nfe) for s in found] == [
        ("euler", 3, 3),
        ("euler", 5, 5),
        ("heun", 2, 3),
        ("heun", 3, 5),
    ]
    assert [s.noise for s in perturbed(found[:1], [0.1, 0.2], [])] == [0.1, 0.2]
    assert [(s.solver, s.bits) for s in perturbed(found[:2], [], [8])] == [("euler", 8)] * 2


def test_metrics_by_name():
    assert parse_metrics("frechet, kid,frechet") == ("frechet", "kid")
    with pytest.raises(ZooError, match="did you mean 'frechet'"):
        parse_metrics("frechett")


def run(reference, seeds, metrics=("frechet", "kid", "prdc", "nearest"), n=40):
    model = images()
    measurement = Measurement(metrics, n, seeds)
    return evaluate("tiny", model, [model_setting(model, "euler", 3)], measurement, reference)


def test_a_report_of_one_seed_and_of_two(reference, tmp_path):
    one, two = run(reference, (0,)), run(reference, (0, 1))
    assert (one.outcomes[0].setting.nfe, one.samples, one.seeds) == (3, 40, (0,))
    assert one.intervals == report.JACKKNIFE
    assert two.intervals == report.OVER_SEEDS
    assert set(one.outcomes[0].metrics) == {
        *("frechet", "kid", "precision", "recall", "density", "coverage"),
        *("nearest_pixels", "nearest_features"),
    }
    for name, estimate in one.outcomes[0].metrics.items():
        assert estimate.low <= estimate.value <= estimate.high
        other = two.outcomes[0].metrics[name]
        assert other.values[0] == pytest.approx(estimate.value, rel=1e-9)
        assert other.value == pytest.approx(sum(other.values) / 2)
    report.write(one, tmp_path / "one.json")
    assert report.read(tmp_path / "one.json") == one
    assert {"fieldzoo", "torch", "python"} <= set(one.versions)


def test_a_disk_that_refuses_leaves_the_old_report_alone(reference, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    one, path = run(reference, (0,)), tmp_path / "results" / "one.json"
    report.write(one, path)
    before = path.read_bytes()

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ZooError, match=r"cannot write .*: No space left"):
        report.write(one, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["one.json"]


def test_what_is_no_report_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ZooError, match="not a results file"):
        report.read(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("metrics", "n", "said"),
    [
        (("frechet",), 19, "19 samples are too few; these metrics take 20"),
        (("classes",), 20, "needs a model with labels"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_drawn(reference, metrics, n, said):
    with pytest.raises(ZooError, match=said):
        run(reference, (0,), metrics, n)


def test_garments_are_the_only_classes_that_the_shipped_classifier_knows(reference):
    garment = replace(reference, extractor=extractors.build("garments", (1, 28, 28), CPU))
    fashion = replace(garment, data=replace(reference.data, name="fashion-mnist"))
    ten, four = (images(shape=(1, 28, 28), labels=n) for n in (10, 4))
    digits = images(shape=(1, 28, 28), labels=10)
    known = msgspec.structs.replace(digits.data, name="mnist")
    digits.config = msgspec.structs.replace(digits.describe(), data=known)
    asked = Measurement(("classes",), 20, (0,))
    check_measurement(asked, ten, fashion)
    for model, data in ((ten, garment), (four, fashion), (digits, fashion)):
        with pytest.raises(ZooError, match="classifier of the 10 classes of fashion-mnist; the"):
            check_measurement(asked, model, data)


@pytest.mark.parametrize(("metric", "least"), [("frechet", 2), ("kid", 2), ("prdc", 6)])
def test_data_of_too_few_images_is_told_and_too_few_training_images_do_no_harm(
    tmp_path, metric, least
):
    kind, pixels = extractors.build("pixels", (1, 8, 8), CPU), patterns(20, seed=1)[0].numpy()

    def data(train, test):
        np.savez(tmp_path / "x.npz", x=pixels[:train], x_test=pixels[:test])
        return open_reference(f"npz:{tmp_path / 'x.npz'}", (1, 8, 8), kind)

    told = f"metric {metric!r} takes at least {least} images; the test split .* has {least - 1}$"
    with pytest.raises(ZooError, match=told):
        run(data(20, least - 1), (0,), (metric,), 20)
    assert run(data(20, least), (0,), (metric,), 20).training_images
    assert not run(data(least - 1, 20), (0,), (metric,), 20).training_images


def test_bits_of_one_image_have_no_interval(reference):
    one = replace(reference, data=replace(reference.data, images=reference.data.images[:1]))
    with pytest.raises(ZooError, match="metric 'bits' takes at least 2 images"):
        check_measurement(Measurement(("bits",), 20, (0,)), images(), one)


def test_bits_are_of_images(reference):
    with pytest.raises(ZooError, match="metric 'bits' is of images"):
        check_measurement(Measurement(("bits",), 20, (0,)), points(), reference)


def test_bits_of_a_student_are_refused_before_anything_is_drawn(reference):
    model = images()
    config = msgspec.structs.replace(model.describe(), distilled=Distilled("mine", 2))
    model.config = config
    with pytest.raises(ZooError, match=r"cannot be measured by 'bits': .* use its teacher mine"):
        check_measurement(Measurement(("frechet", "bits"), 20, (0,)), model, reference)


def test_bits_per_dimension_are_those_of_the_likelihood(reference, monkeypatch):
    seen = []

    def log_likelihood(model, x, *, seed, labels, condition):
        assert labels is condition is None
        seen.append(x)
        return SimpleNamespace(bits_per_dim=torch.linspace(1, 3, len(x)).double())

    monkeypatch.setattr("zoo.models.model.FieldModel.log_likelihood", log_likelihood)
    found = bits_per_dim(images(), reference)
    assert torch.equal(seen[0], reference.data.images[some_rows(16, 120)])
    assert found.value == pytest.approx(2)
    assert found.low < 2 < found.high


def test_bits_of_a_model_with_classes_are_given_those_of_the_images(reference, monkeypatch):
    model, seen = images(labels=4), []
    found = SimpleNamespace(bits_per_dim=torch.linspace(1, 3, 16))
    monkeypatch.setattr(
        model, "log_likelihood", lambda x, **k: (seen.append(k["labels"]), found)[1]
    )
    bits_per_dim(model, reference)
    assert torch.equal(seen[0], reference.data.labels[some_rows(16, 120)])


def test_class_hits_are_samples_of_their_own_class():
    labels, wrong = torch.arange(100) % 4, torch.arange(100) % 5 == 0
    painted = torch.where(wrong, (labels + 1) % 4, labels)
    x = (painted.float() / 127.5 - 1)[:, None, None, None].expand(100, 1, 2, 2)
    kind = extractors.FeatureExtractor(
        "x", "x", lambda x: x, lambda x: ((x[:, 0, 0, 0] + 1) * 127.5).round().long()
    )
    assert torch.equal(class_hits(x, labels, kind, (-1.0, 1.0)), (~wrong).double())
    with pytest.raises(ZooError, match="'pixels' are none"):
        class_hits(x, labels, extractors.build("pixels", (1, 2, 2), CPU), None)


def test_class_accuracy_is_of_samples_drawn_by_class(reference):
    model = images(labels=4)

    def classify(x):
        return (x.mean(dim=(1, 2, 3)) > 0).long()

    kind = extractors.FeatureExtractor("x", "x", lambda x: x, classify)
    setting, labels = model_setting(model, "euler", 2), balanced_classes(4, 30)
    found = class_accuracy(
        model, setting, Measurement(("classes",), 30, (5,)), replace(reference, extractor=kind)
    )
    drawn = model.sample(30, labels=labels, guidance=2.0, steps=2, solver="euler", seed=5)
    expected = (classify(drawn) == labels).double().mean()
    assert found["class_accuracy_guidance_2"].value == pytest.approx(float(expected))
    assert set(found) == {"class_accuracy_guidance_1", "class_accuracy_guidance_2"}


def test_class_accuracy_has_its_setting_and_samples_of_guidance_one_are_drawn_once(
    reference, monkeypatch
):
    model, asked = images(labels=4), []
    kind = extractors.FeatureExtractor(
        "x", "x", lambda x: x.flatten(1).double(), lambda x: (x.sum((1, 2, 3)) > 0).long()
    )
    reference = replace(reference, extractor=kind)
    settings = [model_setting(model, "euler", steps) for steps in (2, 3)]
    alone = Measurement(("classes",), 30, (5,))
    expected = [class_accuracy(model, setting, alone, reference) for setting in settings]
    sample = model.sample
    monkeypatch.setattr(
        model, "sample", lambda *a, **k: (asked.append(k["guidance"]), sample(*a, **k))[1]
    )
    measurement = Measurement(("frechet", "classes"), 30, (5,))
    found = evaluate("m", model, settings, measurement, reference)
    # the first of each, as config.json has it: none here
    assert asked == [None, Guidance(2.0)] * 2
    assert [{**o.metrics, "frechet": 0} for o in found.outcomes] == [
        {"frechet": 0, **figures} for figures in expected
    ]
    found = evaluate("m", model, settings[:1], alone, reference)
    assert [(o.setting, o.metrics) for o in found.outcomes] == [(settings[0], expected[0])]
    (entry,) = card.record(found)
    assert (entry["solver"], entry["steps"], entry["nfe"]) == ("euler", 2, 2)


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 10, 20, 100])
def test_no_class_falls_together_with_a_group_of_the_jackknife(classes):
    n = 20 * GROUPS * classes
    labels = balanced_classes(classes, n)
    groups = torch.arange(n) % GROUPS
    for group in range(GROUPS):
        counts = labels[groups == group].bincount(minlength=classes)
        assert int(counts.min()) > 0.5 * int(counts.max()), group
    for some in (1, classes - 1, classes + 1, n):
        counts = balanced_classes(classes, some).bincount(minlength=classes)
        assert int(counts.max() - counts.min()) <= 1
    assert balanced_classes(0, 5) is None


def test_distances_of_a_model_with_classes_are_of_all_of_them(reference):
    model = images(labels=4)
    setting, measurement = model_setting(model, "euler", 2), Measurement(("frechet",), 30, (5,))
    _, (found,) = evaluate_setting(model, setting, measurement, reference)
    labels = balanced_classes(4, 30)
    drawn = model.sample(30, labels=labels, steps=2, solver="euler", seed=5)
    assert torch.equal(found.features, with_features(drawn, reference).features)
    said = []
    found = evaluate("m", model, [setting], measurement, reference, said.append)
    assert found.classes == 4
    assert said == ["1 x 30 samples of 4 classes by euler, 2 steps, 2 evaluations"]
    (entry,) = card.record(found)
    text = "\n".join(table(TrainingRecord.decode({"evaluation": [entry]})))
    assert "30 samples a seed (seed 5) of 4 classes (as many of each) by euler" in text


def test_features_of_many_images_are_those_of_each(monkeypatch):
    calls = count()
    monkeypatch.setattr(extractors, "_COORDINATES", 30)

    def compute(x):
        next(calls)
        return x.flatten(1)

    x = torch.rand(10, 1, 3, 3)
    found = extractors.FeatureExtractor("x", "x", compute).extract(x)
    assert torch.equal(found, x.flatten(1).double())
    assert next(calls) == 4
