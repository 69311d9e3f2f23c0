"""Training: the law of noise levels, steps that are skipped, checkpoints, and exact resuming."""

import errno
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

import zoo
from zoo.config.recipe import from_dict
from zoo.errors import ZooError
from zoo.sampling.rng import step_seed
from zoo.training import checkpoint, log
from zoo.training import trainer as trainers
from zoo.training.batch import LogNormalLevels, noise_distribution
from zoo.training.export import export
from zoo.training.plan import make_plan
from zoo.training.start import start, trainer_of
from zoo.training.trainer import CHECKPOINT

EDM = LogNormalLevels()


def recipe(data=None, network=None, kernel=None, **train):
    """A recipe of ten steps on digits; `train` changes its budget."""
    budget = {"images": 80, "batch": 8, "warmup": 8, "checkpoint_every": 4, "log_every": 3}
    raw = {
        "name": "tiny",
        "data": {"use": "digits", **(data or {})},
        "kernel": {"use": "gravity", **(kernel or {})},
        "network": {"use": "mlp", "width": 8, "blocks": 1, **(network or {})},
        "solver": {"use": "heun", "steps": 3},
        "train": {**budget, **train},
    }
    return from_dict(raw, "recipe")


def begin(folder, *, resume=False, **options):
    return start(make_plan(recipe(**options)), folder, resume=resume)


def weights(trainer):
    """Everything that a step depends on, or leaves behind."""
    return {
        **{f"network.{k}": v for k, v in trainer.network.state_dict().items()},
        **{f"ema.{k}": v for k, v in trainer.ema.module.state_dict().items()},
    }


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def copy(state):
    return {k: v.clone() for k, v in state.items()}


# The law of noise levels


def draw(name, dim, n=20_000, law=EDM, shape=None):
    """Noise of vectors, or of images of a shape; flat."""
    kernel = zoo.kernel(name, dim=dim)
    x_0 = torch.zeros(n, *(shape or (dim,)), dtype=torch.float64)
    x_t, t = law.draw(kernel, x_0, torch.Generator().manual_seed(0))
    return kernel, x_t.flatten(1), t


def uniform(q):
    return stats.kstest(q.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("name", "side"), [("gravity", 8), ("gravity", 28), ("tanh", 8)])
def test_levels_of_images_follow_edms_law_whatever_the_kernels_tail(name, side):
    dim = side**2
    kernel, x_t, t = draw(name, dim, 4000, shape=(1, side, side))
    free = (t > kernel.t_min) & (t < kernel.t_max)
    assert free.float().mean() > 0.97
    levels = (x_t.norm(dim=1) / math.sqrt(dim)).log()
    assert uniform(torch.special.ndtr((levels + 1.2) / 1.2))


def test_gaussian_levels_follow_edms_law():
    kernel, x_t, t = draw("gaussian", 8)
    assert not uniform(torch.special.ndtr((t.log() + 0.3) / 0.9))
    assert uniform(torch.special.ndtr((t.log() + 1.2) / 1.2))
    assert uniform(kernel.radial_cdf(x_t.norm(dim=1), t))
    other = LogNormalLevels(-0.3, 0.9).draw(kernel, x_t, torch.Generator().manual_seed(1))[1]
    assert uniform(torch.special.ndtr((other.log() + 0.3) / 0.9))


@pytest.mark.parametrize("dim", [2, 64])
def test_times_of_vectors_follow_it_by_radius_but_for_a_quarter_that_are_anywhere(dim):
    kernel, x_t, t = draw("gravity", dim)
    by_radius = torch.special.ndtr((kernel.level(t).log() + 1.2) / 1.2)
    anywhere = (t / kernel.t_min).log() / math.log(kernel.t_max / kernel.t_min)
    assert not uniform(by_radius)
    assert stats.kstest(t, Mixture(by_radius, anywhere, t)).pvalue > 1e-3
    assert uniform(kernel.radial_cdf(x_t.norm(dim=1), t))


