"""manifest.json and README.md of an export say what is in the graph, and their code runs."""

import json
import re

import numpy as np
import pytest
import torch
from tiny_models import images

from zoo.exporting.card import readme
from zoo.exporting.graphs import denoiser, sampler
from zoo.exporting.manifest import manifest


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
