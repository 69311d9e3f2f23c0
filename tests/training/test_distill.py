"""zoo.distill: students that take few evaluations, where their teachers' ODE ends."""

import json
import math
import re
import time

import msgspec
import numpy as np
import pytest
import torch
import walked
from tiny_models import images, stir

import zoo
from zoo.cli import main
from zoo.config.model import DefaultGuidance
from zoo.config.part import SolverPart
from zoo.config.standardise import Standardise
from zoo.errors import ZooError
from zoo.evaluation.learn import learn_solver
from zoo.plotting.pages import trajectories
from zoo.sampling.few_steps import FewSteps, few_levels
from zoo.training.distill import check_teacher
from zoo.training.student import Run
from zoo.training.teacher import Pool, Teacher

KERNELS = {**walked.KERNELS, "rotating": {}}
SLOW = ("psi", "phi", "vp")
QUICK = {"images": 5000, "batch": 128, "lr": 5e-3, "progress": False}
MOMENT = {"images": 40, "batch": 20, "progress": False}


def teacher(name="gaussian", network="mlp", **options):
    """A model whose network says something else than a Gaussian's."""
    kernel = zoo.kernel(name, dim=2, **KERNELS[name])
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        built = zoo.network(network, shape=(2,), kernel=kernel, width=32, blocks=1, **options)
    solver = zoo.solver("exp-abm3")
    model = zoo.FieldModel(kernel, zoo.prior(name, kernel), stir(built, 0.15), solver, (2,))
    model.name = "the-teacher"
    return model


def by_own_steps(model, student):
    """What the teacher's own network makes of the student's steps, at fresh starts."""
    steps = student.distilled.evaluations
    return model.sample(256, seed=9, solver=student.solver, steps=steps)


def distance(x, other):
    return float((x - other).square().mean(dim=1).sqrt().mean())


def halves(name, evaluations):
    model = teacher(name)
    student = zoo.distill(model, evaluations=evaluations, **QUICK)
    taught = model.sample(256, seed=9)
    before = distance(by_own_steps(model, student), taught)
    assert distance(student.sample(256, seed=9), taught) < 0.5 * before


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW else []) for k in KERNELS]
)
def test_two_evaluations_come_twice_as_near_to_the_teachers_samples(name):
    halves(name, 2)


@pytest.mark.parametrize("evaluations", [1, 4])
@pytest.mark.parametrize("name", ["gaussian", "flow"])
def test_one_and_four_evaluations_do_too(name, evaluations):
    halves(name, evaluations)


def test_a_student_takes_its_evaluations_and_its_mark_tells_how_near_it_is():
    model = teacher()
    student = zoo.distill(model, evaluations=3, seed=3, **QUICK)
    known = student.distilled
    assert student.trajectory(5, seed=0).nfe == 3 == known.evaluations
    assert len(student.solver.part.options["grid"]) == 3
    assert (known.teacher, known.seed, known.trained) == ("the-teacher", 3, 40 * 128)
    assert known.trajectories == 128 * (2 + 4 + 1 + math.ceil(40 / 6))  # 18 evaluations over 3
    taught = model.sample(256, seed=9)
    assert known.error == pytest.approx(distance(student.sample(256, seed=9), taught), rel=0.5)
    plain = zoo.solver("exp-abm3")
    grids = few_levels(model.kernel, plain, 3, 0.5)
    solvers = [plain, *(zoo.solver("learned", grid=grid) for grid in grids)]
    own = min(distance(model.sample(256, seed=9, solver=s, steps=3), taught) for s in solvers)
    assert known.error_before == pytest.approx(own, rel=0.3)
    assert known.better
    assert 0 < known.standard_error < 0.1 * known.error


def test_the_same_seed_gives_the_same_student_and_leaves_the_teacher_as_it_is():
    model = teacher("gravity")
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    one, same, other = (zoo.distill(model, seed=seed, **MOMENT) for seed in (1, 1, 2))
    assert torch.equal(one.sample(9, seed=0), same.sample(9, seed=0))
    assert not torch.equal(one.sample(9, seed=0), other.sample(9, seed=0))
    assert all(torch.equal(before[name], v) for name, v in model.network.state_dict().items())
    assert all(p.requires_grad for p in (*model.parameters(), *one.parameters()))