class Mixture:
    """The CDF of a mixture of two laws, three quarters of the first, at known times."""

    def __init__(self, first, second, t):
        order = t.argsort()
        self.t, self.cdf = t[order].numpy(), (0.75 * first + 0.25 * second)[order].numpy()

    def __call__(self, t):
        return np.interp(t, self.t, self.cdf)


def test_drawn_by_level_the_noise_is_the_kernels_and_independent_of_the_level():
    """So given the level, (x_t, t) is what log-uniform t would give: the minimiser is the same."""
    kernel, x_t, t = draw("gravity", 64, shape=(1, 8, 8))
    free = (t > kernel.t_min) & (t < kernel.t_max)
    z = (x_t / t[:, None])[free]
    q = kernel.unit_cdf(z.norm(dim=1))
    level = (x_t.norm(dim=1) / 8)[free]
    for part in (level < 0.15, (level > 0.15) & (level < 0.6), level > 0.6):
        # The ends of [t_min, t_max] cut off the tails at the lowest and highest levels.
        assert (q[part].mean() - 0.5).abs() < 0.03
    middle = (level > 0.15) & (level < 0.6)
    assert uniform(q[middle])
    direction = z[:, 0] / z.norm(dim=1)
    assert abs(stats.spearmanr(direction, level).statistic) < 0.03


def test_times_stay_inside_the_kernels():
    cases = ("gravity", 64, (1, 8, 8)), ("gravity", 2, None), ("gaussian", 4, None)
    for name, dim, shape in cases:
        kernel, x_t, t = draw(name, dim, law=LogNormalLevels(0.0, 30.0), shape=shape)
        assert kernel.t_min * (1 - 1e-6) <= t.min()
        assert t.max() <= kernel.t_max * (1 + 1e-6)
        assert x_t.isfinite().all()


def test_a_kernel_may_bring_a_law_of_its_own():
    kernel = zoo.kernel("gravity", dim=4, pfgm={"M": 100})
    assert noise_distribution(kernel, -1.2, 1.2) is kernel.noise_law
    assert noise_distribution(zoo.kernel("gravity", dim=4), -1.0, 2.0) == LogNormalLevels(-1.0, 2.0)


def test_step_seeds_do_not_collide():
    seeds = {step_seed(s, k, r) for s in range(20) for k in range(-1, 300) for r in range(3)}
    assert len(seeds) == 20 * 301 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


# Training


@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}, {"network": {"labels": 10}}])
def test_training_learns(tmp_path, options):
    trainer = begin(tmp_path, images=16_000, batch=64, lr=3e-3, log_every=25, **options)
    trainer.run()
    losses = [line["loss"] for line in log.lines(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]
    assert trainer.skipped == 0


def test_a_step_depends_on_nothing_but_the_recipe_and_its_number(tmp_path):
    final = []
    for k, name in enumerate(("one", "other")):
        torch.manual_seed(k)
        trainer = begin(tmp_path / name)
        torch.manual_seed(100 * k)
        trainer.run()
        final.append(weights(trainer))
    assert same(*final)
    other = begin(tmp_path / "third", seed=1)
    other.run()
    assert not same(final[0], weights(other))


def test_the_budget_is_the_number_of_images(tmp_path):
    trainer = begin(tmp_path, images=81, log_every=4)
    steps = []
    trainer.run(lambda step, loss: steps.append((step, math.isfinite(loss))))
    assert steps == [(k, True) for k in range(1, 12)]
    lines = [*log.lines(tmp_path)]
    assert [line["step"] for line in lines] == [4, 8, 11]
    assert [line["images"] for line in lines] == [32, 64, 88]
    assert lines[-1]["lr"] < lines[0]["lr"] <= 1e-3


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 1e-5), ("constant", 1e-3)])
def test_the_learning_rate_rises_and_then_falls_or_stays(tmp_path, schedule, end):
    options = {"images": 800, "warmup": 80, "lr_min": 1e-5, "log_every": 1}
    begin(tmp_path, schedule=schedule, **options).run()
    rates = [line["lr"] for line in log.lines(tmp_path)]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] == pytest.approx(end, rel=0.1)


