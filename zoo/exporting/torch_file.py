"""Recorded graphs as files of torch.export, which torch loads without the zoo.

Such a file is a zip of JSON and of the numbers themselves. torch adds example inputs as a pickle,
which nobody needs: they are left out, and what was written is looked through.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import torch

from zoo.errors import ZooError, one_line, shown
from zoo.exporting.graphs import Exported

# Rows of the example that is traced.
_ROWS = 3
# How a pickle begins, by itself and inside the zip that torch.save makes.
_PICKLES = (b"\x80", b"PK")
# Which say of the files beside them whether they are pickles or the numbers of a tensor.
_LISTS = ("_weights_config.json", "_constants_config.json")


def write_torch(path: Path, exported: Exported) -> None:
    """Write a graph as a .pt2 file, weights included.

    Raises:
        ZooError: torch cannot trace the graph, or puts pickles into the file.
    """
    graph = exported.joined()
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple(None if one.shape is None else {0: batch} for one in graph.inputs)
    example = tuple(one.like(_ROWS) for one in graph.inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.no_grad():
            try:
                program = torch.export.export(graph, example, dynamic_shapes={"inputs": shapes})
            except Exception as error:
                cause = shown(one_line(error))
                raise ZooError(f"torch.export cannot trace the graph: {cause}") from error
        program.example_inputs = None
        torch.export.save(program, path)
    if found := pickles_in(path):
        raise ZooError(
            f"torch {torch.__version__} writes pickles into .pt2 files ({found[0]}); "
            "install torch 2.9 or newer, or use format='onnx'"
        )


def pickles_in(path: Path) -> list[str]:
    """Return the names of the files in a zip that are pickles."""
    with zipfile.ZipFile(path) as archive:
        listed = _listed(archive)
        return [
            name
            for name in archive.namelist()
            if (listed[name] if name in listed else _begins_pickle(archive, name))
        ]


def _listed(archive: zipfile.ZipFile) -> dict[str, bool]:
    """Return of files that hold tensors whether they are pickles: numbers begin with any bytes."""
    found: dict[str, bool] = {}
    for name in archive.namelist():
        if name.endswith(_LISTS):
            folder = name.rpartition("/")[0]
            for one in json.loads(archive.read(name))["config"].values():
                file = f"{folder}/{one['path_name']}"
                found[file] = found.get(file, False) or one["use_pickle"]
    return found


def _begins_pickle(archive: zipfile.ZipFile, name: str) -> bool:
    with archive.open(name) as file:
        return file.read(2).startswith(_PICKLES)