def test_where_training_makes_it_worse_the_teachers_weights_stay():
    model = teacher()
    student = zoo.distill(model, lr=1e3, images=400, batch=20, progress=False)
    assert student.distilled.error == student.distilled.error_before
    assert not student.distilled.better
    assert torch.equal(student.sample(256, seed=9), by_own_steps(model, student))


def test_what_is_next_to_no_training_makes_no_student_that_is_better():
    known = zoo.distill(teacher(), lr=1e-7, images=40, batch=20, progress=False).distilled
    assert known.error != known.error_before
    assert not known.better


def test_training_that_diverges_is_an_error():
    with pytest.raises(ZooError, match=r"no gradient was finite .* a smaller lr than 1e\+30"):
        zoo.distill(teacher(), lr=1e30, images=2000, batch=20, progress=False)


def test_the_clock_of_the_schedule_starts_after_the_first_trajectories(monkeypatch):
    draw, advance, told, now = Teacher.draw, Run.advance, [], [0.0]

    def slow(self, n, **options):
        now[0] += 10.0 if n > 20 else 0.0
        return draw(self, n, **options)

    def seen(self, batch, done):
        now[0] += 6.0
        told.append(done)
        advance(self, batch, done)

    monkeypatch.setattr(Teacher, "draw", slow)
    monkeypatch.setattr(Run, "advance", seen)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    zoo.distill(teacher(), minutes=1, batch=20, progress=False)
    assert told[0] == 0
    assert told[1] < 0.2
    assert told[-1] > 0.8


def test_bf16_trains_nearly_the_same():
    student, other = (
        zoo.distill(teacher(), precision=precision, **QUICK) for precision in ("bf16", "float32")
    )
    assert student.dtype == torch.float32
    assert student.distilled.error != other.distilled.error
    assert student.distilled.error < 0.5 * student.distilled.error_before


def test_little_time_is_enough_for_one_step():
    assert zoo.distill(teacher(), minutes=1e-6, batch=20, progress=False).distilled.trained == 20


# What is learned from


@pytest.mark.parametrize("name", ["gravity", "gaussian", "flow"])
def test_the_teacher_takes_its_starts_where_its_ode_ends(name):
    model = teacher(name)
    model.config = msgspec.structs.replace(model.describe(), solver=SolverPart("exp-abm3", {}, 64))
    asked = Teacher(model, model._guidance(None, None, None), 0, bf16=False)
    assert asked.evaluations == 64
    drawn = asked.draw(64)
    with torch.no_grad():
        fine = zoo.solver("exp-abm3").to_data(model.flow(), drawn.x.double(), steps=400)
    off = (drawn.data - fine).square().mean(dim=1).sqrt()
    assert float(off.median()) < 0.02 * float(fine.std())


def test_the_teacher_keeps_a_grid_of_its_own():
    model = teacher()
    model.solver = zoo.solver("exp-abm3", grid=[80.0, 3.0, 0.01])
    own = Teacher(model, model._guidance(None, None, None), 0, bf16=False)
    model.solver = zoo.solver("heun")
    usual = Teacher(model, model._guidance(None, None, None), 0, bf16=False)
    assert own.solver.part.options == {"grid": [80.0, 3.0, 0.01]}
    assert usual.solver.part.options == {}


def test_a_teacher_whose_grid_goes_higher_than_a_list_may_has_students():
    model = teacher()
    model.kernel = zoo.kernel("gaussian", dim=2, t_min=0.002, t_max=5000.0)
    model.prior = zoo.prior("gaussian", model.kernel)
    model.solver = zoo.solver("exp-abm3", grid={"use": "edm", "cap": 4000})
    student = zoo.distill(model, evaluations=4, **MOMENT)
    assert torch.isfinite(student.sample(4, seed=0)).all()


