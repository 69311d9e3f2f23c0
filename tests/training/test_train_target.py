"""Targets averaged over a reference batch, whose limit is the exact field; and augmentation."""

import pytest
import torch
from test_train import begin, recipe, same, weights

import zoo
from zoo.data import load
from zoo.errors import ZooError
from zoo.training.batch import single_target, stable_target
from zoo.training.plan import make_plan

TOLD = {"use": "ddpmpp", "width": 8, "multipliers": [1, 1], "blocks": 1, "attention": []}
TOLD |= {"augment": 9, "dropout": 0.0}


def batch_of(tmp_path, **options):
    trainer = begin(tmp_path, **options)
    return trainer, trainer.batches.batch(0, slice(0, 8))


@pytest.mark.parametrize("kernel", ["gravity", "gaussian", "tanh", "flow", "psi"])
def test_with_the_whole_data_set_as_reference_the_target_is_the_exact_field(tmp_path, kernel):
    data = load("digits")
    options = {"psi": "tanh(r / t + r**2 / t)"} if kernel == "psi" else {}  # not affine in x_0
    part = {"use": kernel, **options}
    trainer, batch = batch_of(tmp_path, kernel=part, reference_batch=len(data))
    assert trainer.kernel.affine == (kernel != "psi")
    everything = data.batch(torch.arange(len(data))).double()
    exact = zoo.exact(trainer.kernel, everything)
    x_t, t = batch.x_t.double(), batch.t.double()
    expected = exact.denoise(x_t, t) if trainer.kernel.affine else exact.field(x_t, t)
    assert (batch.target - expected).abs().max() < 1e-5 * (1 + expected.abs().max())


def test_a_reference_of_one_image_is_the_plain_target():
    kernel = zoo.kernel("gravity", dim=4)
    x_0 = torch.randn(1, 4)
    x_t, t = x_0 + torch.randn(1, 4), torch.tensor([1.0])
    for predicts in ("denoised", "field"):
        plain = single_target(kernel, predicts, x_t, t, x_0)
        assert torch.allclose(stable_target(kernel, predicts, x_t, t, x_0), plain, atol=1e-5)


def test_its_mean_is_that_of_the_plain_target_and_its_variance_is_less(tmp_path):
    """Many draws at one noise level that hides which image it was."""
    data = load("digits")
    kernel = zoo.kernel("gaussian", dim=64)
    torch.manual_seed(0)
    x = data.batch(torch.arange(300))
    x_0 = x[torch.randint(300, (4000,))]
    t = torch.full((4000,), 2.0)
    x_t = kernel.sample(x_0, t)
    stable = stable_target(kernel, "denoised", x_t, t, x)
    assert (stable.mean(dim=0) - x_0.mean(dim=0)).abs().max() < 0.05
    exact = zoo.exact(kernel, x.double()).denoise(x_t.double(), t.double())
    plain_error = (x_0 - exact).square().mean()
    assert (stable - exact).square().mean() < 1e-8 * plain_error
    some = stable_target(kernel, "denoised", x_t[:1], t[:1], torch.cat([x_0[:1], x[:99]]))
    assert (some - exact[:1]).square().mean() < (x_0[:1] - exact[:1]).square().mean()


def test_training_with_a_reference_batch_learns_and_resumes(tmp_path):
    options = {"reference_batch": 100}
    whole = begin(tmp_path / "whole", **options)
    whole.run()
    cut = begin(tmp_path / "cut", **options)
    for _ in range(6):
        cut.advance()
    cut.save()
    resumed = begin(tmp_path / "cut", resume=True, **options)
    resumed.run()
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference_batch": 7}, r"reference_batch = 7; expected at least train.batch = 8"),
        ({"reference_batch": 1499}, r"at most the 1498 samples of digits"),
        ({"reference_batch": 9, "network": {"labels": 10}}, "which network.labels forbids"),
        (
            {"reference_batch": 9, "network": TOLD, "data": {"augment": 0.1}},
            "which data.augment forbids",
        ),
        ({"data": {"augment": 0.1}}, r"such as ddpmpp with augment = 9; network.augment is 0"),
        (
            {"data": {"use": "toy:two-moons", "augment": 0.5}},
            r"data.augment = 0.5 takes images",
        ),
    ],
)
def test_what_does_not_go_together_is_told(options, message):
    with pytest.raises(ZooError, match=message):
        make_plan(recipe(**options))


def test_training_with_told_augmentation_resumes_on_the_same_bits(tmp_path):
    options = {"network": TOLD | {"dropout": 0.1}, "data": {"augment": 0.5}, "images": 64}
    whole = begin(tmp_path / "whole", **options)
    before = whole.network.backbone.map_augment.weight.clone()
    whole.run()
    cut = begin(tmp_path / "cut", **options)
    for _ in range(6):
        cut.advance()
        if cut.step == 4:
            cut.save()
    resumed = begin(tmp_path / "cut", resume=True, **options)
    assert resumed.step == 4
    resumed.run()
    assert same(weights(whole), weights(resumed))
    assert not torch.equal(before, whole.network.backbone.map_augment.weight)
