"""What a format promises: it refuses in one line what it cannot read, and runs nothing of it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from zoo.errors import CheckFailure, ZooError
from zoo.formats.files import LocalFiles
from zoo.host.plugins import describe_error
from zoo.interfaces import Checkpoint, Format

_NAMES = ("model", *(f"model.{end}" for end in ("bin", "h5", "npy", "npz", "onnx", "pkl", "pt")))
_NO_CHECKPOINT = {
    "an empty file": b"",
    "a text": b"no checkpoint\n\nat all\n",
    "a broken zip archive": b"PK\x03\x04" + bytes(30),
    "a broken pickle": b"\x80\x04}",
    "a header that never ends": b"\xff" * 16,
}
# Where other libraries' JSON names code to import.
_NAMED = {"_class_name": ["code", "Code"], "auto_map": {"AutoModel": "code.Code"}}


def refusals(reader: Format) -> None:
    """Files that are no checkpoint, empty and broken ones among them, are refused in one line."""
    with TemporaryDirectory() as name:
        place = Path(name)
        _refused(reader, place, "an empty folder")
        for what, content in _NO_CHECKPOINT.items():
            for file in _NAMES:
                (place / file).write_bytes(content)
                _refused(reader, place / file, f"{what} called {file}")
        (place / "config.json").write_text("{}")
        _refused(reader, place, "a folder of broken files")


def inert(reader: Format) -> None:
    """No code in files runs: in pickles, torch's and NumPy's files, beside JSON that names it."""
    with TemporaryDirectory() as name:
        place, ran = Path(name), Path(name) / "ran"
        hostile = _Runs(ran)
        for file in _NAMES:
            path = place / file
            path.write_bytes(pickle.dumps(hostile))
            _read(reader, path, "a pickle")
            torch.save({"model": hostile}, path)
            _read(reader, path, "a file of torch.save")
        np.save(place / "model.npy", np.array([hostile, 0]))
        np.savez(place / "model.npz", x=np.array([hostile, 0]))
        for file in ("config.json", "model_index.json"):
            (place / file).write_text(json.dumps(_NAMED))
        (place / "code.py").write_text(f"open({str(ran)!r}, 'w').close()")
        for path in (place / "model.npy", place / "model.npz", place):
            _read(reader, path, f"{path.name} with code in it")
        if ran.exists():
            raise CheckFailure("reading a checkpoint runs code that is in it; read files as data")


class _Runs:
    """Pickled as a call that makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({self.file!r}, 'w').close()",)


def _refused(reader: Format, place: Path, what: str) -> None:
    if _read(reader, place, what) is not None:
        raise CheckFailure(f"{what} is read as a model; expected None or a ZooError")


def _read(reader: Format, place: Path, what: str) -> Checkpoint | None:
    """Return what the format makes of files, with its tensors; None where it refuses them."""
    try:
        found = reader.read(LocalFiles(place))
        if found is not None:
            found.load()
    except ZooError as error:
        text = " ".join(map(str, error.args))  # as it was written
        if "\n" in text:
            raise CheckFailure(f"{what} is refused in several lines: {text!r}") from error
        return None
    except Exception as error:
        raise CheckFailure(
            f"{what} raises {describe_error(error)}; expected None or a ZooError"
        ) from error
    return found