def test_labels_are_hidden_as_often_as_asked(tmp_path, monkeypatch):
    seen = []

    def note(self, x_t, t, target, labels=None):
        seen.append(labels)
        return (self(x_t, t, labels) - target).square().flatten(1).mean(dim=1)

    trainer = begin(tmp_path, network={"labels": 10}, batch=1000, images=1000, label_dropout=0.25)
    monkeypatch.setattr(type(trainer.network), "loss", note)
    trainer.run()
    (labels,) = seen
    assert 0.2 < (labels == -1).float().mean() < 0.3
    assert set(labels.tolist()) == set(range(-1, 10))


def test_images_are_mirrored_if_the_recipe_says_so(tmp_path):
    plain, flipped = begin(tmp_path / "a"), begin(tmp_path / "b", data={"flip": True})
    torch.manual_seed(0)
    x, _ = plain.batches.images()
    torch.manual_seed(0)
    y, _ = flipped.batches.images()
    mirrored = [not torch.equal(a, b) for a, b in zip(x, y, strict=True)]
    assert 0 < sum(mirrored) < len(x)
    assert all(torch.equal(a.flip(-1), b) for a, b, m in zip(x, y, mirrored, strict=True) if m)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3,)])
def test_a_data_set_of_one_sample_trains_and_is_learned_by_heart(tmp_path, shape):
    only = np.linspace(-0.5, 0.5, math.prod(shape), dtype=np.float32).reshape(1, *shape)
    np.savez(tmp_path / "one.npz", x=only)
    data = {"use": f"npz:{tmp_path / 'one.npz'}"}
    options = {"images": 32_000, "batch": 64, "lr": 1e-2, "ema_halflife": 1000}
    trainer = begin(tmp_path / "run", data=data, network={"width": 32}, **options)
    trainer.run()
    model = zoo.load(export(trainer))
    samples = model.sample(20, seed=0, steps=18)
    assert (samples - torch.from_numpy(only)).abs().mean() < 0.15


# Steps that go wrong


def break_steps(monkeypatch, bad, value=math.nan):
    """Make the loss of the steps numbered in `bad` (from 0) be `value`."""
    whole = trainers.Trainer.loss

    def loss(self, batch):
        return whole(self, batch) * (value if self.step in bad else 1.0)

    monkeypatch.setattr(trainers.Trainer, "loss", loss)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_non_finite_step_is_counted_and_not_applied(tmp_path, monkeypatch, value):
    break_steps(monkeypatch, {3}, value)
    trainer = begin(tmp_path)
    for _ in range(3):
        trainer.advance()
    before = copy(weights(trainer))
    assert not math.isfinite(trainer.advance())
    assert same(weights(trainer), before)
    assert (trainer.step, trainer.skipped, trainer.skipped_in_a_row) == (4, 1, 1)
    trainer.run()
    assert not same(weights(trainer), before)
    assert (trainer.step, trainer.skipped, trainer.skipped_in_a_row) == (10, 1, 0)
    assert all(v.isfinite().all() for v in weights(trainer).values())
    lines = [json.loads(line) for line in (tmp_path / log.LOG).read_text().splitlines()]
    assert all(math.isfinite(line["loss"]) for line in lines)
    assert lines[-1]["skipped"] == 1


def test_fifty_in_a_row_end_the_run_and_the_last_checkpoint_is_good(tmp_path, monkeypatch):
    break_steps(monkeypatch, range(10, 1000))
    trainer = begin(tmp_path, images=8 * 1000)
    with pytest.raises(ZooError, match="not finite: 50 steps in a row up to step 60 were skipped"):
        trainer.run()
    state = checkpoint.read(tmp_path / CHECKPOINT)
    assert all(v.isfinite().all() for v in state["network"].values())
    assert [*log.lines(tmp_path)][-1]["loss"] is None
    assert log.last_loss(tmp_path) is not None