def test_samples_depend_on_their_number_and_a_pool_lets_the_oldest_go():
    model = teacher(labels=3)

    def drawing():
        return Teacher(model, model._guidance(None, None, None), 0, bf16=False)

    whole, parts = drawing(), drawing()
    all_of_them = whole.draw(32)
    halves_of_them = [parts.draw(16), parts.draw(16)]
    for name in ("x", "labels"):
        parts_of_it = [getattr(half, name) for half in halves_of_them]
        assert torch.equal(getattr(all_of_them, name), torch.cat(parts_of_it))
    pool = Pool(halves_of_them[0])
    pool.size = 16
    pool.add(halves_of_them[1])
    rows = pool.batch(40, torch.Generator().manual_seed(0))
    known = {tuple(row) for row in halves_of_them[1].x.tolist()}
    assert {tuple(row) for row in rows.x.tolist()} <= known
    assert rows.data.shape == (40, 2)


@pytest.mark.parametrize("learn", ["coefficients", "grid", "both"])
def test_steps_that_nothing_has_moved_are_what_they_were(learn):
    options = {"grid": [80.0, 4.0, 0.6], "coefficients": [[], [0.1], [0.2, -0.3]]}
    solver = zoo.solver("learned", **options)
    steps = FewSteps(solver, learn)
    wanted = {"both": {"grid", "coefficients"}}.get(learn, {learn})
    assert steps.free.keys() == wanted
    found = steps.options(options)
    assert found["grid"] == pytest.approx(options["grid"], rel=1e-5)
    assert found["coefficients"] == [
        pytest.approx(row, rel=1e-5) for row in [[], [0.1], [0.2, -0.3]]
    ]
    x = teacher().prior.sample(8, (2,), torch.Generator().manual_seed(0)).float()
    before = zoo.solver("learned", **options).to_data(teacher().flow(), x, steps=3)
    steps.put(solver)
    moved = solver.to_data(teacher().flow(), x, steps=3)
    assert torch.allclose(moved, before, atol=1e-5)
    assert moved.requires_grad


def test_one_step_has_nothing_to_move():
    solver = zoo.solver("learned", grid=[80.0])
    steps = FewSteps(solver)
    steps.put(solver)
    assert steps.free == {}
    assert steps.options({"grid": [80.0]}) == {"grid": [80.0]}


# The folder


def same_student(one, other):
    assert other.distilled == one.distilled
    assert torch.equal(other.sample(7, seed=2), one.sample(7, seed=2))
    assert other.trajectory(2, seed=0).nfe == one.distilled.evaluations


def test_a_folder_keeps_the_student_bit_for_bit(tmp_path):
    model = images(labels=3)
    model.name = "garments"
    student = zoo.distill(model, **MOMENT)
    loaded = zoo.load(student.save(tmp_path / "one"))
    again = zoo.load(loaded.save(tmp_path / "two"))
    for found in (loaded, again):
        same_student(student, found)
        assert torch.equal(student.sample(4, seed=1, labels=2), found.sample(4, seed=1, labels=2))
    told = json.loads((tmp_path / "two" / "config.json").read_text())["distilled"]
    assert (told["teacher"], told["evaluations"]) == ("garments", 2)
    card = (tmp_path / "two" / "README.md").read_text()
    assert "A student of garments in 2 evaluations" in card
    assert "--what sampler" in card


def test_it_keeps_the_license_of_its_teacher(tmp_path):
    model = zoo.load("gravity-digits")
    student = zoo.distill(model, images=2, batch=2, progress=False)
    assert student.distilled.license == "apache-2.0"
    card = (student.save(tmp_path / "it") / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "## Training of its teacher" in card
    assert "zoo train gravity-digits" not in card
    config = student.config.training
    assert config.recipe["name"] == "gravity-digits"
    assert (config.outcome, config.evaluation) == (None, ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"evaluations": 3}, "distilled.evaluations = 3, but solver.steps = 2"),
        ({"evaluations": 17}, "evaluations"),
        ({"teacher": "a\nb"}, "teacher"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_mark_that_cannot_be_is_refused(tmp_path, change, told):
    folder = zoo.distill(teacher(), **MOMENT).save(tmp_path / "it")
    config = json.loads((folder / "config.json").read_text())
    config["distilled"] |= change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ZooError, match=re.escape(told)):
        zoo.load(folder)


