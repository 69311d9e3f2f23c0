"""The model of p(x | y): samples by (seed, i), several y, lifts, guidance, units, refusals."""

import pickle

import numpy as np
import pandas as pd
import pytest
import tiny_models
import torch

import zoo
from zoo import ZooError
from zoo.config.model import Config, Data
from zoo.config.part import Part, SolverPart
from zoo.config.standardise import Standardise
from zoo.models.exact import GaussianMixture
from zoo.models.model import PosteriorModel
from zoo.posterior import Downscale, Linear, Mask
from zoo.testing.posteriors import points

KEEP = torch.arange(8) > 3
HALF = Mask(KEEP)


def some_images(n, seed=0, shape=(1, 8, 8)):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("kernel", ["gravity", "flow"])
@pytest.mark.parametrize("method", ["mmps", "pgdm", "dps", "diffpir", "replacement"])
def test_a_network_answers_under_every_method(kernel, method):
    model = tiny_models.images(kernel)
    y = some_images(3)
    posterior = model.posterior(y, HALF, noise=0.1, method=method)
    assert isinstance(posterior, PosteriorModel)
    assert isinstance(posterior, zoo.FieldModel)
    x = posterior.sample(3, seed=0, steps=4)
    assert x.shape == (3, 1, 8, 8)
    assert not x.is_inference()
    assert not x.requires_grad
    seen = (x - y)[..., KEEP].square().mean().sqrt()
    plain = (model.sample(3, seed=0, steps=4) - y)[..., KEEP].square().mean().sqrt()
    assert seen < 0.8 * plain  # its weights are random, and so is the covariance that they tell
    shared = model.posterior(y[0], HALF, noise=0.1, method=method).sample(4, seed=0, steps=4)
    assert torch.equal(shared[0], x[0])
    assert (shared.std(dim=0)[..., ~KEEP] > 0).all()  # answers, not one mean


@pytest.mark.parametrize("solver", ["exp-abm3", "torchdiffeq-dopri5"])
def test_samples_depend_on_seed_and_number_alone(solver):
    loose = {"rtol": 1.0, "atol": 1.0} if "dopri5" in solver else {}
    model = tiny_models.points("gravity", dim=16)
    y = some_images(5, shape=(16,))
    posterior = model.posterior(y, Mask(torch.arange(16) > 5), noise=0.3)
    options = {"seed": 1, "steps": 4, "solver": zoo.solver(solver, **loose)}
    whole = posterior.sample(5, **options)
    assert torch.equal(posterior.sample(5, batch_size=1, **options), whole)
    assert torch.equal(posterior.sample(2, first=3, **options), whole[3:])
    states = posterior.trajectory(5, **options)
    assert torch.equal(states.samples, whole)
    assert torch.equal(states.x[-1].float(), whole)


def test_samples_are_the_same_inside_inference_mode_and_out_of_training():
    posterior = tiny_models.images("gaussian").posterior(some_images(1), HALF, noise=0.1)
    x = posterior.sample(2, seed=0, steps=4)
    with torch.inference_mode():
        inside = posterior.sample(2, seed=0, steps=4)
    assert torch.equal(inside, x)
    assert not inside.is_inference()
    posterior.train()
    assert torch.equal(posterior.sample(2, seed=0, steps=4), x)
    assert torch.equal(pickle.loads(pickle.dumps(posterior)).sample(2, seed=0, steps=4), x)


def test_exact_models_made_in_inference_mode_are_asked_as_others():
    with torch.inference_mode():
        mixture = GaussianMixture.full(torch.zeros(1, 2), torch.eye(2)[None])
        models = zoo.exact("gaussian", points()), zoo.exact("gaussian", mixture)
    for model in models:
        posterior = model.posterior([[0.4]], Linear([[0.8, 0.6]]), noise=0.3)
        assert posterior.denoise(torch.zeros(2, 2), 1.0).isfinite().all()


def test_the_model_that_was_asked_stays_as_it_was():
    model = tiny_models.images("gravity")
    before = model.sample(2, seed=0, steps=4)
    posterior = model.posterior(some_images(1), HALF, noise=0.1)
    assert not torch.equal(posterior.sample(2, seed=0, steps=4), before)
    assert torch.equal(model.sample(2, seed=0, steps=4), before)
    assert [name for name, _ in posterior.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]
    assert repr(posterior).startswith("PosteriorModel")


