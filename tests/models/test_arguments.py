"""What models take: arrays and lists, labels by number and name; and what they say of the rest."""

import inspect
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from operator import methodcaller

import numpy as np
import pytest
import torch
from forked import CONTEXT
from tiny_models import images, points
from torch import nn

import zoo
from zoo.errors import ZooError, ZooWarning
from zoo.models.names import name_of

X = [[0.25, -0.5], [1.0, 0.75], [-0.125, 0.5]]
# The same data in every form that numbers have.
FORMS = {
    "lists": X,
    "tuples": tuple(map(tuple, X)),
    "array": np.array(X),
    "read-only": np.frombuffer(np.array(X).tobytes()).reshape(3, 2),
    "float32": np.array(X, dtype=np.float32),
    "rows": [np.array(row) for row in X],
    "tensor": torch.tensor(X),
    "strided": np.array(X).T.copy().T,
    "other byte order": np.array(X).astype(">f8"),
    "long double": np.array(X).astype(np.longdouble),
}
QUICK = {"solver": "heun", "steps": 3}
CALLS = {
    "field": lambda m, x, **o: m.field(x, 1.0, **o),
    "denoise": lambda m, x, **o: m.denoise(x, 1.0, **o),
    "encode": lambda m, x, **o: m.encode(x, **QUICK, **o),
    "decode": lambda m, x, **o: m.decode(x, **QUICK, **o),
    "log_prob": lambda m, x, **o: m.log_prob(x, steps=2, **o),
    "log_likelihood": lambda m, x, **o: m.log_likelihood(x, **QUICK, **o).nats,
}
GUIDED = [call for call in CALLS if not call.startswith("log")]


