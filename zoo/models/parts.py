"""A model as four parts: put together, described as a config.json, written as a folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Self

import msgspec
import torch
from torch import Tensor, nn

from zoo.config.model import DEFAULT_STEPS, Config, Data
from zoo.config.part import Part, SolverPart
from zoo.config.standardise import Standardise
from zoo.errors import ZooError
from zoo.folder.write import write_folder
from zoo.host.requirements import requirements
from zoo.interfaces import FieldKernel, Network, PriorSampler, Solver


class ModelParts(nn.Module):
    """Kernel, prior, network and solver of a model; arguments as for `FieldModel`."""

    def __init__(
        self,
        kernel: FieldKernel,
        prior: PriorSampler,
        network: Network,
        solver: Solver,
        shape: tuple[int, ...],
        *,
        config: Config | None = None,
        card: str = "",
    ) -> None:
        super().__init__()
        if math.prod(shape) != kernel.dim:
            raise ZooError(
                f"shape {tuple(shape)} has {math.prod(shape)} coordinates, the kernel {kernel.dim}"
            )
        self.kernel, self.prior, self.solver = kernel, prior, solver
        self.network, self.shape = network, tuple(shape)
        self.config, self.card = config, card
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The network's own dtype."""
        return next((p.dtype for p in self.network.parameters()), torch.float64)

    @property
    def range(self) -> tuple[float, float] | None:
        """Range of the data, to which samples are clamped; [-1, 1] for images, None for none."""
        if self.config is not None:
            return self.config.data.range
        return (-1.0, 1.0) if len(self.shape) == 3 else None

    @property
    def standardise(self) -> Standardise | None:
        """The map x = mean + scale z between data x and the z of the parts; None for x = z.

        Kernel, prior, network and solver, `flow`, and x_T of `encode` and `decode`, know z alone.
        """
        return None if self.config is None else self.config.data.standardise

    def _to_parts(self, x: Tensor) -> Tensor:
        """Return z of data or states x, (B, *shape)."""
        return x if self.standardise is None else self.standardise.apply(x)

    def _to_data(self, z: Tensor) -> Tensor:
        """Return data or states x of z, (B, *shape)."""
        return z if self.standardise is None else self.standardise.undo(z)

    @property
    def steps(self) -> int:
        """Default number of solver steps."""
        return DEFAULT_STEPS if self.config is None else self.config.steps

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> Path:
        """Write the model folder: card, config.json, model.safetensors; whole or not at all.

        Args:
            folder: where to; replaced if there.
            dtype: of the weights on disk, e.g. torch.float16; None as they are.

        Raises:
            ZooError: a part was not built by zoo.kernel, zoo.prior, zoo.network or zoo.solver, so
                that its name is not known; its options cannot be written as JSON; a disk that
                refuses.
        """
        return self.write(Path(folder), dtype=dtype)

    def write(self, folder: Path, **options: Any) -> Path:
        """Write the model folder; options and errors as for `zoo.folder.write.write_folder`."""
        network = self._saved_network()
        return write_folder(folder, self.describe(), network, self.card, **options)

    def _saved_network(self) -> Network:
        """Return the network whose weights are saved."""
        return self.network

    def describe(self) -> Config:
        """Return config.json of the model with the parts that it has now; no weights are listed.

        Raises:
            ZooError: a part was not built by zoo.kernel, zoo.prior, zoo.network or zoo.solver, so
                that its name and options are not known; or its options cannot be written as JSON.
        """
        known = self.config
        if known is None:
            known = Config(
                format=1,
                data=Data(
                    self.shape,
                    range=self.range,
                    labels=self.network.labels,
                    standardise=self.standardise,
                ),
                kernel=self._part("kernel"),
                prior=self._part("prior"),
                network=self._part("network"),
                solver=SolverPart.of(self._part("solver")),
            )
        elif (known.kernel, known.prior) == (self.kernel.part, self.prior.part) and (
            self.solver.part is not None
            and known.solver == SolverPart.of(self.solver.part, known.solver.steps)
        ):
            return known
        else:
            known = msgspec.structs.replace(
                known,
                kernel=self._part("kernel"),
                prior=self._part("prior"),
                solver=SolverPart.of(self._part("solver"), known.solver.steps),
            )
        return msgspec.structs.replace(known, requires=requirements(known))

    def _part(self, kind: str) -> Part:
        """Return name and options of the model's kernel, prior, network or solver."""
        part: Part | None = getattr(self, kind).part
        if part is None:
            raise ZooError(f"the {kind} has no name to save; build it with zoo.{kind}(name, ...)")
        try:
            json.dumps(part.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ZooError(f"the {kind}'s options are not JSON: {error}") from error
        return part

    def compile(self, *args: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Let torch.compile make the network's code at its first call; return the model.

        Arguments are those of torch.compile: mode="reduce-overhead" records CUDA graphs too. On the
        CPU, where batches are cut into tiles of one size, one compilation serves all of them.
        """
        self._compiled().compile(*args, **kwargs)
        return self

    def _compiled(self) -> nn.Module:
        """Return the module that `compile` works on."""
        return self.network

    def extra_repr(self) -> str:
        """Return the parts that are not modules."""
        kinds = (type(p).__name__ for p in (self.kernel, self.prior, self.solver))
        return ", ".join(kinds) + f", shape={self.shape}"