def test_there_is_a_row_of_y_for_every_sample_or_one_for_all():
    posterior = tiny_models.images().posterior(some_images(3), HALF, noise=0.1)
    for options in ({"n": 4}, {"n": 1, "first": 3}, {"n": 4, "solver": "torchdiffeq-dopri5"}):
        with pytest.raises(ZooError, match="sample 3 has none: ask for at most 3, or repeat"):
            posterior.sample(seed=0, steps=2, **options)
    for n in (1, 2, 4):
        with pytest.raises(ZooError, match=f"y has 3 rows, .* and there are {n}"):
            posterior.denoise(some_images(n), 1.0)
    assert posterior.denoise(some_images(3), 1.0).shape == (3, 1, 8, 8)
    with pytest.raises(ZooError, match="sample 3 has none"):
        posterior.flow(labels=torch.tensor([-1] * 4))
    shared = tiny_models.images().posterior(some_images(1), HALF, noise=0.1)
    assert shared.flow(labels=torch.tensor([-1] * 4)) is not None
    x = some_images(2, seed=1)
    assert torch.equal(shared.flow().denoise(x, 1.0).float(), shared.denoise(x, 1.0))


def test_field_denoise_encode_and_decode_are_conditioned():
    posterior = zoo.exact("gaussian", points()).posterior([[0.4]], Linear([[0.8, 0.6]]), noise=0.3)
    x = points()[:4] + 0.5
    d = posterior.denoise(x, 0.5)
    torch.testing.assert_close(posterior.field(x, 0.5), (x - d) / 0.5)
    x = posterior.sample(4, seed=0, steps=24).double()
    assert posterior.encode(x, solver="heun", steps=24).norm(dim=1).min() > 10


@pytest.mark.parametrize("kernel", ["gravity", "flow"])
@pytest.mark.parametrize("method", ["mmps", "diffpir"])
def test_lifted_models_restore(kernel, method):
    model = zoo.lift(tiny_models.images("gaussian"), kernel)
    y = some_images(3)
    posterior = model.posterior(y, HALF, noise=0.1, method=method)
    x = posterior.sample(3, seed=0, steps=6)
    plain = model.sample(3, seed=0, steps=6)
    errors = [(s - y)[..., KEEP].square().mean() for s in (x, plain)]
    assert errors[0] < errors[1] / 2
    assert torch.equal(posterior.sample(1, first=2, seed=0, steps=6), x[2:])


def test_a_lifted_exact_model_has_the_exact_posterior():
    model = zoo.lift(zoo.exact("gaussian", points()), "gravity")
    y = torch.tensor([[0.9]])
    x = model.posterior(y, Linear([[0.8, 0.6]]), noise=0.3, method="exact").sample(64, seed=0)
    error = (x @ torch.tensor([0.8, 0.6]) - 0.9).square().mean().sqrt()
    assert error < 0.45


def test_classes_and_guidance_go_on_as_before():
    model = tiny_models.images("gaussian", labels=3)
    y = some_images(2)
    posterior = model.posterior(y, HALF, noise=0.1)
    plain, first, led = (
        posterior.sample(2, seed=0, steps=4, **options)
        for options in ({}, {"labels": 1}, {"labels": 1, "guidance": 3.0})
    )
    for a, b in ((plain, first), (first, led)):
        assert not torch.equal(a, b)
    free = (model.sample(2, seed=0, steps=4) - y)[..., KEEP].square().mean()
    for x in (plain, first, led):
        assert (x - y)[..., KEEP].square().mean() < free / 2
    mixed = posterior.sample(2, seed=0, steps=4, labels=torch.tensor([-1, 1]))
    assert torch.equal(mixed[1], first[1])


def test_y_and_operator_are_in_the_units_of_the_data():
    scale = 50.0
    parts = tiny_models.points("gravity", dim=2)
    known = Standardise(mean=(1e4, -3.0), scale=(scale, 0.5))
    config = Config(
        format=1,
        data=Data((2,), range=None, standardise=known),
        kernel=Part("gravity"),
        prior=Part("gravity"),
        network=Part("mlp"),
        solver=SolverPart("heun"),
    )
    model = zoo.FieldModel(
        parts.kernel, parts.prior, parts.network, parts.solver, (2,), config=config
    )
    y = torch.tensor([[1e4 + scale, 1.0]], dtype=torch.float64)
    noise = [0.1 * scale, 0.05]
    x = model.posterior(y, lambda x: x, noise=noise).sample(16, seed=0, steps=6)
    z = parts.posterior([[1.0, 8.0]], lambda x: x, noise=0.1).sample(16, seed=0, steps=6)
    torch.testing.assert_close(x.double(), known.undo(z.double()), rtol=1e-3, atol=1e-2)
    linear = model.posterior(y, Linear(torch.eye(2)), noise=noise).sample(16, seed=0, steps=6)
    torch.testing.assert_close(linear, x, rtol=1e-3, atol=1e-2)


