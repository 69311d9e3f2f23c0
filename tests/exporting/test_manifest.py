"""manifest.json and README.md of an export say what is in the graph, and their code runs."""

import json
import re

import msgspec
import numpy as np
import pytest
import torch
from tiny_models import images, points

import zoo
from zoo.exporting import graphs
from zoo.exporting.card import readme
from zoo.exporting.graphs import denoiser, sampler
from zoo.exporting.manifest import describe_noise, manifest
from zoo.exporting.space import _unfit
from zoo.models.exact import ExactPrior


def described(model, what="denoiser"):
    """What manifest.json says, and the graph."""
    exported = denoiser(model) if what == "denoiser" else sampler(model, 3)
    return json.loads(json.dumps(manifest(model, exported, what, []))), exported.graph


def fed(said):
    """What the README's code feeds to the graph, by name."""
    (code,) = re.findall(r"```python\n(.*?)```", readme(said), flags=re.S)
    names = {"np": np, "manifest": said}
    exec(code.partition(".module()\n")[2].partition("\nresult")[0], names)
    return names["feed"]


def runs(said, graph):
    """Run the graph as the README does; dtypes and shapes are those of the manifest."""
    feed = fed(said)
    assert [*feed] == [*said["inputs"]]
    for name, value in feed.items():
        assert str(value.dtype) == said["inputs"][name]["dtype"], name
    result = graph(*(torch.as_tensor(value) for value in feed.values()))
    ((_, output),) = said["outputs"].items()
    assert (4, *output["shape"][1:]) == result.shape
    assert str(result.dtype) == f"torch.{output['dtype']}"
    assert result.isfinite().all()
    return result


@pytest.mark.parametrize("what", ["denoiser", "sampler"])
def test_a_model_of_half_precision_is_exported_as_float32(what):
    model = images(labels=2).bfloat16()
    said, graph = described(model, what)
    assert {one["dtype"] for one in said["outputs"].values()} == {"float32"}
    runs(said, graph)


def radii(model, n=4096):
    x = model.prior.sample(n, model.shape, torch.Generator().manual_seed(0))
    return x.flatten(1).norm(dim=1).sort()[0].numpy()


@pytest.mark.parametrize("bound", [None, 80.0])
def test_the_radii_that_the_manifest_says_are_those_that_the_prior_draws(bound):
    model = points("gravity", dim=16)
    model.prior = zoo.prior("gravity", model.kernel, largest_level=bound)
    law = describe_noise(model)
    q = (np.arange(4096) + 0.5) / 4096
    at = np.linspace(*law["logit"], len(law["log_radius"]))
    found = np.exp(np.interp(np.log(q / (1 - q)), at, law["log_radius"]))
    drawn, middle = radii(model), slice(200, -200)
    assert np.abs(np.log(found / drawn)[middle]).max() < 0.3
    if bound is not None:
        assert found.max() == pytest.approx(drawn.max(), rel=1e-5) == pytest.approx(4 * bound)


def test_the_law_of_a_prior_that_is_not_the_kernels_own_is_not_said():
    model = images()
    prior = model.prior
    assert not _unfit(model)
    model.prior = ExactPrior(model.kernel, torch.ones(2, 1, 8, 8))
    assert describe_noise(model) == {"law": "as the prior draws it"}
    assert "a prior of its own" in _unfit(model)
    model.prior = type("Shifted", (type(prior),), {"sample": lambda *_: 0})(model.kernel)
    assert describe_noise(model) == {"law": "as the prior draws it"}
    model = points("flow")
    model.prior = zoo.prior("gravity", model.kernel, largest_level=3.0)
    assert describe_noise(model) == {"law": "as the prior draws it"}


def test_the_range_of_the_data_is_said_where_it_is_the_usual_one_too():
    model = images()
    model.config = msgspec.structs.replace(model.describe(), data=zoo.config.model.Data((1, 8, 8)))
    assert described(model)[0]["data"]["range"] == [-1.0, 1.0]
    assert described(points())[0]["data"]["range"] is None


def test_a_lifted_model_under_a_kernel_without_a_name_knows_its_data():
    source = points("gaussian")
    units = zoo.config.standardise.Standardise((1000.0, -3.0), (50.0, 0.1))
    columns = tuple(zoo.config.columns.Column(name, "float64") for name in "ab")
    data = msgspec.structs.replace(source.data, standardise=units, columns=columns)
    source.config = msgspec.structs.replace(source.describe(), data=data)
    kernel = zoo.kernel("gravity", dim=2)
    kernel.part = None
    lifted = zoo.lift(source, kernel)
    assert lifted.config is None
    assert lifted.data == data
    said, graph = described(lifted)
    assert said["data"]["standardise"] == {"mean": [1000.0, -3.0], "scale": [50.0, 0.1]}
    runs(said, graph)


def test_the_guide_of_a_models_samples_is_said_to_be_no_part_of_its_denoiser():
    model = images()
    known = zoo.config.model.DefaultGuidance("gravity-digits", 2.0)
    model.config = msgspec.structs.replace(model.describe(), guidance=known)
    said = described(model)[0]["guidance"]
    assert said["guide"] == "gravity-digits"
    assert "no part of this graph" in said["is"]
    assert "guided by 'gravity-digits'" in _unfit(model)
    assert "guidance" not in described(images())[0]


def test_a_cell_of_the_readmes_table_keeps_its_bars():
    rows = [line for line in readme(described(images())[0]).splitlines() if line.startswith("| ")]
    assert len(rows) == 4
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 6, row


@pytest.mark.parametrize("kernel", ["gravity", "gaussian", "rotating"])
def test_the_readme_of_a_sampler_runs_whatever_the_law_of_its_noise(kernel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = points(kernel, dim=4)
    said, graph = described(model, "sampler")
    if kernel == "rotating":
        (saved,) = re.findall(r"# (np\.save.*)", readme(said))
        exec(saved, {"np": np, "model": model})
    runs(said, graph)


def far_away(mean=1e6, **options):
    """A model of data that are so far from 0 that float32 has few digits of them."""
    model = points("gaussian", **options)
    units = zoo.config.standardise.Standardise((mean, -mean), (1.0, 2.0))
    data = msgspec.structs.replace(model.describe().data, standardise=units)
    model.config = msgspec.structs.replace(model.describe(), data=data)
    return model


def test_data_whose_digits_float32_lacks_are_float64_in_the_graph_too():
    model = far_away()
    said, graph = described(model)
    dtypes = {name: one["dtype"] for name, one in (said["inputs"] | said["outputs"]).items()}
    assert dtypes == {"x": "float64", "t": "float32", "denoised": "float64"}
    runs(said, graph)
    x = model.standardise.undo(torch.randn(5, 2).double())
    t = torch.full((5,), 0.5)
    assert (graph(x, t) - model.denoise(x, t)).abs().max() < 1e-5
    said, graph = described(model, "sampler")
    assert said["inputs"]["noise"]["dtype"] == "float32"
    assert runs(said, graph).dtype == model.sample(1, seed=0).dtype == torch.float64


@pytest.mark.parametrize("what", ["denoiser", "sampler"])
def test_a_graph_is_held_to_the_model_in_units_of_the_datas_deviation(what, monkeypatch):
    model = far_away()
    described(model, what)
    true, wrong = graphs.Flow.denoise, 0.02
    monkeypatch.setattr(
        graphs.Flow,
        "denoise",
        lambda self, x, t: true(self, x, t) + (0 if hasattr(x, "fake_mode") else wrong),
    )
    with pytest.raises(zoo.ZooError, match="gives other numbers"):
        described(model, what)
