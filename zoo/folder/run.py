"""The folder of a training run, where somebody means the model in it."""

from __future__ import annotations

import shlex
from pathlib import Path

from zoo.errors import ZooError
from zoo.folder.read import CONFIG

CHECKPOINT, MODEL = "checkpoint.pt", "model"


def refuse_run(folder: Path, ref: str) -> None:
    """Raise ZooError if `folder`, which the user called `ref`, is a run's and no model's."""
    if (folder / CONFIG).is_file():
        return
    if (folder / MODEL / CONFIG).is_file():
        raise ZooError(f"{ref} is the folder of a training run; say {ref.rstrip('/')}/{MODEL}")
    if (folder / CHECKPOINT).is_file():
        raise ZooError(
            f"{ref} is the folder of a training run without a model yet: `zoo train RECIPE -o "
            f"{shlex.quote(str(folder))} --resume` trains to the end, and with --stop makes a "
            f"model of the last checkpoint, {ref.rstrip('/')}/{MODEL}"
        )