def test_a_students_solver_cannot_be_changed_in_its_folder(tmp_path):
    folder = zoo.distill(teacher(), **MOMENT).save(tmp_path / "it")
    config = json.loads((folder / "config.json").read_text())
    config["solver"] = {"use": "heun", "steps": 2}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ZooError, match="takes the steps that it learned, and its solver is learned"
    ) as error:
        zoo.load(folder)
    assert "\n" not in str(error.value)


def test_a_teacher_of_any_name_makes_a_student_that_is_loaded(tmp_path):
    model = teacher()
    model.name = "a\nb\x07|" + 400 * "c"
    student = zoo.distill(model, **MOMENT)
    loaded = zoo.load(student.save(tmp_path / "it"))
    assert loaded.distilled == student.distilled
    assert loaded.distilled.teacher.startswith("a b")


def test_the_card_keeps_the_spelling_of_its_teacher_and_names_it_to_the_hub(tmp_path):
    model = teacher()
    model.name = "Google/DDPM-Digits"
    card = (zoo.distill(model, **MOMENT).save(tmp_path / "it") / "README.md").read_text()
    assert "## A student of Google/DDPM-Digits in 2 evaluations" in card
    assert "A few-step model of data of shape 2, distilled from Google/DDPM-Digits." in card
    front = card.partition("\n---\n")[0]
    assert "base_model: Google/DDPM-Digits" in front
    assert "- distillation" in front
    model.name = "no-id"
    card = (zoo.distill(model, **MOMENT).save(tmp_path / "it2") / "README.md").read_text()
    assert "base_model" not in card


# What a student refuses


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """A student that has been on disk."""
    path = tmp_path_factory.mktemp("students") / "tiny"
    return zoo.load(zoo.distill(teacher(labels=3), **MOMENT).save(path))


X = torch.zeros(2, 2)
NO_FIELD = {
    "encode": lambda s: s.encode(X),
    "decode": lambda s: s.decode(X),
    "log_prob": lambda s: s.log_prob(X),
    "field": lambda s: s.field(X, 1.0),
    "denoise": lambda s: s.denoise(X, 1.0),
    "posterior": lambda s: s.posterior([0.5], lambda x: x[:, :1], noise=0.1),
    "lift": lambda s: zoo.lift(s, "gravity"),
    "guide": lambda s: teacher(labels=3).sample(guide=s, guidance=2),
    "flow": lambda s: s.flow(),
    "optimise_grid": lambda s: zoo.optimise_grid(s),
    "learn": lambda s: learn_solver(s),
    "distill": lambda s: zoo.distill(s),
}


@pytest.mark.parametrize("what", NO_FIELD)
def test_a_student_has_no_field_and_says_whose_student_it_is(student, what):
    says = "the model cannot .*: it is a student of the-teacher in 2 evaluations and has no field"
    with pytest.raises(ZooError, match=says) as error:
        NO_FIELD[what](student)
    assert str(error.value).endswith("use its teacher the-teacher")


def test_the_denoiser_of_a_student_is_not_exported(student, tmp_path):
    with pytest.raises(ZooError, match="what='sampler'"):
        zoo.export(student, tmp_path / "out", format="torch")
    assert not (tmp_path / "out").exists()


def test_its_sampler_is(student, tmp_path):
    from zoo.exporting.graphs import sampler

    found = sampler(student, 2)
    noise = student.prior.sample(6, (2,), torch.Generator().manual_seed(0)).float()
    assert [one.name for one in found.graph.inputs] == ["noise", "labels"]
    flow = student._flow(torch.full((6,), 1))
    expected = student.solver.to_data(flow, noise, steps=2)
    graph = found.joined()
    got = graph(noise, torch.full((6,), 1))
    assert torch.allclose(got, expected.float(), atol=1e-4)
    assert found.evaluations == 2


def test_its_sampler_is_written_without_guidance_and_in_its_own_steps(student, tmp_path):
    folder = zoo.export(student, tmp_path / "out", format="torch", what="sampler")
    assert "guidance" not in (folder / "README.md").read_text()
    assert [*json.loads((folder / "manifest.json").read_text())["inputs"]] == ["noise", "labels"]
    with pytest.raises(ZooError, match="takes no other steps: leave solver and steps out"):
        zoo.export(student, tmp_path / "other", format="torch", what="sampler", steps=5)


