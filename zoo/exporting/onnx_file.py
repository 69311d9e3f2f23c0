"""Recorded graphs as ONNX: the network once, and in a sampler once for every evaluation.

torch's exporter takes a minute for a hundred layers, and a sampler evaluates them twenty times. So
the network and the steps are exported apart, the steps with a node `Predict` where the network is
asked, and each of these nodes is replaced by the network's own. Its weights are there once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError, one_line, shown
from zoo.exporting.graphs import Exported
from zoo.exporting.record import Graph, Opaque

NEEDS = "fieldzoo[export]"
OPSET = 18
_DOMAIN = "fieldzoo"
# Rows of the example that torch's exporter looks at; any number will do.
_ROWS = 3
# Numbers of a constant that are worth a cast.
_MANY = 1024


def check_packages() -> None:
    """Raise ZooError unless the packages that write ONNX are installed."""
    try:
        import onnx
        import onnxscript
    except ImportError as error:
        raise ZooError(
            f"ONNX is written by the packages onnx and onnxscript, and {error.name} is not "
            f"installed: pip install '{NEEDS}', or use format='torch'"
        ) from error
    del onnx, onnxscript


def write_onnx(path: Path, exported: Exported) -> None:
    """Write a graph as an ONNX file, weights included.

    Raises:
        ZooError: onnx or onnxscript is not installed; ONNX has no equal of an operation.
    """
    check_packages()
    import onnx

    calls = sum(isinstance(call.function, Opaque) for call in exported.graph.calls)
    if calls == 1:
        model = _converted(exported.joined(), exported.output.name)
    else:
        with _called_as_node(exported.predict):
            model = _converted(exported.graph, exported.output.name)
        _inline(model, _converted(exported.predict.graph, "predicted"))
    model.producer_name = _DOMAIN
    _store_singly(model)
    onnx.save(model, path)


def _converted(graph: Graph, output: str) -> Any:
    """Return a recorded graph as a model of the package onnx."""
    batch = torch.export.Dim("batch")
    shapes = [None if one.shape is None else {0: batch} for one in graph.inputs]
    with _quiet():
        try:
            program = torch.onnx.export(
                graph,
                tuple(one.like(_ROWS) for one in graph.inputs),
                dynamo=True,
                dynamic_shapes={"inputs": tuple(shapes)},
                input_names=[one.name for one in graph.inputs],
                output_names=[output],
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            raise ZooError(f"ONNX cannot express the graph: {_cause(error)}") from error
    assert program is not None
    return program.model_proto


def _cause(error: Exception) -> str:
    """Return what torch's exporter complains of, out of many lines."""
    missing = re.search(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'", str(error))
    return f"it has no equal of {missing[1]}" if missing else shown(one_line(error))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's exporter from printing and warning."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)


def _store_singly(model: Any) -> None:
    """Store float64 constants that are float32 numbers as these, with a cast."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.DOUBLE or math.prod(tensor.dims) < _MANY:
            continue
        name, value = tensor.name, numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            single = value.astype(np.float32)
        if (single == value).all():
            tensor.CopyFrom(numpy_helper.from_array(single, f"{name}.single"))
            casts.append(
                helper.make_node("Cast", [f"{name}.single"], [name], to=TensorProto.DOUBLE)
            )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


# A call of the network as a node of its own


@contextlib.contextmanager
def _called_as_node(predict: Opaque) -> Iterator[None]:
    def node(x: Tensor, *rest: Tensor) -> Tensor:
        found: Tensor = torch.onnx.ops.symbolic(
            f"{_DOMAIN}::Predict", (x, *rest), dtype=x.dtype, shape=x.shape, version=1
        )
        return found

    predict.inside = node
    try:
        yield
    finally:
        predict.inside = predict.graph


def _inline(model: Any, network: Any) -> None:
    """Replace the nodes `Predict` of a model by the nodes of the network; both are changed."""
    graph, inner = model.graph, network.graph
    nodes, count = [], 0
    shared = {tensor.name: f"network.{tensor.name}" for tensor in inner.initializer}
    for node in graph.node:
        if node.domain != _DOMAIN:
            nodes.append(node)
            continue
        names = dict(shared)
        names.update(zip((one.name for one in inner.input), node.input, strict=True))
        names.update(zip((one.name for one in inner.output), node.output, strict=True))
        nodes += [_renamed(each, names, f"predict_{count}.") for each in inner.node]
        count += 1
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in inner.initializer:
        tensor.name = shared[tensor.name]
    graph.initializer.extend(inner.initializer)
    model.functions.extend(network.functions)
    kept = {entry.domain: entry.version for entry in (*model.opset_import, *network.opset_import)}
    del model.opset_import[:]
    for domain, version in kept.items():
        if domain != _DOMAIN:
            model.opset_import.add(domain=domain, version=version)


def _renamed(node: Any, names: dict[str, str], prefix: str) -> Any:
    """Return a copy of a node: names as in `names`, and any other after the prefix."""
    copied = type(node)()
    copied.CopyFrom(node)
    copied.name = prefix + node.name
    for field in (copied.input, copied.output):
        found = [names.get(name, prefix + name) if name else "" for name in field]
        del field[:]
        field.extend(found)
    for attribute in copied.attribute:
        if attribute.HasField("g"):
            raise ZooError("the network has a branch or a loop, which a sampler cannot repeat")
    return copied
