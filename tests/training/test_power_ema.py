"""Power-function averages, and those of other lengths made of their snapshots."""

import shutil

import numpy as np
import pytest
import torch
from test_train import begin, recipe

import zoo
from zoo.errors import ZooError
from zoo.numerics.power_average import LONGEST, Profile, combine, exponent, keep
from zoo.training import checkpoint
from zoo.training.export import export
from zoo.training.plan import make_plan
from zoo.training.power_ema import (
    SNAPSHOTS,
    PowerAverages,
    path_of,
    snapshot_steps,
    snapshots,
)
from zoo.training.trainer import CHECKPOINT, Trainer

LENGTHS = (0.05, 0.10)
OTHERS = (0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
# A rate at which weights move much more than by 1 % while the averages are taken.
BUDGET = {"images": 1280, "lr": 0.03, "checkpoint_every": 60, "ema_lengths": [*LENGTHS]}


@pytest.mark.parametrize("length", [0.001, 0.01, 0.05, 0.1, 0.25, LONGEST])
def test_the_length_is_the_standard_deviation_of_the_weight(length):
    gamma = exponent(length)
    mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
    assert np.sqrt(square - mean**2) == pytest.approx(length, rel=1e-6)


def test_the_average_is_that_of_the_power_over_steps():
    network = torch.nn.Linear(3, 2)
    values, averages = [], PowerAverages(network, LENGTHS)
    for step in range(1, 41):
        with torch.no_grad():
            network.weight.copy_(torch.randn(2, 3))
        values.append(network.weight.detach().double().clone())
        averages.update(network, step)
    for length, mean in zip(LENGTHS, averages.means, strict=True):
        ends = torch.arange(41, dtype=torch.float64) ** (exponent(length) + 1)
        shares = ends.diff() / ends[-1]
        expected = torch.einsum("k,kij->ij", shares, torch.stack(values))
        torch.testing.assert_close(mean["weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_shares_give_back_what_is_there_and_sum_to_one():
    known = [Profile(length, step) for step in (100, 200, 300) for length in LENGTHS]
    shares, errors = combine(known, [known[-2], known[-1], Profile(0.07, 300)])
    assert shares[:2] == pytest.approx(np.eye(6)[4:], abs=1e-9)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert errors[:2] == pytest.approx(0, abs=1e-9)
    assert 1e-4 < errors[2] < 0.05


@pytest.mark.parametrize("steps", [1, 2, 10, 31, 32, 33, 300, 400_000])
def test_a_run_of_any_length_has_few_snapshots(steps):
    found = snapshot_steps(steps)
    assert len(found) == min(SNAPSHOTS, steps) - 1
    assert all(0 < step < steps for step in found)


class Followed(Trainer):
    """A trainer that also tracks averages of other lengths."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.direct = PowerAverages(self.network, OTHERS)

    def advance(self):
        loss = super().advance()
        self.direct.update(self.network, self.step)
        return loss


@pytest.fixture(scope="module", params=["mlp", pytest.param("unet", marks=pytest.mark.slow)])
def run(request, tmp_path_factory):
    """The folder of a run of 160 steps, and averages tracked while it ran."""
    folder = tmp_path_factory.mktemp("run")
    network = {"use": "unet", "multipliers": [1, 2]} if request.param == "unet" else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.training.start.Trainer", Followed)
        trainer = begin(folder, network=network, **BUDGET)
    trainer.run()
    export(trainer, picture=False)
    return folder, trainer


def rms(state):
    return torch.cat([value.double().flatten() for value in state.values()]).square().mean().sqrt()


def distance(one, other):
    return float(rms({name: one[name] - other[name] for name in other}) / rms(other))


def test_the_average_of_a_length_is_the_one_tracked(run):
    folder, trainer = run
    direct = dict(zip(OTHERS, trainer.direct.means, strict=True))
    # else any two averages would be alike
    assert distance(direct[0.03], direct[0.2]) > 0.03
    for length, expected in direct.items():
        made = zoo.ema(folder, length).network.state_dict()
        found = distance(made, expected)
        print(f"length {length}: {found:.2e}")
        assert found < (1e-5 if length in LENGTHS else 0.01), length


def test_what_the_model_says_of_itself(run, command):
    folder, trainer = run
    status, out, err = command("ema", folder, "--length", "0.08", "-o", "made")
    assert (status, err) == (0, "")
    assert out.startswith("made: relative length 0.08, of 32 snapshots; its profile is 0.")
    model = zoo.load("./made")
    outcome = model.config.training.outcome
    assert (outcome.steps, outcome.ema_length) == (trainer.steps, 0.08)
    assert "averaged over a relative length of 0.08" in model.card
    expected = zoo.ema(folder, 0.08).network.state_dict()
    for name, value in model.network.state_dict().items():
        torch.testing.assert_close(value, expected[name].half().to(value.dtype))
    assert model.sample(2, seed=0, steps=3).isfinite().all()
    assert "exists already" in command("ema", folder, "--length", "0.08", "-o", "made")[2]


def test_a_run_that_is_cut_short_and_resumed_keeps_its_bits(run, tmp_path):
    """The cut comes between a snapshot and the next checkpoint, which is behind it."""
    whole, trainer = run
    part_of = trainer.recipe.network
    options = {"network": {"use": part_of.use, **part_of.options}, **BUDGET}

    def killed(step, _):
        if step == 130:
            raise SystemExit

    part = begin(tmp_path, **options)
    with pytest.raises(SystemExit):
        part.run(killed)
    assert checkpoint.read(tmp_path / CHECKPOINT)["step"] == 120
    assert max(snapshots(tmp_path)) > 120
    begin(tmp_path, resume=True, **options).run()
    a, b = (checkpoint.read(each / CHECKPOINT) for each in (whole, tmp_path))
    for one, other in zip(a["powers"], b["powers"], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert snapshots(whole).keys() == snapshots(tmp_path).keys() == snapshot_steps(trainer.steps)
    for step in snapshots(whole):
        assert path_of(whole, step).read_bytes() == path_of(tmp_path, step).read_bytes()


def test_a_run_that_keeps_none_is_as_before():
    assert "ema_lengths" not in recipe().to_dict()["train"]
    assert recipe(ema_lengths=[0.05, 0.1]).to_dict()["train"]["ema_lengths"] == [0.05, 0.1]


def test_averages_leave_the_training_alone(tmp_path):
    plain, kept = begin(tmp_path / "a"), begin(tmp_path / "b", ema_lengths=[*LENGTHS])
    plain.run()
    kept.run()
    one, other = plain.network.state_dict(), kept.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "powers" not in checkpoint.read(tmp_path / "a" / CHECKPOINT)
    assert not (tmp_path / "a" / "ema").exists()


def test_a_skipped_step_counts_as_time_with_the_weights_before_it(tmp_path):
    trainer = begin(tmp_path, ema_lengths=[*LENGTHS])
    trainer.advance()
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    trainer.advance()
    means = [{n: v.clone() for n, v in mean.items()} for mean in trainer.parallel.powers.means]
    after = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    assert any(not torch.equal(before[name], after[name]) for name in before)
    trainer.gradients = lambda: torch.tensor(float("nan"))
    trainer.advance()
    assert trainer.skipped == 1
    for length, old, new in zip(LENGTHS, means, trainer.parallel.powers.means, strict=True):
        for name, value in new.items():
            expected = old[name].lerp(after[name], 1 - keep(length, 3))
            torch.testing.assert_close(value, expected)


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(run[0], tmp_path / "copied")


def refused(folder, length, said):
    with pytest.raises(ZooError) as error:
        zoo.ema(folder, length)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 500


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0.01, "make lengths from 0.0175 to 0.257"),
        (0.28, "make lengths from 0.0175 to 0.257"),
        (0.0, "expected a number from 0.001 to 0.288"),
        (0.5, "expected a number"),
        (float("nan"), "expected a number"),
        ("0.1", "expected a number"),
        (True, "expected a number"),
    ],
)
def test_lengths_that_two_averages_do_not_make(run, length, said):
    refused(run[0], length, said)


def test_without_snapshots_or_with_one(copied, tmp_path):
    refused(tmp_path / "absent", 0.07, "is no folder of a training run")
    for path in snapshots(copied).values():
        path.unlink()
    refused(copied, 0.07, "no snapshots in ema/ but that of its checkpoint, at step 160")
    shutil.rmtree(copied / "model")
    refused(copied, 0.07, "has no model yet")
    trainer = begin(tmp_path / "plain")
    trainer.run()
    export(trainer, picture=False)
    refused(tmp_path / "plain", 0.07, "train with train.ema_lengths")


def test_damaged_snapshots_and_those_of_another_run(copied):
    path = path_of(copied, 5)
    shutil.copy(path_of(copied, 10), path)
    refused(copied, 0.07, "is no snapshot of this run")
    path.write_bytes(b"x" * 100)
    refused(copied, 0.07, "is no snapshot of this run")


def test_what_a_recipe_may_not_ask_for():
    for lengths, said in (
        ([0.1, 0.05], "the shorter one first"),
        ([0.001, 0.05], "ema_lengths"),
        ([0.05], "ema_lengths"),
    ):
        with pytest.raises(ZooError, match=said):
            recipe(ema_lengths=lengths)
    with pytest.raises(ZooError, match=r"does not go with train.ema_lengths"):
        make_plan(recipe(ema_lengths=[*LENGTHS], parallel="fsdp"), processes=2)


def test_a_checkpoint_of_other_averages_is_refused(tmp_path):
    trainer = begin(tmp_path, ema_lengths=[*LENGTHS])
    trainer.advance()
    for damage, said in (
        (lambda powers: powers[0].popitem(), r"powers\.0\.\S+ is missing"),
        (lambda powers: powers.pop(), "shorter"),
        (lambda powers: next(iter(powers[1].values())).fill_(torch.nan), "is not finite"),
    ):
        trainer.save()
        state = checkpoint.read(tmp_path / CHECKPOINT)
        damage(state["powers"])
        checkpoint.write_atomic(tmp_path / CHECKPOINT, state)
        with pytest.raises(ZooError, match=said):
            begin(tmp_path, resume=True, ema_lengths=[*LENGTHS])