def test_it_draws_with_its_own_parts_alone(student, tmp_path):
    def changed(kind, part):
        other = zoo.load(student.save(tmp_path / "it"))
        setattr(other, kind, part)
        return other

    kernel = zoo.kernel("gaussian", dim=2, t_max=40.0)
    network = teacher(labels=3, network="mlp").network
    wider = zoo.network("mlp", shape=(2,), kernel=kernel, width=48, blocks=1, labels=3)
    for kind, part in (("kernel", kernel), ("network", wider)):
        with pytest.raises(ZooError, match=f"the {kind} is not the one that"):
            changed(kind, part).sample(2)
    assert changed("network", network).sample(2).isfinite().all()  # other weights are not seen
    other = zoo.prior("gravity", zoo.kernel("gravity", dim=2))
    with pytest.raises(ZooError, match="the prior is not the one that"):
        changed("prior", other).sample(2)
    for prior in (other, zoo.prior("gaussian", kernel)):
        with pytest.raises(ZooError, match="starts from its own prior"):
            student.sample(2, prior=prior)
    assert torch.equal(student.sample(2, seed=0, prior=student.prior), student.sample(2, seed=0))


def test_its_walk_is_drawn_without_a_denoiser():
    student = zoo.distill(images(), **MOMENT)
    assert len(trajectories(student, 2).axes) == 2
    drawn = student.trajectory(2, seed=0)
    assert drawn.x.shape == (3, 2, 1, 8, 8)
    assert torch.equal(drawn.samples, student.sample(2, seed=0))


@pytest.mark.parametrize(
    "options",
    [{"steps": 3}, {"solver": "exp-abm3"}, {"solver": zoo.solver("learned", grid=[80.0, 2.0])}],
)
def test_it_takes_no_other_steps(student, options):
    with pytest.raises(ZooError, match="takes no other steps") as error:
        student.sample(**options)
    assert "the-teacher" in str(error.value)
    assert torch.equal(student.sample(2, seed=0, steps=2), student.sample(2, seed=0))
    assert torch.equal(student.sample(2, seed=0, solver="learned"), student.sample(2, seed=0))


def test_it_is_not_guided_nor_loaded_with_other_parts(student, tmp_path):
    with pytest.raises(ZooError, match="not guided"):
        student.sample(labels=1, guidance=2.0)
    folder = student.save(tmp_path / "it")
    with pytest.raises(ZooError, match="its own steps alone"):
        zoo.load(folder, solver="heun")
    with pytest.raises(ZooError, match="no field"):
        zoo.load(folder, kernel="gravity")
    other = zoo.load(folder)
    other.solver = zoo.solver("heun")
    with pytest.raises(ZooError, match="the solver is not the one"):
        other.save(tmp_path / "other")


def test_labels_are_learned_of_every_class_and_of_none():
    model = teacher(labels=3)
    labels = Teacher(model, model._guidance(None, None, None), 0, bf16=False).draw(256)
    assert set(labels.labels.tolist()) == {-1, 0, 1, 2}
    student = zoo.distill(model, **MOMENT)
    drawn = [student.sample(32, seed=0, labels=label) for label in (0, 1)]
    assert not torch.equal(*drawn)


def test_the_guidance_of_the_teacher_is_what_is_learned():
    model = teacher(labels=3)
    student = zoo.distill(model, guidance=2.0, **QUICK | {"images": 12_000})
    given = {"seed": 9, "labels": 1}
    strong, plain = (model.sample(256, guidance=g, **given) for g in (2.0, 1.0))
    drawn = student.sample(256, **given)
    assert distance(drawn, strong) < distance(drawn, plain)
    assert (student.distilled.guidance, student.distilled.guide) == (2.0, "")