def test_forty_nine_do_not(tmp_path, monkeypatch):
    break_steps(monkeypatch, range(10, 59))
    trainer = begin(tmp_path, images=8 * 62)
    trainer.run()
    assert (trainer.skipped, trainer.skipped_in_a_row) == (49, 0)


# Resuming


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"precision": "bf16"},
        {"network": {"labels": 10, "dropout": 0.2}, "data": {"flip": True}},
    ],
    ids=["float32", "bf16", "labels-dropout-flip"],
)
@pytest.mark.parametrize("stop", [1, 4, 7, 9])
def test_a_resumed_run_ends_on_the_same_bits(tmp_path, monkeypatch, stop, options):
    break_steps(monkeypatch, {2, 6})
    whole = begin(tmp_path / "whole", **options)
    whole.run()
    cut = begin(tmp_path / "cut", **options)
    for _ in range(stop):
        cut.advance()
        if cut.step % 4 == 0:
            cut.save()
    resumed = begin(tmp_path / "cut", resume=True, **options)
    assert resumed.step == stop // 4 * 4
    resumed.run()
    assert same(weights(resumed), weights(whole))
    assert resumed.skipped == whole.skipped == 2
    one, other = (checkpoint.read(tmp_path / n / CHECKPOINT) for n in ("whole", "cut"))
    for name, value in one["optimizer"]["state"].items():
        assert all(torch.equal(value[k], other["optimizer"]["state"][name][k]) for k in value)


def test_what_was_logged_after_the_checkpoint_is_logged_once(tmp_path):
    trainer = begin(tmp_path)
    trainer.run()
    lines = (tmp_path / log.LOG).read_text()
    (tmp_path / CHECKPOINT).unlink()
    early = begin(tmp_path, resume=True)
    assert [*log.lines(tmp_path)] == []
    for _ in range(4):
        early.advance()
    early.save()
    (tmp_path / log.LOG).write_text(lines + '{"step": 12, "lo')
    begin(tmp_path, resume=True).run()
    assert [line["step"] for line in log.lines(tmp_path)] == [3, 6, 9, 10]


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    begin(tmp_path).run()
    again = begin(tmp_path, resume=True)
    before = copy(weights(again))
    again.run(lambda *_: pytest.fail("made a step"))
    assert same(weights(again), before)


def test_a_run_is_not_overwritten(tmp_path):
    begin(tmp_path)
    with pytest.raises(ZooError, match=r"holds a run at step 0; go on with --resume or name anoth"):
        begin(tmp_path)


def test_a_run_that_is_not_there_is_not_begun_by_resuming_it(tmp_path):
    with pytest.raises(ZooError, match=r"there is no run in .*tpyo to go on with; begin one with"):
        begin(tmp_path / "tpyo", resume=True)
    assert not (tmp_path / "tpyo").exists()


@pytest.mark.parametrize(
    "options",
    [{"lr": 2e-3}, {"images": 160}, {"network": {"width": 16}}, {"kernel": {"t_max": 40.0}}],
)
def test_another_recipe_does_not_go_on(tmp_path, options):
    begin(tmp_path)
    with pytest.raises(ZooError, match=r"another recipe \(\w+\.\w+ was .*, is .*\); train into"):
        begin(tmp_path, resume=True, **options)


def test_other_data_is_another_recipe(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 1, 8, 8), dtype=np.float32))
    begin(tmp_path / "run")
    plan = make_plan(recipe(), f"npz:{tmp_path / 'x.npz'}")
    assert plan.recipe.data.use == f"npz:{tmp_path / 'x.npz'}"
    with pytest.raises(ZooError, match="belongs to another recipe"):
        start(plan, tmp_path / "run", resume=True)


