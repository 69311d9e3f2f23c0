"""The log for TensorBoard, beside log.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.errors import ZooError

FOLDER = "tensorboard"
_AXES = ("step", "images")


class Board:
    """Event files in the run's tensorboard/ folder.

    Args:
        folder: of the run.
        step: where the run stands; what an earlier process logged beyond it is not shown.

    Raises:
        ZooError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ZooError(
                "train.tensorboard = true needs the package tensorboard: "
                "pip install 'fieldzoo[train-tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(folder / FOLDER), purge_step=step + 1)

    def add(self, line: dict[str, Any]) -> None:
        """Add the figures of one line of the log, over its step."""
        for name, value in line.items():
            if name not in _AXES and isinstance(value, int | float):
                self._writer.add_scalar(name, value, line["step"])
        self._writer.flush()
