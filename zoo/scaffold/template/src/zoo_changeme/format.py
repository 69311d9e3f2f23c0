"""A format: an mlp's weights as numpy.savez writes them, each array named as the tensor."""

import numpy as np
import torch
from zoo import ZooError
from zoo.interfaces import Checkpoint, Config, Data, Files, Format, Part, SolverPart


class ChangemeFormat(Format):
    """The zoo's `mlp` for points, trained under the Gaussian kernel."""

    def read(self, files: Files) -> Checkpoint | None:
        """Return the model in one .npz file, None for anything else."""
        if files.file is None or not files.file.endswith(".npz"):
            return None
        try:
            # NumPy runs nothing of a file unless allow_pickle=True.
            with files.path(files.file).open("rb") as file, np.load(file) as arrays:
                state = {name: torch.from_numpy(arrays[name]) for name in arrays}
            width, dim = state["backbone.stem.weight"].shape
        except Exception as error:
            raise ZooError(f"{files.where} does not hold the weights of an mlp: {error}") from error
        blocks = sum(name.endswith("into.weight") for name in state)
        kernel, network = Part("gaussian"), Part("mlp", {"width": width, "blocks": blocks})
        data = Data((dim,), range=None)
        config = Config(1, data, kernel, Part("gaussian"), network, SolverPart("heun"))
        return Checkpoint(config, state)