@pytest.mark.parametrize("what", ["an image", "a label", "their number"])
def test_data_that_changed_under_its_name_is_told(tmp_path, what):
    data = tmp_path / "x.npz"
    x, y = np.zeros((9, 1, 8, 8), dtype=np.float32), np.arange(9) % 2
    np.savez(data, x=x, y=y)
    start(make_plan(recipe(), f"npz:{data}"), tmp_path / "run")
    start(make_plan(recipe(), f"npz:{data}"), tmp_path / "run", resume=True)
    if what == "an image":
        x[4, 0, 3, 3] = -0.5
    elif what == "a label":
        y[4] = 1
    else:
        x, y = x[:8], y[:8]
    np.savez(data, x=x, y=y)
    message = rf"was trained on other samples than x has now \({len(x)} of them\); give back"
    with pytest.raises(ZooError, match=message):
        start(make_plan(recipe(), f"npz:{data}"), tmp_path / "run", resume=True)


# Checkpoints


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail]\nwrite failed"),
    ],
    ids=["disk", "torch"],
)
def test_a_disk_that_refuses_leaves_the_last_checkpoint(tmp_path, monkeypatch, failure):
    trainer = begin(tmp_path)
    trainer.advance()
    trainer.save()
    before = (tmp_path / CHECKPOINT).read_bytes()
    write = torch.save

    def fill_up(state, file):
        file.write(b"half a checkpoint")
        raise failure

    monkeypatch.setattr(torch, "save", fill_up)
    match = "cannot write checkpoint .*; the checkpoint before it is intact"
    with pytest.raises(ZooError, match=match) as error:
        trainer.run()
    assert len(str(error.value).splitlines()) == 1
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.glob("*.part"))
    monkeypatch.setattr(torch, "save", write)
    assert begin(tmp_path, resume=True).step == 1


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ZooError, match="cannot write into"):
            begin(folder)

    def refuse(state, file):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(ZooError, match=r"cannot write checkpoint .*: Read-only file system$"):
        begin(tmp_path / "run")


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    trainer = begin(tmp_path)
    (tmp_path / log.LOG).unlink()
    (tmp_path / log.LOG).mkdir()
    with pytest.raises(ZooError, match=r"cannot write .*log\.jsonl"):
        trainer.run()


def test_a_log_of_something_else_is_left_alone(tmp_path):
    text = '{"a": 1}\n{"step": 3, "images": 24}\n'
    (tmp_path / log.LOG).write_text(text)
    with pytest.raises(ZooError, match=r"log\.jsonl: line 1 is not of zoo train; move it away"):
        begin(tmp_path)
    assert (tmp_path / log.LOG).read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == [log.LOG]


def test_a_rate_that_rounds_to_nothing_costs_no_model(tmp_path):
    """As logged by earlier versions where an image took longer than 20 seconds."""
    lines = [{"step": k, "images": 8 * k, "images_per_s": rate} for k, rate in ((1, 0.0), (2, 0.5))]
    for line in lines:
        log.append(tmp_path, line)
    assert log.hours(tmp_path) == round(16 / 0.5 / 3600, 2)


@pytest.mark.parametrize(
    ("name", "options"), [("model", {}), ("model-best", {"validate_every": 8})]
)
def test_a_folder_where_the_model_goes_is_looked_at_before_the_first_step(tmp_path, name, options):
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.tex").touch()
    with pytest.raises(ZooError, match=f"{name} holds other files and no model"):
        begin(tmp_path, **options)
    assert [p.name for p in tmp_path.iterdir()] == [name]


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a checkpoint ran code",))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({"format": 5}, path),
        lambda path: torch.save({"format": 4}, path),
        lambda path: torch.save({"format": 4, "recipe": Evil()}, path),
    ],
    ids=["empty", "text", "cut", "list", "format", "keys", "code"],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, write):
    begin(tmp_path)
    write(tmp_path / CHECKPOINT)
    for resume in (True, False):
        with pytest.raises(ZooError, match=r"checkpoint\.pt is not a") as error:
            begin(tmp_path, resume=resume)
        assert "weights_only" not in str(error.value)  # torch's advice would run what is in it
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_checkpoint_of_a_format_before_is_told(tmp_path, before):
    begin(tmp_path)
    torch.save({"format": before, "step": 3}, tmp_path / CHECKPOINT)
    message = rf"has format {before}, expected 4; finish it with the version that began it$"
    with pytest.raises(ZooError, match=message):
        begin(tmp_path, resume=True)


