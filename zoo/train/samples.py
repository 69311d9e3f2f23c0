"""Pictures of what a run generates so far: samples/<step>.png."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import ZooError
from zoo.folder.picture import default_suffix, write_samples
from zoo.train.export import model_of, picture_of

if TYPE_CHECKING:
    from zoo.train.loop import Trainer

FOLDER = "samples"


class SampleGrids:
    """Draws 64 samples with the averaged weights, always from the same starting points.

    Args:
        every: images of training between two pictures.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def look(self, trainer: Trainer) -> None:
        """Write the picture of this step, or .npz numbers where the data have none.

        Where the averaged weights cannot be sampled, the log says so and there is none.

        Raises:
            ZooError: the disk is full or not writable.
        """
        samples = picture_of(trainer, model_of(trainer))
        if samples is None:
            return
        folder = trainer.folder / FOLDER
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ZooError(f"cannot write into {folder}: {error.strerror}") from error
        suffix = default_suffix(trainer.data.shape)
        write_samples(folder / f"{trainer.step:06d}{suffix}", samples)
