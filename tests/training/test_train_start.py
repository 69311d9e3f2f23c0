"""Before the first step: what the network sees of the data, where it starts; the optimisers."""

import pytest
import torch

import zoo
from zoo.config.recipe import from_dict
from zoo.data import Images
from zoo.errors import ZooError
from zoo.training.export import export
from zoo.training.plan import make_plan
from zoo.training.start import copy_weights, start
from zoo.training.trainer import Trainer

UNET = {"use": "unet", "width": 8, "multipliers": [1, 1], "blocks": 1}


def recipe(network=None, **train):
    """A recipe of ten steps on digits."""
    budget = {"images": 80, "batch": 8, "warmup": 8, "checkpoint_every": 4}
    raw = {
        "name": "tiny",
        "data": {"use": "digits"},
        "kernel": {"use": "gravity"},
        "network": {**UNET, **(network or {})},
        "solver": {"use": "heun", "steps": 3},
        "train": {**budget, **train},
    }
    return from_dict(raw, "recipe")


def run(folder, network=None, steps=None, resume=False, **train) -> Trainer:
    trainer = start(make_plan(recipe(network, **train)), folder, resume=resume)
    if steps is None:
        trainer.run()
    else:
        for _ in range(steps):
            trainer.advance()
    return trainer


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A trained model folder."""
    return export(run(tmp_path_factory.mktemp("source"), {"components": 20, "basis": 8}))


def parameters(network):
    return {k: v.detach().clone() for k, v in network.named_parameters()}


def test_a_run_starts_from_the_weights_it_names(source, tmp_path):
    mixture = {"components": 20, "basis": 8}
    trainer = run(tmp_path, mixture, steps=0, start=str(source), seed=3)
    expected = parameters(zoo.load(source).network)
    found = parameters(trainer.network)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], expected[k].float()) for k in found)
    averaged = parameters(trainer.ema.module)
    assert all(torch.equal(averaged[k], found[k]) for k in found)


def test_a_conditional_model_starts_from_an_unconditional_one(source, tmp_path):
    mixture = {"components": 20, "basis": 8, "labels": 10}
    trainer = run(tmp_path, mixture, steps=0, start=str(source))
    expected = parameters(zoo.load(source).network)
    found = parameters(trainer.network)
    assert found.keys() - expected.keys() == {"backbone.conditioning.classes.weight"}
    assert all(torch.equal(found[k], v.float()) for k, v in expected.items())
    # the mixtures are of the data at hand, one for each class
    assert trainer.network.mixture.centres.shape == (10, 20, 8)
    assert not torch.equal(*trainer.network.mixture.centres[:2])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"width": 16}, r"has shape \(32, 48\), the network.s \(64, 48\); the networks need"),
        ({"multipliers": [1]}, "is not one of the network's; did you mean"),
    ],
)
def test_weights_that_do_not_fit_are_told(source, tmp_path, network, message):
    with pytest.raises(ZooError, match=message):
        run(tmp_path, {"patch": 1, "components": 20, "basis": 8, **network}, start=str(source))


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ZooError, match="no model 'gravity-digit'; did you mean"):
        run(tmp_path, start="gravity-digit")


def test_copied_weights_are_copies():
    kernel = zoo.kernel("gravity", dim=4)
    one, other = (zoo.network("mlp", shape=(4,), kernel=kernel, width=8) for _ in range(2))
    copy_weights(one, other, "one")
    value = next(one.parameters())
    assert torch.equal(value, next(other.parameters()))
    with torch.no_grad():
        value += 1
    assert not torch.equal(value, next(other.parameters()))


def test_a_network_that_fits_itself_sees_the_data_before_the_first_step(tmp_path, monkeypatch):
    seen = []

    def fit(self, x, labels=None):
        seen.append((x, labels))

    monkeypatch.setattr("zoo.networks.precondition.Preconditioned.fit", fit)
    run(tmp_path, steps=4).save()
    ((x, labels),) = seen
    assert tuple(x.shape[1:]) == (1, 8, 8)
    assert len(x) == len(labels) > 1000
    assert x.min() >= -1
    run(tmp_path, steps=0, resume=True)
    assert len(seen) == 1, "a resumed run has it in its checkpoint"


def test_no_data_are_read_for_a_network_that_fits_nothing(tmp_path, monkeypatch):
    read = []
    whole = Images.batch
    monkeypatch.setattr(Images, "batch", lambda *given: read.append(given) or whole(*given))
    plain = {**recipe().to_dict(), "kernel": {"use": "gaussian"}}
    start(make_plan(from_dict(plain, "recipe")), tmp_path / "plain", resume=False)
    assert not read
    run(tmp_path / "fitted", {"components": 4, "basis": 2}, steps=0)
    assert len(read) == 1
    run(tmp_path / "levels", steps=0)  # gravity's are random: a table of them is fitted
    assert len(read) == 2


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_goes_on_to_the_bit(tmp_path, optimizer):
    mixture = {"components": 20, "basis": 8}
    whole = run(tmp_path / "whole", mixture, optimizer=optimizer)
    run(tmp_path / "cut", mixture, steps=4, optimizer=optimizer).save()
    again = run(tmp_path / "cut", mixture, resume=True, optimizer=optimizer)
    states = (whole.network.state_dict(), again.network.state_dict())
    assert all(map(torch.equal, states[0].values(), states[1].values()))
    averaged = (whole.ema.module.state_dict(), again.ema.module.state_dict())
    assert all(map(torch.equal, averaged[0].values(), averaged[1].values()))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_loss_falls(tmp_path, optimizer):
    trainer = start(
        make_plan(recipe(optimizer=optimizer, images=1600, batch=16, lr=5e-3)), tmp_path
    )
    losses = [trainer.advance() for _ in range(trainer.steps)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_muon_makes_steps_of_adamws_size(tmp_path):
    moved = {}
    for optimizer in ("adamw", "muon"):
        trainer = start(
            make_plan(recipe(optimizer=optimizer, warmup=0, lr=1e-3)), tmp_path / optimizer
        )
        name = "backbone.out.weight"  # the one that moves first
        before = parameters(trainer.network)[name]
        for _ in range(2):
            trainer.advance()
        change = parameters(trainer.network)[name] - before
        moved[optimizer] = float(change.square().mean().sqrt())
    assert 0.05 < moved["muon"] / moved["adamw"] < 1.0
