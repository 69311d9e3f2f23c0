"""`zoo convert`: a checkpoint of another library becomes a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.errors import ZooError
from zoo.files import as_path
from zoo.folder.card import LICENSE
from zoo.folder.formats import read_checkpoint, with_tensors, write_checkpoint
from zoo.formats.files import LocalFiles


def convert(
    file: str | Path,
    out: str | Path,
    *,
    format: str | None = None,
    license: str | None = None,
    **options: Any,
) -> Path:
    """Write the model in a checkpoint of another library as a model folder, and return its path.

    Every installed format is asked (`zoo.components("formats")`). The checkpoint is read as data:
    nothing in it is run.

    Args:
        file: a file, or a folder of files that belong together.
        out: the folder to write.
        format: the name of the format, needed only where two know the file.
        license: of the weights, an identifier of the Hub; None for what the checkpoint says.
        options: of the format, such as D=128: `zoo components formats NAME` explains them.

    Raises:
        ZooError: no format knows the file, or the one that does refuses it; an argument is wrong;
            the folder cannot be written.
    """
    source, folder = as_path(file, "file"), as_path(out, "out")
    if license is not None and not LICENSE.fullmatch(license):
        raise ZooError(f"license = {license!r}; expected one word of the Hub's, such as cc-by-4.0")
    files = LocalFiles(source)
    checkpoint = with_tensors(files, read_checkpoint(files, options, format=format))
    return write_checkpoint(files, checkpoint, folder, license=license)