def test_a_checkpoint_of_another_network_is_told(tmp_path):
    begin(tmp_path)
    state = checkpoint.read(tmp_path / CHECKPOINT)
    state["network"].pop(next(iter(state["network"])))
    checkpoint.write_atomic(tmp_path / CHECKPOINT, state)
    with pytest.raises(ZooError, match="does not fit what its recipe builds now") as error:
        begin(tmp_path, resume=True)
    assert len(str(error.value).splitlines()) == 1


def test_there_has_to_be_a_checkpoint_to_read(tmp_path):
    with pytest.raises(ZooError, match="nothing to resume: there is no"):
        checkpoint.read(tmp_path / CHECKPOINT)


# What a recipe comes to


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": {"use": "digit"}}, "did you mean 'digits'"),
        ({"kernel": {"use": "gravty"}}, "no kernel 'gravty'; did you mean 'gravity'"),
        ({"kernel": {"dim": 3}}, "'gravity' has no option 'dim'"),
        ({"network": {"wdith": 3}}, "network 'mlp' has no option 'wdith'; did you mean 'width'"),
        ({"network": {"labels": 3}}, "network.labels = 3, but digits has 10 classes"),
        ({"data": {"use": "toy:two-moons", "flip": True}}, r"data\.flip = true takes images"),
    ],
)
def test_mistakes_show_before_the_first_step(options, message):
    with pytest.raises(ZooError, match=message):
        make_plan(recipe(**options))


def test_nan_in_the_data_is_told(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.full((3, 2), np.nan, dtype=np.float32))
    with pytest.raises(ZooError, match="3 of 3 samples hold NaN or infinity"):
        make_plan(recipe(data={"use": f"npz:{tmp_path / 'x.npz'}"}))


def test_what_is_exported_is_the_averaged_network_and_says_how_it_was_made(tmp_path):
    trainer = begin(tmp_path)
    trainer.run()
    model = zoo.load(export(trainer))
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, trainer.ema.module.state_dict()[name].half().float())
    training = model.config.training
    assert training.recipe == recipe().to_dict()
    assert training.outcome.images_seen == 80
    assert training.outcome.steps == 10
    assert "CC BY 4.0" in training.data_license
    assert model.config.requires == (f"fieldzoo>={zoo.__version__}",)
    assert model.config.data.name == "digits"
    assert "# tiny\n" in model.card
    assert model.steps == 3
    assert (tmp_path / "model" / "samples.png").is_file()


# How long it will take


def test_the_estimate_is_the_time_of_a_step_and_writes_nothing(tmp_path, monkeypatch):
    """On a clock that a step moves by 2 s, the first five by 100 s."""
    trainer = trainer_of(make_plan(recipe(images=8 * 1000)), tmp_path / "run")
    now, advance = [0.0], trainers.Trainer.advance

    def slow(self):
        now[0] += 100 if self.step < 5 else 2
        return advance(self)

    monkeypatch.setattr(trainers.Trainer, "advance", slow)
    monkeypatch.setattr(trainers.time, "perf_counter", lambda: now[0])
    assert trainers.seconds_per_step(trainer) == 2
    assert trainer.step == trainers.TIMED_STEPS
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "1 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (7200 + 299, "2 h 4 min"),
        (3600, "1 h"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
    ],
)
def test_durations_are_told_in_two_units(seconds, text):
    assert trainers.duration(seconds) == text