@pytest.fixture(scope="module")
def model():
    return points(labels=3)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A model whose classes have names."""
    folder = points(labels=3).save(tmp_path_factory.mktemp("named") / "animals")
    text = (folder / "config.json").read_text()
    named = text.replace('"labels": 3', '"labels": 3, "classes": ["cats", "dogs", "2"]', 1)
    (folder / "config.json").write_text(named)
    return zoo.load(folder)


@pytest.fixture(scope="module")
def of_float64(model):
    """Return what each call says of X in float64."""
    return cache(lambda call: CALLS[call](model, torch.tensor(X, dtype=torch.float64)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS)
def test_numbers_are_taken_in_every_form(model, of_float64, call, form):
    expected = of_float64(call)
    found = CALLS[call](model, FORMS[form])
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_so_does_the_exact_field(form):
    found = zoo.exact("gaussian", FORMS[form]).denoise(X, 0.5)
    expected = zoo.exact("gaussian", torch.tensor(X)).denoise(torch.tensor(X), 0.5)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-4)


def test_times_too(model):
    expected = model.denoise(X, torch.tensor([0.5, 1.0, 2.0]))
    for times in ([0.5, 1.0, 2.0], np.array([0.5, 1.0, 2.0]), (0.5, 1, 2)):
        assert torch.equal(model.denoise(X, times), expected)
    for time in (np.float32(0.5), np.array(0.5), torch.tensor(0.5)):
        assert torch.equal(model.denoise(X, time), model.denoise(X, 0.5))


def test_points_may_be_whole_numbers_but_bytes_are_no_data():
    assert torch.equal(
        points().denoise([[0, 1]], 1.0), points().denoise(torch.tensor([[0.0, 1.0]]).double(), 1.0)
    )
    for pixels in (torch.zeros(1, 1, 8, 8, dtype=torch.uint8), np.zeros((1, 1, 8, 8), int)):
        for call in ("field", "denoise", "encode", "decode"):
            with pytest.raises(ZooError, match=r"floating-point numbers, images in \[-1, 1\]"):
                CALLS[call](images(), pixels)


@pytest.mark.parametrize("call", ["encode", "log_prob"])
def test_images_far_outside_their_range_are_warned_of(call):
    with pytest.warns(ZooWarning, match=r"from 0 to 255; the model's data are images in \[-1, 1\]"):
        CALLS[call](images(), torch.linspace(0, 255, 64).reshape(1, 1, 8, 8))


@pytest.mark.parametrize("call", CALLS)
def test_labels_say_the_class_as_for_samples(model, call):
    plain, first, second = (CALLS[call](model, X, labels=k) for k in (None, 0, 1))
    assert not torch.equal(first, plain)
    mixed = CALLS[call](model, X, labels=[0, 1, -1])
    torch.testing.assert_close(mixed, torch.stack([first[0], second[1], plain[2]]))
    for same in (np.array([0, 1, -1]), torch.tensor([0, 1, -1]), (0, 1, -1)):
        assert torch.equal(CALLS[call](model, X, labels=same), mixed)


def test_labels_hold_for_the_rows_of_their_batch(model):
    whole = model.log_likelihood(X, labels=[0, 1, 2], **QUICK).nats
    for size in (1, 2):
        parts = model.log_likelihood(X, labels=[0, 1, 2], batch_size=size, **QUICK).nats
        torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("call", GUIDED)
def test_guidance_follows_the_class(model, call):
    ask = CALLS[call]
    assert not torch.equal(ask(model, X, labels=1, guidance=3.0), ask(model, X, labels=1))


def test_guided_denoisers_are_mixed_of_two(model):
    plain, first = model.denoise(X, 1.0), model.denoise(X, 1.0, labels=0)
    mixed = model.denoise(X, 1.0, labels=0, guidance=3.0)
    torch.testing.assert_close(mixed, plain + 3 * (first - plain), rtol=1e-4, atol=1e-5)


def test_classes_have_names(named):
    assert named.classes == ("cats", "dogs", "2")
    draw = {"seed": 0, "steps": 3}
    assert torch.equal(named.sample(2, labels="dogs", **draw), named.sample(2, labels=1, **draw))
    mixed = named.sample(3, labels=["2", "cats", 1], **draw)
    assert torch.equal(mixed, named.sample(3, labels=[2, 0, 1], **draw))
    assert torch.equal(named.denoise(X, 1.0, labels="cats"), named.denoise(X, 1.0, labels=0))
    with pytest.raises(ZooError, match=r"no class 'dog'; did you mean 'dogs'\?"):
        named.sample(2, labels="dog")
    with pytest.raises(ZooError, match="labels = 'dogs'; expected one number"):
        points(labels=3).sample(2, labels="dogs")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is None; expected a tensor, an array or lists"),
        ("text", "is 'text'; expected"),
        ([[1.0], [1.0, 2.0]], "is a list; expected .* rows of one length"),
        ([["a", "b"]], "is a list"),
        (object(), "is a object"),
        (np.array([[True, False]]), "is bool"),
        (np.zeros((1, 2), complex), "is complex128"),
        (torch.zeros(1, 2).to_sparse(), "is torch.sparse_coo .*; expected a dense tensor"),
        ([0.5, 0.5], r"has shape \(2,\); expected \(n, \*\(2,\)\); one sample is x"),
        ([[float("nan"), 0.0]], "is not finite"),
        (np.ma.array([[0.5, 0.5]], mask=[[True, False]]), "is a masked array"),
    ],
)
def test_what_are_no_numbers_is_told(model, call, value, message):
    with pytest.raises(ZooError, match=f"x(_0|_T)? {message}") as error:
        CALLS[call](model, value)
    assert len(str(error.value)) <= 500
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.sample(2, guidance=[], labels=1), r"guidance = \[\]; expected a finite"),
        (lambda m: m.sample(2, solver=3), "solver = 3; expected a name such as"),
        (lambda m: m.sample(2, prior="gravity"), "prior is 'gravity'; expected a PriorSampler"),
        (lambda m: m.sample(2, generator=5), "generator is a int; expected a torch.Generator"),
        (lambda m: m.denoise(X, None), "t is None; expected"),
        (lambda m: m.denoise(X, True), "t is bool; expected"),
        (lambda m: m.save(None), "folder: .*; expected a path"),
        (lambda m: m.save("x", dtype="int8"), "dtype = 'int8'; expected one of float16, bfloat16"),
        (lambda m: m.save("x", dtype="float8_e4m3fn"), "dtype = 'float8_e4m3fn'; expected one"),
        (lambda _: zoo.load(None), "None is not a model reference; write a name of `zoo list`"),
        (lambda _: zoo.load("gravity-digits", dtype="half-ish"), "dtype = 'half-ish'"),
        (lambda _: zoo.load("gravity-digits", device=1.5), "device 1.5 is not available"),
        (lambda _: zoo.exact("gaussian", None), "data is None"),
        (lambda _: zoo.exact(3, X), "kernel is 3; expected a FieldKernel"),
        (lambda _: zoo.exact("gaussian", X, solver=0), "solver is 0; expected a Solver"),
        (lambda _: zoo.lift("gravity-digits", "tanh"), "model is 'gravity-digits'; expected a F"),
        (lambda m: zoo.lift(m, 3), "kernel is 3; expected a FieldKernel"),
        (lambda _: zoo.list_models(3), "pattern = 3; expected text"),
        (lambda _: zoo.components(["kernels"]), r"no kind of component \['kernels'\]"),
        (lambda _: zoo.kernel("gravity", dim=10**6000), "dim = "),
        (lambda _: zoo.kernel("gravity", dim=2, t_max=10**6000), "t_max = "),
        (lambda m: zoo.prior(3, m.kernel), "prior = 3; expected a name"),
        (lambda m: zoo.network("mlp", shape=(True, 2), kernel=m.kernel), r"shape = \(True, 2\)"),
        (lambda _: zoo.optimise_grid(None), "model is None; expected a FieldModel"),
        (lambda _: zoo.push(None, "a/b"), "None is not a model reference"),
        (lambda _: zoo.pull(5), "5 is not a model reference"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(model, call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError, match=message) as error:
        call(model)
    assert len(str(error.value)) <= 500
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "part", "message"),
    [
        ("kernel", "gravity", r"kernel is 'gravity'; expected a FieldKernel, as zoo.kernel\("),
        ("prior", None, "prior is None; expected a PriorSampler"),
        ("solver", "heun", "solver is 'heun'; expected a Solver"),
        ("network", nn.Linear(2, 2), "network is a Linear; expected a zoo.interfaces.Network"),
        ("network", nn.DataParallel(nn.Linear(2, 2)), "network is a DataParallel; expected"),
        ("network", print, "network is <built-in function print>; expected a Network"),
    ],
)
def test_what_is_no_part_is_refused_at_once(kind, part, message):
    model = points()
    parts = {k: getattr(model, k) for k in ("kernel", "prior", "network", "solver")}
    with pytest.raises(ZooError, match=message):
        zoo.FieldModel(**{**parts, kind: part}, shape=(2,))
    with pytest.raises(ZooError, match=message):
        setattr(model, kind, part)
    assert getattr(model, kind) is parts[kind]


def test_sample_has_the_arguments_of_trajectory_but_for_keep():
    sample, trajectory = (
        inspect.signature(getattr(zoo.FieldModel, name)) for name in ("sample", "trajectory")
    )
    names = [*trajectory.parameters]
    assert [*sample.parameters] == [name for name in names if name != "keep"]
    assert sample.return_annotation == "Tensor"
    assert sample.parameters["guidance"].default is None
    with pytest.raises(TypeError, match="unexpected keyword argument 'stepz'"):
        points().sample(2, stepz=3)


# What a person reads


def test_a_model_says_what_it_is_in_one_screen(named):
    text = repr(named)
    assert text.splitlines()[0].startswith("FieldModel 'animals': samples of shape (2,), 3 classes")
    assert "18 steps" in text
    kinds = [line.split(":")[0].strip() for line in text.splitlines()[1:]]
    assert kinds == ["kernel", "prior", "network", "solver"]
    for words in ("GravityKernel('gravity', dim=2, t_min=", "t_max=", "'mlp', width=16", "Heun('h"):
        assert words in text
    assert len(text) < 1000


def test_parts_say_what_they_are():
    kernel = zoo.kernel("gravity", dim=784, t_max=40.0)
    assert repr(kernel) == f"GravityKernel('gravity', t_max=40, dim=784, t_min={kernel.t_min:.6g})"
    solver = zoo.solver("heun", grid=[9.0 - i for i in range(9)])
    assert repr(solver).startswith("Heun('heun', grid=[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, ...], order=2")
    network = images().network
    assert "\n" not in repr(network)
    count = sum(p.numel() for p in network.parameters())
    assert f"parameters={count}" in repr(network)


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("gravity-digits", "gravity-digits"),
        ("wind:gravity-digits", "gravity-digits"),
        ("hub:me/model-of-mine@main", "model-of-mine"),
        ("./runs/moons/model", "moons"),
        ("/data/moons", "moons"),
    ],
)
def test_a_name_by_reference(ref, name):
    assert name_of(ref) == name


def test_names_of_models(tmp_path):
    assert zoo.load("gravity-digits").name == "gravity-digits"
    assert points().name == ""
    folder = points("gaussian").save(tmp_path / "run" / "model")
    model = zoo.load(folder)
    assert model.name == "run"
    assert zoo.lift(model, "gravity").name == "run"


# Models and their parts travel


@pytest.mark.parametrize("make", [points, images])
def test_a_model_can_be_pickled_before_and_after_it_sampled(make, tmp_path):
    model = make(solver="exp-abm3")
    for _ in range(2):
        again = pickle.loads(pickle.dumps(model))
        drawn = model.sample(2, seed=0, steps=3)
        assert torch.equal(again.sample(2, seed=0, steps=3), drawn)
        assert repr(again) == repr(model)
    torch.save(model, tmp_path / "m.pt")
    again = torch.load(tmp_path / "m.pt", weights_only=False)
    assert torch.equal(again.sample(2, seed=0, steps=3), drawn)
    assert again.describe() == model.describe()


@pytest.mark.parametrize("name", zoo.list_models("gravity-*"))
def test_shipped_models_can_be_pickled(name):
    try:
        model = zoo.load(name, local_files_only=True)
    except ZooError:
        pytest.skip("its weights are not on this disk")
    assert pickle.loads(pickle.dumps(model)).config == model.config


def test_a_run_leaves_nothing_in_a_pickled_solver():
    model = points(solver="exp-abm3")
    before = len(pickle.dumps(model.solver))
    model.sample(2, seed=0, steps=3)
    assert len(pickle.dumps(model.solver)) == before


def test_lifted_and_exact_models_can_be_pickled():
    exact = zoo.exact("gaussian", X)
    for model in (exact, zoo.lift(exact, "gravity"), zoo.lift(points("gaussian"), "tanh")):
        again = pickle.loads(pickle.dumps(model))
        draw = {"seed": 0, "steps": 3}
        assert torch.equal(again.sample(2, **draw), model.sample(2, **draw))


def test_a_process_of_its_own_draws_the_same():
    model = points()
    draw = methodcaller("sample", 2, seed=0, steps=3)
    with ProcessPoolExecutor(1, mp_context=CONTEXT) as pool:
        assert torch.equal(pool.submit(draw, model).result(), draw(model))


@pytest.mark.parametrize("ask", ["denoise", "field"])
def test_points_too_far_for_the_network_are_told(ask):
    model = points()
    with pytest.raises(ZooError, match="the network's output is not finite at t = 1"):
        getattr(model, ask)([[1e160, 0.0]], 1.0)
    assert getattr(model, ask)([[1e10, 0.0]], 1.0).isfinite().all()


@pytest.mark.parametrize(
    "ask",
    [
        lambda n: zoo.solver("heun", grid=n),
        lambda n: zoo.kernel("flow", dim=2, covariance=n),
        lambda n: zoo.kernel("gaussian", dim=2).sample(torch.zeros(1, 2), n),
    ],
    ids=["grid", "option", "time"],
)
def test_a_whole_number_of_thousands_of_digits_is_told(ask):
    with pytest.raises(ZooError) as refusal:
        ask(10**5000)
    assert len(str(refusal.value)) <= 500


def test_an_exact_field_of_data_that_keep_a_gradient_is_of_the_data():
    x, w = torch.tensor(X, requires_grad=True), torch.ones(3, requires_grad=True)
    with warnings.catch_warnings(record=True) as told:  # torch tells of it once in a process
        warnings.simplefilter("always")
        torch.set_warn_always(True)
        try:
            model = zoo.exact("gaussian", x, weights=w)
        finally:
            torch.set_warn_always(False)
    assert not told
    plain = zoo.exact("gaussian", x.detach())
    assert torch.equal(model.sample(2, seed=0), plain.sample(2, seed=0))
