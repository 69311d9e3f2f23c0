"""Recorded graphs as files of torch.export, which torch loads without the zoo.

Such a file is a zip of JSON and of the numbers themselves. torch adds example inputs as a pickle,
which nobody needs: they are left out, and what was written is looked through.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch

from zoo.errors import ZooError
from zoo.exporting.graphs import Exported

# Rows of the example that is traced.
_ROWS = 3
# How a pickle begins, by itself and inside the zip that torch.save makes.
_PICKLES = (b"\x80", b"PK")


def write_torch(path: Path, exported: Exported) -> None:
    """Write a graph as a .pt2 file, weights included.

    Raises:
        ZooError: this torch puts pickles into it.
    """
    graph = exported.joined()
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple(None if one.shape is None else {0: batch} for one in graph.inputs)
    example = tuple(one.like(_ROWS) for one in graph.inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.no_grad():
            program = torch.export.export(graph, example, dynamic_shapes={"inputs": shapes})
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
        return [name for name in archive.namelist() if _begins_pickle(archive, name)]


def _begins_pickle(archive: zipfile.ZipFile, name: str) -> bool:
    if not name.endswith((".pt", ".pkl", ".pickle", ".bin")) and "/data/weights/" in name:
        return False  # the numbers of one tensor may begin with any bytes
    with archive.open(name) as file:
        return file.read(2).startswith(_PICKLES)