def test_few_pixels_and_colour():
    model = tiny_models.images("gravity", shape=(3, 8, 8))
    y = Downscale(4)(some_images(1, shape=(3, 8, 8)))
    x = model.posterior(y, Downscale(4), noise=0.02).sample(4, seed=0, steps=5)
    assert (Downscale(4)(x) - y).abs().max() < 0.3
    assert x.std(dim=0).max() > 0


def test_rows_of_a_frame_are_found_by_the_names_of_their_columns():
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({"far": chance.normal(1e3, 10, 60), "flag": chance.integers(0, 2, 60) > 0})
    model = zoo.fit(frame, images=300, progress=False, network={"use": "mlp", "width": 16})
    rows = frame.iloc[:2]
    noise = pd.Series({"flag": 0.1, "far": 5.0})
    keep = Mask([True, True])
    there = model.posterior(rows, keep, noise=[5.0, 0.1]).sample(2, seed=0, steps=4)
    turned = model.posterior(rows[["flag", "far"]], keep, noise=noise).sample(2, seed=0, steps=4)
    assert torch.equal(there, turned)
    gaps = frame.iloc[:1].astype(float)
    gaps["far"] = np.nan
    filled = model.posterior(
        gaps[["flag", "far"]], Mask([False, True]), noise=0, method="replacement"
    )
    drawn = filled.sample_frame(4, seed=0, steps=8)
    assert (drawn["flag"] == frame["flag"][0]).all()
    with pytest.raises(ZooError, match="y has no column 'flag'"):
        model.posterior(rows[["far"]], keep, noise=1.0)
    for named in (rows.notna(), rows.notna().iloc[0]):
        with pytest.raises(ZooError, match="with names, which a mask does not know"):
            Mask(named)


def test_what_a_posterior_cannot_do_is_told_in_one_line(tmp_path):
    model = tiny_models.images("gaussian")
    posterior = model.posterior(some_images(1), HALF, noise=0.1)
    for call, message in (
        (lambda: posterior.save_pretrained(tmp_path / "x"), "is not saved"),
        (lambda: posterior.log_prob(some_images(1)), "has no likelihood"),
        (lambda: posterior.log_likelihood(some_images(1)), "has no likelihood"),
        (lambda: posterior.push_to_hub("a/b"), "is not published"),
        (lambda: posterior.posterior(some_images(1), HALF, noise=0.1), "one operator"),
        (lambda: zoo.lift(posterior, "gravity"), "lift the model"),
        (lambda: model.posterior(some_images(1), Downscale(3), noise=0.1), "does not divide"),
        (lambda: model.posterior(some_images(1)[0, 0], HALF, noise=0.1), "y has shape"),
    ):
        with pytest.raises(ZooError, match=message) as refusal:
            call()
        assert "\n" not in str(refusal.value)


def test_the_compiled_or_halved_network_is_conditioned_too():
    model = tiny_models.images("gaussian").to(torch.bfloat16)
    x = model.posterior(some_images(1), HALF, noise=0.1).sample(2, seed=0, steps=4)
    assert bool(x.isfinite().all())


def test_what_is_passed_back_through_runs_no_compiled_code():
    runs = []

    def backend(graph, _):
        return lambda *args: runs.append(1) or graph(*args)

    model = tiny_models.images("gaussian")
    y, x = some_images(1), some_images(2, seed=1)
    posteriors = [model.posterior(y, HALF, noise=0.1, method=m) for m in ("mmps", "diffpir")]
    expected = [posterior.denoise(x, 1.0) for posterior in posteriors]
    model.network.compile(backend=backend)
    found = [posteriors[0].denoise(x, 1.0)]
    assert not runs
    found.append(posteriors[1].denoise(x, 1.0))
    assert runs
    torch.testing.assert_close(found, expected)