def test_what_guides_the_teacher_by_default_is_learned_and_kept(tmp_path):
    model, guide = teacher(), teacher()
    stir(guide.network, 0.1)
    model.load_guide = lambda *_, **__: guide
    known = DefaultGuidance("owner/guide", 1.5)
    model.config = msgspec.structs.replace(model.describe(), guidance=known)
    student = zoo.distill(model, **MOMENT)
    assert (student.distilled.guidance, student.distilled.guide) == (1.5, "owner/guide")
    assert student.guidance is None
    card = (student.save(tmp_path / "it") / "README.md").read_text()
    assert "with guidance 1.5 by owner/guide" in card
    plain = zoo.distill(model, guidance=1.0, **MOMENT)
    assert (plain.distilled.guidance, plain.distilled.guide) == (None, "")
    assert plain.distilled.error != student.distilled.error


# Teachers as they come


def test_a_teacher_may_be_wrapped_frozen_in_training_or_asked_under_inference_mode():
    expected = zoo.distill(teacher(labels=3), **MOMENT)
    wrapped, frozen, training = (teacher(labels=3) for _ in range(3))
    wrapped.network = torch.nn.DataParallel(wrapped.network)
    frozen.requires_grad_(False)
    training.train()
    for model in (wrapped, frozen, training):
        student = zoo.distill(model, **MOMENT)
        assert torch.equal(student.sample(5, seed=0), expected.sample(5, seed=0))
        assert all(p.requires_grad for p in student.parameters())
        assert not student.training
    assert training.training
    assert not any(p.requires_grad for p in frozen.parameters())
    with torch.inference_mode():
        inside = zoo.distill(teacher(labels=3), **MOMENT)
    assert torch.equal(inside.sample(5, seed=0), expected.sample(5, seed=0))
    assert not any(p.is_inference() for p in inside.parameters())


def test_a_wrapped_model_of_classes_has_a_solver_learned():
    model = teacher(labels=3)
    model.network = torch.nn.DataParallel(model.network)
    assert learn_solver(model, steps=2, n=8, rounds=1).after > 0


def test_numbers_of_other_libraries_are_saved_as_ours(tmp_path):
    options = {"seed": np.int64(3), "guidance": np.float32(2)}
    student = zoo.distill(teacher(labels=3), **options, **MOMENT)
    loaded = zoo.load(student.save(tmp_path / "it"))
    known = loaded.distilled
    assert (known.seed, known.guidance) == (3, 2.0)
    assert torch.equal(loaded.sample(5, seed=0), student.sample(5, seed=0))


def test_a_student_of_standardised_data_draws_data():
    model = teacher()
    known = Standardise((100.0, -100.0), (3.0, 30.0))
    config = model.describe()
    data = msgspec.structs.replace(config.data, standardise=known)
    model.config = msgspec.structs.replace(config, data=data)
    student = zoo.distill(model, **QUICK)
    drawn, taught = student.sample(256, seed=9), model.sample(256, seed=9)
    off = known.apply(drawn.double()) - known.apply(taught.double())
    assert float(off.square().mean(dim=1).sqrt().mean()) == pytest.approx(
        student.distilled.error, rel=0.5
    )


def test_few_images_are_as_many():
    student = zoo.distill(teacher(), images=4, progress=False)
    assert student.distilled.trained == 4


# What cannot be a teacher

CANNOT = {
    "its network has no weights": lambda: zoo.exact("gaussian", torch.randn(9, 2)),
    "a posterior has no students": lambda: teacher().posterior(
        [0.5], lambda x: x[:, :1], noise=0.1
    ),
    "a lifted model asks a network": lambda: zoo.lift(teacher(), "gravity"),
    "draws samples given vectors": lambda: teacher(condition=[2]),
    "model is 3": lambda: 3,
}


def test_a_teacher_that_cannot_be_saved_is_refused_before_the_training(monkeypatch):
    model = teacher()
    model.solver.part = None
    monkeypatch.setattr(Run, "train", lambda *_: pytest.fail("trained"))
    with pytest.raises(ZooError, match="the solver has no name"):
        zoo.distill(model, **MOMENT)


