"""zoo.export and `zoo export`: graphs say what the model says; what cannot be one is refused."""

import hashlib
import json
import re
import zipfile

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from kernel_cases import CASES
from kernel_cases import build as build_kernel
from tiny_models import images, points, stir

import zoo
from zoo.cli import main
from zoo.exporting.graphs import denoiser, sampler
from zoo.exporting.onnx_file import _store_singly
from zoo.exporting.record import Input, record
from zoo.exporting.torch_file import pickles_in
from zoo.interfaces import KernelPrior

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
ort = pytest.importorskip("onnxruntime")

SHIPPED = [name for name in zoo.list_models() if name in zoo.list_models("*-fashion-mnist*")]
SHIPPED += ["gravity-digits"]


def session(folder):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(folder / "model.onnx", options)


def run(folder, *inputs):
    graph = session(folder)
    names = [one.name for one in graph.get_inputs()]
    feed = dict(zip(names, (np.asarray(x) for x in inputs), strict=True))
    return torch.from_numpy(graph.run(None, feed)[0]), names


def states(model, n, seed=0):
    """States x_t of noise alone, and times over the kernel's range."""
    low, high = torch.tensor([model.kernel.t_min, model.kernel.t_max]).double().log()
    t = torch.linspace(low + 1e-3, high - 1e-3, n).double().exp()
    generator = torch.Generator().manual_seed(seed)
    data = torch.rand(n, *model.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return model.kernel.sample(data, t, generator).to(model.dtype), t.to(model.dtype)


def difference(found, expected):
    """The largest error, relative to the largest number where that is above 1."""
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def slow(*cases):
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folders of both graphs of gravity-digits; the command writes the denoiser's."""
    folder = tmp_path_factory.mktemp("exports")
    result = CliRunner().invoke(main, ["export", "gravity-digits", str(folder / "denoiser")])
    assert result.exit_code == 0, result.output
    assert "the denoiser of gravity-digits" in result.output
    sampled = zoo.export("gravity-digits", folder / "sampler", what="sampler", steps=4)
    return {"denoiser": folder / "denoiser", "sampler": sampled}


def test_what_the_command_writes_is_the_denoiser_of_a_shipped_model(written):
    says_what_torch_says("gravity-digits", written["denoiser"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED[:-1])
def test_the_denoiser_of_a_shipped_model_is_torchs(name, tmp_path):
    says_what_torch_says(name, zoo.export(name, tmp_path / "out"))


def says_what_torch_says(name, folder):
    model = zoo.load(name)
    for n in (1, 5):
        x, t = states(model, n)
        conditions, options = (), {}
        if model.data.labels:
            labels = torch.arange(n) - 1
            conditions, options = (labels, np.float32(1.5)), {"labels": labels, "guidance": 1.5}
        if model.condition is not None:
            given = torch.rand(n, *model.condition.shape) * 2 - 1
            conditions, options = (given, np.float32(1)), {"condition": given}
        found, names = run(folder, x, t, *conditions)
        assert names[:2] == ["x", "t"]
        assert difference(found, model.denoise(x, t, **options)) < 1e-4


def model_of(case, dim=6):
    kernel = build_kernel(case, dim)
    torch.manual_seed(0)
    network = stir(zoo.network("mlp", shape=(dim,), kernel=kernel, width=16, blocks=1))
    return zoo.FieldModel(kernel, KernelPrior(kernel), network, zoo.solver("heun"), (dim,))


# Their densities are quadratures, roots, or looked at for how far out they are.
REFUSED = ("map", "phi-laplace", "phi-warped", "psi-warped")


@pytest.mark.parametrize("case", ["gravity", *slow(*(case for case in CASES if case != "gravity"))])
def test_every_kernel_is_exported(case, tmp_path):
    """With a network, of points; where there is no denoiser, the field."""
    model = model_of(case)
    folder = zoo.export(model, tmp_path / "out")
    x, t = states(model, 7)
    found, _ = run(folder, x, t)
    output = next(iter(json.loads((folder / "manifest.json").read_text())["outputs"]))
    assert output == ("denoised" if model.kernel.affine else "field")
    evaluate = model.denoise if model.kernel.affine else model.field
    assert difference(found, evaluate(x, t)) < 1e-4


@pytest.mark.parametrize("case", [c for c in CASES if c != "phi-warped"])
def test_the_record_of_every_kernel_says_what_the_model_says(case):
    model = model_of(case)
    x, t = states(model, 7)
    evaluate = model.denoise if model.kernel.affine else model.field
    assert difference(denoiser(model).graph(x, t), evaluate(x, t)) < 1e-5


@pytest.mark.parametrize("case", [c for c in CASES if c not in REFUSED])
def test_the_record_of_exact_fields_says_what_they_say(case):
    data = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    model = zoo.exact(build_kernel(case, 3), data)
    x, t = states(model, 4)
    evaluate = model.denoise if model.kernel.affine else model.field
    assert difference(denoiser(model).graph(x, t), evaluate(x, t)) < 1e-12


@pytest.mark.parametrize("case", ["map", "phi-laplace", "psi-warped"])
def test_an_exact_field_whose_law_is_a_root_or_a_quadrature_is_refused(case):
    model = zoo.exact(build_kernel(case, 3), torch.randn(5, 3).double())
    with pytest.raises(zoo.ZooError, match=r"what no graph can|gives other numbers than the"):
        denoiser(model)


@pytest.mark.slow
def test_the_exact_field_of_a_few_points_is_exported(tmp_path):
    data = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    model = zoo.exact("gravity", data)
    found, _ = run(zoo.export(model, tmp_path / "out"), *states(model, 4))
    assert difference(found, model.denoise(*states(model, 4))) < 1e-6


def starts(model):
    """Starting points, a whole group of 16, as the model's prior draws them."""
    return model.prior.sample(16, model.shape, torch.Generator().manual_seed(3)).to(model.dtype)


def same_samples(model, folder, n, tolerance, **options):
    noise = starts(model)
    conditions = ()
    if "labels" in options:
        conditions = (torch.full((n,), options["labels"]), np.float32(options["guidance"]))
    if "condition" in options:
        conditions = (options["condition"], np.float32(1))
    found, _ = run(folder, noise, *conditions)
    expected = walked(model, noise, **options)
    assert difference(found, expected) < tolerance


def walked(model, noise, **options):
    """The samples of `model` from these starting points."""

    class Given(KernelPrior):
        def sample(self, n, shape, generator=None):
            return noise.double()

    return model.sample(16, seed=0, prior=Given(model.kernel), **options)


def learned():
    model, rows = images(), [[], [0.1], [-0.1, 0.2], [0.1, 0, -0.1]]
    model.solver = zoo.solver("learned", grid=[80.0, 9.0, 1.5, 0.2], coefficients=rows)
    return model


SAMPLERS = {
    "heun": (lambda: images(), {"steps": 8}),
    "learned": (learned, {"steps": 4}),
    "lift": (lambda: zoo.lift(zoo.load("gaussian-fashion-mnist"), "gravity"), {"steps": 5}),
    "flow": (lambda: images("flow", solver="exp-abm4"), {"steps": 8}),
    "rk4": (lambda: images("gaussian", solver="rk4"), {"steps": 8}),
    "points": (lambda: points("pfgmpp", dim=5, solver="ab3"), {"steps": 8}),
    "classes": (lambda: images("tanh", solver="exp-abm3", labels=3), {"steps": 8}),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_record_of_a_sampler_draws_what_the_model_draws(name):
    build, options = SAMPLERS[name]
    model = build()
    graph = sampler(model, options.get("steps", model.steps)).graph
    conditions = {"labels": 2, "guidance": 2.0} if model.data.labels else {}
    noise = starts(model)
    inputs = (torch.full((16,), 2), torch.tensor(2.0)) if conditions else ()
    expected = walked(model, noise, **options, **conditions)
    assert difference(graph(noise, *inputs), expected) < 1e-4


def test_a_learned_solver_is_exported_in_its_own_steps():
    found = sampler(learned(), 4)
    assert found.evaluations == len(found.times) == 4
    assert found.times[-1] > 10 * learned().kernel.t_min


@pytest.mark.parametrize("name", ["classes", *slow("heun", "lift", "flow", "rk4", "points")])
def test_a_sampler_draws_what_the_model_draws(name, tmp_path):
    build, options = SAMPLERS[name]
    model = build()
    folder = zoo.export(model, tmp_path / "out", what="sampler", **options)
    if model.data.labels:
        options = {**options, "labels": 2, "guidance": 2.0}
    same_samples(model, folder, 16, 1e-3, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_the_sampler_of_a_shipped_model_draws_its_images(name, tmp_path):
    model = zoo.load(name)
    options = {"labels": 2, "guidance": 1.0} if model.data.labels else {}
    if model.condition is not None:
        options = {"condition": torch.rand(16, *model.condition.shape) * 2 - 1}
    same_samples(model, zoo.export(model, tmp_path / "out", what="sampler"), 16, 1e-3, **options)


def test_a_model_of_standardised_columns_speaks_in_their_units():
    rows = np.random.default_rng(0).normal([1000.0, -3.0], [50.0, 0.1], size=(80, 2))
    model = zoo.fit(rows, images=200, progress=False, network={"use": "mlp", "width": 16})
    x, t = torch.tensor(rows[:4]).float(), torch.full((4,), 0.1)
    assert difference(denoiser(model).graph(x, t), model.denoise(x, t)) < 1e-5
    noise = starts(model)
    found = sampler(model, 8).graph(noise)
    assert difference(found, walked(model, noise, steps=8)) < 1e-4


def test_a_model_given_a_condition_takes_it_in_data_units():
    rows = np.random.default_rng(0).normal([1000.0, -3.0], [50.0, 0.1], size=(80, 2))
    network = {"use": "mlp", "width": 16, "blocks": 1}
    model = zoo.fit(rows, condition=rows, images=200, progress=False, network=network)
    stir(model.network)
    assert model.condition.standardise is not None
    x, t, guidance = torch.tensor(rows[:3]).float(), torch.full((3,), 0.1), torch.tensor(1.5)
    given = x.flip(0)
    graph = denoiser(model).graph
    assert [one.name for one in graph.inputs] == ["x", "t", "condition", "guidance"]
    expected = model.denoise(x, t, condition=given, guidance=1.5)
    assert difference(graph(x, t, given, guidance), expected) < 1e-5
    other = graph(x, t, torch.full_like(given, torch.nan), guidance)
    assert not torch.allclose(other, expected, rtol=1e-4)
    noise, rows = starts(model), given[:1].expand(16, 2)
    expected = walked(model, noise, steps=6, condition=rows, guidance=1.5)
    assert difference(sampler(model, 6).graph(noise, rows, guidance), expected) < 1e-4


@pytest.mark.parametrize("what", ["denoiser", pytest.param("sampler", marks=pytest.mark.slow)])
def test_the_file_of_torch_holds_no_pickle_and_says_the_same(what, tmp_path):
    model = images(labels=2)
    folder = zoo.export(model, tmp_path / "out", format="torch", what=what, **steps_of(what))
    assert not pickles_in(folder / "model.pt2")
    graph = torch.export.load(folder / "model.pt2").module()
    labels, guidance = torch.tensor([0, 1, -1]), torch.tensor(1.5)
    if what == "denoiser":
        x, t = states(model, 3)
        expected = model.denoise(x, t, labels=labels, guidance=1.5)
        assert difference(graph(x, t, labels, guidance), expected) < 1e-5
    else:
        x = model.prior.sample(16, model.shape, torch.Generator().manual_seed(0)).float()
        found = graph(x, torch.zeros(16, dtype=torch.long), guidance)
        assert difference(found, walked(model, x, steps=4, labels=0, guidance=1.5)) < 1e-4


def steps_of(what):
    return {"steps": 4} if what == "sampler" else {}


def test_a_pickle_in_a_zip_is_seen(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "inner.pt")
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.write(tmp_path / "inner.pt", "model/data/sample_inputs/model.pt")
    assert pickles_in(tmp_path / "a.pt2") == ["model/data/sample_inputs/model.pt"]


def test_what_is_a_pickle_is_said_by_the_lists_in_the_file(tmp_path):
    listed = {"a": {"path_name": "tensor_0", "use_pickle": False}}
    listed["b"] = {"path_name": "tensor_1", "use_pickle": True}
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        for i in range(3):
            archive.writestr(f"model/data/constants/tensor_{i}", b"\x80\x02")
        text = json.dumps({"config": listed})
        archive.writestr("model/data/constants/model_constants_config.json", text)
    names = [f"model/data/constants/tensor_{i}" for i in (1, 2)]
    assert pickles_in(tmp_path / "a.pt2") == names


def test_what_torch_cannot_trace_is_one_line(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no\nway")

    monkeypatch.setattr(torch.export, "export", fails)
    with pytest.raises(zoo.ZooError, match=r"torch\.export cannot trace the graph: no way"):
        zoo.export(images(), tmp_path / "out", format="torch")


def test_constants_of_float64_are_stored_as_float32_where_they_are_such():
    exact, other = np.arange(1024.0), np.arange(1024.0) / 3
    other[0] = 1e300
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node("Add", ["exact", "other"], ["sum"])],
        "sum",
        [],
        [helper.make_tensor_value_info("sum", double, [1024])],
        [onnx.numpy_helper.from_array(x, n) for n, x in (("exact", exact), ("other", other))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    _store_singly(model)
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    assert kinds == {"exact.single": onnx.TensorProto.FLOAT, "other": double}
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {})
    assert np.array_equal(found, exact + other)


def test_the_manifest_says_what_a_graph_takes_and_gives(written):
    for what, folder in written.items():
        said = json.loads((folder / "manifest.json").read_text())
        graph = session(folder)
        assert said["what"] == what
        assert [one.name for one in graph.get_inputs()] == [*said["inputs"]]
        assert [one.name for one in graph.get_outputs()] == [*said["outputs"]]
        for one in graph.get_inputs():
            assert said["inputs"][one.name]["shape"] == [*one.shape]
            assert one.type == "tensor(float)"
        fact = said["files"]["model.onnx"]
        content = (folder / "model.onnx").read_bytes()
        assert fact == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    solver = said["solver"]
    model = zoo.load("gravity-digits")
    assert solver["evaluations"] == solver["steps"] == 4
    assert solver["times"][0] == model.kernel.t_max
    assert solver["times"][-2:] == [model.kernel.t_min, 0.0]
    config = model.config
    assert said["weights"] == {n: file.sha256 for n, file in config.weights.files.items()}
    onnx.checker.check_model(str(folder / "model.onnx"))


def test_the_readme_runs(written, monkeypatch):
    for folder in written.values():
        monkeypatch.chdir(folder)
        text = (folder / "README.md").read_text(encoding="utf-8")
        (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
        names = {}
        exec(compile(code, "README.md", "exec"), names)
        assert names["result"].shape == (4, 1, 8, 8)
        assert np.isfinite(names["result"]).all()


def test_the_law_of_noise_in_the_manifest_is_that_of_the_prior(written):
    law = json.loads((written["sampler"] / "manifest.json").read_text())["noise"]
    model, n = zoo.load("gravity-digits"), 20_000
    x = model.prior.sample(n, model.shape, torch.Generator().manual_seed(0))
    drawn = x.flatten(1).norm(dim=1).log().sort()[0].numpy()
    logit = np.interp(drawn, law["log_radius"], np.linspace(*law["logit"], len(law["log_radius"])))
    q = 1 / (1 + np.exp(-logit))
    assert np.abs(q - (np.arange(n) + 0.5) / n).max() < 1.63 / n**0.5  # Kolmogorov, 1 in 100


def big():
    return zoo.exact("gravity", torch.zeros(60_000, 784))


def posterior():
    return points().posterior([0.5], lambda x: x[:, :1], noise=0.1)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (big, {}, "60,000 sources holds 47,040,000 numbers; a graph holds at most"),
        (lambda: images(solver="dopri5"), {"what": "sampler"}, "dopri5 chooses its own steps"),
        (
            lambda: images(solver="exp-adaptive"),
            {"what": "sampler"},
            "exp-adaptive chooses its own steps, which no graph can",
        ),
        (learned, {"what": "sampler", "steps": 7}, "learned is made for samples in 4 steps"),
        (learned, {"what": "sampler", "steps": 1}, "learned is made for samples in 4 steps"),
        (images, {"format": "tflite"}, "format = 'tflite'; there are onnx and torch"),
        (images, {"what": "network"}, "what = 'network'; there are denoiser and sampler"),
        (images, {"steps": 5}, "steps = 5; a denoiser takes none"),
        (images, {"what": "sampler", "steps": 0}, "steps = 0"),
        (images, {"what": "sampler", "steps": 1001}, "steps = 1,001; every step is in the graph"),
        (posterior, {}, "a posterior asks the network for its derivatives"),
        (posterior, {"what": "sampler"}, "a posterior asks the network for its derivatives"),
        (lambda: 3, {}, "model is 3; expected a FieldModel"),
        (lambda: "gravity-digit", {}, "gravity-digits"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(build, options, message, tmp_path):
    with pytest.raises(zoo.ZooError) as error:
        zoo.export(build(), tmp_path / "out", **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert [*tmp_path.iterdir()] == []


def test_noise_on_the_way_is_refused(tmp_path):
    model = images()
    model.solver = zoo.solver("heun-churn", s_churn=5.0)
    with pytest.raises(zoo.ZooError, match=r"heun-churn .*adds noise on the way"):
        zoo.export(model, tmp_path / "out", what="sampler")


def test_a_place_that_is_taken_is_refused_before_the_work(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(zoo.ZooError, match="is there already"):
        zoo.export("no-such-model", tmp_path / "out")
    with pytest.raises(zoo.ZooError, match="there is no folder"):
        zoo.export("no-such-model", tmp_path / "no" / "out")


def test_a_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(zoo.ZooError, match=r"pip install 'fieldzoo\[export\]'"):
        zoo.export("gravity-digits", tmp_path / "out")


def test_what_depends_on_values_is_refused_and_says_so():
    with pytest.raises(zoo.ZooError, match="depending on values"):
        record(lambda x: x if float(x.sum()) > 0 else -x, [Input("x", (2,), torch.float32)])


class Branching(zoo.interfaces.Network):
    """A network whose branches of Python see values that a record does not have."""

    def __init__(self, kind, shape):
        super().__init__()
        self.kind, self.shape, self.labels = kind, shape, 2

    def forward(self, x_t, t, labels=None):
        known = getattr(x_t, "fake_mode", None) is None
        if self.kind == "classes":
            shift = 0 if not known else (labels >= 0).to(x_t)[:, None]
        else:
            shift = 0 if not known else (t > t.min()).to(x_t)[:, None]
        return 0.5 * x_t + shift


class Written(zoo.interfaces.Network):
    """A network of a user's own code, without parameters."""

    def __init__(self, code, shape=(2,)):
        super().__init__()
        self.code, self.shape, self.sigma_data = code, shape, 1.0

    def forward(self, x_t, t):
        return self.code(x_t, t)


def running(code):
    kernel = zoo.kernel("gaussian", dim=2)
    solver = zoo.solver("heun")
    return zoo.FieldModel(kernel, KernelPrior(kernel), Written(code), solver, (2,))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (lambda x, t: torch.stack([*x]), "without a loop over samples"),
        (lambda x, t: torch.stack([x[i] for i in range(len(x))]), "without a loop over samples"),
        (lambda x, t: x * [][len(x)], "the network fails on 2 samples: list index out of range"),
    ],
    ids=["unpacked", "by number", "broken"],
)
def test_a_network_that_goes_from_sample_to_sample_is_refused_in_one_line(code, message):
    with pytest.raises(zoo.ZooError, match=message) as error:
        denoiser(running(code))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 500


def scales_in_place(x, t):
    y = x.clone()
    y.mul_(1.0005)
    y *= 0.9995
    y[:, 0].mul_(1.0009)
    return y


def overwrites(x, t):
    x.mul_(0.5)
    x += t[:, None]
    return x


@pytest.mark.parametrize("code", [scales_in_place, overwrites])
def test_what_is_done_in_place_is_in_the_graph(code):
    x, t = states(running(code), 5)
    found = denoiser(running(code)).predict.graph(x, t)
    assert torch.allclose(found, code(x.clone(), t), rtol=1e-6)


def sets_data(x, t):
    y = torch.zeros_like(x)
    y.data = 0.5 * x
    return y


def test_data_that_are_set_are_refused():
    with pytest.raises(zoo.ZooError, match="sets the data of a tensor"):
        denoiser(running(sets_data))


@pytest.mark.parametrize("kind", ["classes", "times"])
def test_a_network_whose_graph_gives_other_numbers_is_refused(kind):
    kernel = zoo.kernel("gaussian", dim=2)
    network = Branching(kind, (2,))
    model = zoo.FieldModel(kernel, KernelPrior(kernel), network, zoo.solver("heun"), (2,))
    with pytest.raises(zoo.ZooError, match=r"gives other numbers .* write it with torch\.where"):
        denoiser(model)


def test_a_recorded_graph_is_free_of_the_size_of_the_batch():
    def function(x):
        zeros = torch.zeros(len(x), 3)
        zeros[:, 1] = x.sum(dim=1)
        return (x.reshape(2 * len(x), -1).reshape(len(x), 4)[:, :3] + zeros).add_(torch.ones(3))

    graph = record(function, [Input("x", (4,), torch.float32)])
    for n in (1, 2, 11):
        x = torch.randn(n, 4, generator=torch.Generator().manual_seed(n))
        assert torch.equal(graph(x), function(x))