@pytest.mark.parametrize("what", CANNOT)
def test_what_cannot_teach_is_refused_in_one_line(what):
    with pytest.raises(ZooError, match=what) as error:
        check_teacher(CANNOT[what]())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"evaluations": 0}, "evaluations"),
        ({"evaluations": 17}, "evaluations"),
        ({"minutes": 1, "images": 5}, "leave one out"),
        ({"minutes": -1}, "minutes"),
        ({"images": 0}, "images"),
        ({"batch": 0}, "batch"),
        ({"lr": 0}, "lr"),
        ({"precision": "float16"}, "precision"),
        ({"seed": -1}, "seed"),
        ({"guidance": 2.0}, "guidance"),
        ({"progress": 3}, "progress"),
    ],
)
def test_options_out_of_range_are_refused(options, told):
    with pytest.raises(ZooError, match=told):
        zoo.distill(teacher(), **{"images": 5, "minutes": None, **options})


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("evaluations", [1, 2, 4, 16])
def test_levels_to_begin_with_are_the_kernels(name, evaluations):
    model = teacher(name)
    for grid in few_levels(model.kernel, zoo.solver("exp-abm3"), evaluations, 0.5):
        solver = zoo.solver("learned", grid=grid)
        times = solver.times(model.kernel, model.kernel.t_max, model.kernel.t_min, evaluations)
        assert (times.diff() < 0).all()


@pytest.mark.parametrize("size", [1e-4, 1e-3, 0.5, 30.0, 1e3])
@pytest.mark.parametrize("ends", [(0.002, 80.0), (1e-4, 5.0), (0.5, 60.0)])
@pytest.mark.parametrize("evaluations", [2, 4, 16])
def test_levels_to_begin_with_fit_data_of_any_size_and_times(size, ends, evaluations):
    kernel = zoo.kernel("gaussian", dim=2, t_min=ends[0], t_max=ends[1])
    for grid in few_levels(kernel, zoo.solver("exp-abm3"), evaluations, size):
        solver = zoo.solver("learned", grid=grid)
        times = solver.times(kernel, kernel.t_max, kernel.t_min, evaluations)
        assert (times.diff() < 0).all()
        assert kernel.level(times[:-1]).tolist() == pytest.approx(grid)


# The command


def run(capsys, *words):
    with pytest.raises(SystemExit) as done:
        main([*map(str, words)])
    out, err = capsys.readouterr()
    return done.value.code or 0, out, err


def test_the_command_writes_a_student_and_show_tells_what_it_is(tmp_path, capsys):
    folder = teacher().save(tmp_path / "two-d")
    asked = ["--images", 2000, "--batch", 100, "--lr", "5e-3", "--json"]
    status, out, _ = run(capsys, "distill", folder, "-o", tmp_path / "it", *asked)
    assert status == 0
    told = json.loads(out)
    assert (told["teacher"], told["evaluations"]) == ("two-d", 2)
    assert told["error"] < told["error_before"]
    _, out, _ = run(capsys, "show", tmp_path / "it")
    assert "a student of two-d in 2 evaluations; it has no field" in out


def test_the_command_writes_nothing_where_no_student_is_better(tmp_path, capsys):
    folder = teacher().save(tmp_path / "two-d")
    asked = ["--images", 40, "--batch", 20, "--lr", "1e-5"]
    status, _, err = run(capsys, "distill", folder, "-o", tmp_path / "it", *asked)
    assert status == 1
    assert "no student better than" in err
    assert not (tmp_path / "it").exists()


def test_the_command_does_not_replace_the_teacher(tmp_path, capsys, monkeypatch):
    folder = teacher().save(tmp_path / "two-d")
    before = (folder / "model.safetensors").read_bytes()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    for out in ("./two-d", folder, tmp_path / "link"):
        status, _, err = run(capsys, "distill", "./two-d", "-o", out, "--images", 40)
        assert status == 1
        assert "holds a model, which stays; name another folder" in err
    assert (folder / "model.safetensors").read_bytes() == before


def test_ctrl_c_leaves_nothing(tmp_path, capsys, monkeypatch):
    folder = teacher().save(tmp_path / "two-d")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "advance", interrupted)
    status, _, err = run(capsys, "distill", folder, "-o", tmp_path / "it", "--images", 40)
    assert status == 130
    assert "Traceback" not in err
    with pytest.raises(KeyboardInterrupt, match="nothing was kept"):
        zoo.distill(teacher(), **MOMENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two-d"]
