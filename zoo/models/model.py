"""FieldModel: kernel, prior, network and solver put together."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any, Self

import msgspec
import torch
from torch import Tensor, nn
from tqdm import tqdm

from zoo.config.model import DEFAULT_STEPS, Config, Data
from zoo.config.part import Part
from zoo.errors import ZooError
from zoo.folder.picture import drawable
from zoo.folder.write import write_folder
from zoo.host.build import solver as build_solver
from zoo.host.build import without_steps
from zoo.host.requirements import requirements
from zoo.hub.publish import check_repository, publish
from zoo.interfaces import FieldKernel, Flow, Network, PriorSampler, Solver
from zoo.interfaces.checks import all_finite
from zoo.interfaces.flow import Predict
from zoo.interfaces.solver import StepCallback
from zoo.models.accurate import accurate_solver
from zoo.sampling.arguments import class_numbers, seed_from, step_count, whole
from zoo.sampling.batching import fixed_batch_size, fixed_size_batches, in_batches
from zoo.sampling.precision import autocast_predict, shown_dtype
from zoo.sampling.rng import GROUP, starting_points, whole_groups

# Coordinates per batch when the caller names no batch size: 256 images of 3x32x32.
_BATCH_COORDINATES = 786_432
# What the picture of a published model shows.
_PICTURE_SEED = 0
_PICTURE_IMAGES = 16
_PICTURE_POINTS = 500


class FieldModel(nn.Module):
    """An ODE generative model: dx/dt = f(x, t) from the prior at t_max down to data.

    The network is put into evaluation mode: samples never see dropout.

    Args:
        kernel: the field kernel, decides how data spreads into noise.
        prior: the prior sampler, where the ODE starts.
        network: learns the denoiser E[x_0 | x_t], or the field.
        solver: walks the ODE.
        shape: of one sample, (C, H, W) or (d,).
        config: the model folder's config.json, None for parts put together by hand.
        card: the model card's text.

    Raises:
        ZooError: parts that do not fit each other.
    """

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
    def steps(self) -> int:
        """Default number of solver steps."""
        configured = self.config.solver.options.get("steps") if self.config else None
        return DEFAULT_STEPS if configured is None else int(configured)

    def flow(self, labels: Tensor | None = None, guidance: float = 1.0) -> Flow:
        """Return the model's ODE, for a solver; `labels` (B,) and guidance as for `sample`."""
        predict = conditioned(self.network, guidance, self.kernel.dim, self.dtype)
        return Flow(
            self.kernel,
            predict,
            self.network.predicts,
            dtype=shown_dtype(self.dtype),
            labels=labels,
            sigma_data=self.network.sigma_data,
        )

    @torch.inference_mode()
    def sample(
        self,
        n: int = 1,
        *,
        steps: int | None = None,
        solver: Solver | str | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        batch_size: int | None = None,
        labels: int | Tensor | None = None,
        guidance: float = 1.0,
        prior: PriorSampler | None = None,
        progress: bool = False,
        first: int = 0,
    ) -> Tensor:
        """Draw n samples, shape (n, *shape), float32, images in [-1, 1].

        Sample i depends on (seed, i) alone, and on its own label: on the CPU to the last bit, on
        an accelerator to rounding. (Under a solver with one step size for all, it depends on the
        labels of its group of 16 too.) The solver takes steps - 1 steps from t_max to t_min;
        the last step, to t = 0, is the denoiser at t_min (EDM, arXiv:2206.00364, algorithm 1).

        Args:
            n: number of samples, at least 1.
            steps: solver steps; None for the model's default.
            solver: a solver or the name of one; None, or its name, for the model's own with its
                options.
            seed: whole number; None draws one.
            generator: draws the seed from a torch.Generator instead.
            batch_size: samples at a time, on the CPU rounded up to whole batches of a fixed size
                (zoo.sampling.batching); None for about 800,000 coordinates. Where a batch does not
                fit into an accelerator's
                memory, it and those after it are halved.
            labels: class number for all, or (n,) class numbers, -1 for "no class".
            guidance: 1 is none; larger follows the class more closely (arXiv:2207.12598).
            prior: another prior sampler.
            progress: show a progress bar.
            first: number of the first sample: sample(4, first=60, seed=0) is the end of
                sample(64, seed=0), so processes can share the work.

        Raises:
            ZooError: a value out of range, or a state that became non-finite; names t.
        """
        walk = self._solver(solver)
        n, steps = whole("n", n, 1), step_count(steps, self.steps)
        seed, first = seed_from(seed, generator), whole("first", first, 0)
        low, high = whole_groups(first, n) if walk.couples_samples else (first, first + n)
        before, after = first - low, high - first - n
        label = class_numbers(labels, self.network.labels, guidance, n, before, after)
        sizes = self._batch_sizes(walk, batch_size)
        start = self.prior if prior is None else prior
        with _bar(n, steps, progress) as bar:

            def draw(a: int, b: int) -> Tensor:
                x = starting_points(start, self.shape, seed, a, b).to(self.device)
                part = None if label is None else label[a - low : b - low].to(self.device)
                tell = _moving(bar, b - a) if progress else None
                return self._walk(walk, self.flow(part, guidance), x, steps, tell).float().cpu()

            out = torch.cat([*in_batches(draw, low, high, *sizes)])[before : before + n]
        return out if self.range is None else out.clamp_(*self.range)

    def _batch_sizes(self, solver: Solver, asked: int | None) -> tuple[int, int]:
        """Return how many samples at a time, and how many at least."""
        default = max(1, _BATCH_COORDINATES // self.kernel.dim)
        size = default if asked is None else whole("batch_size", asked, 1)
        tile = fixed_batch_size(self.kernel.dim) if self.device.type == "cpu" else 1
        return (GROUP, GROUP) if solver.couples_samples else (-(-size // tile) * tile, tile)

    def _walk(
        self, solver: Solver, flow: Flow, x: Tensor, steps: int, callback: StepCallback | None
    ) -> Tensor:
        """Return data from x_T: the solver down to t_min, then the step to 0, told as any other."""
        kernel = self.kernel

        def walk() -> Tensor:
            y = (
                solver.integrate(
                    flow, x, kernel.t_max, kernel.t_min, steps=steps - 1, callback=callback
                )
                if steps > 1
                else x
            )
            t = kernel.t_min if steps > 1 else kernel.t_max
            return flow.denoise(y, t) if kernel.affine else y - t * flow.field(y, t)

        y = walk()
        if callback is not None:
            callback(steps - 1, 0.0, y)
        if not all_finite(y):
            flow.guard = True  # walk once more, checking every evaluation, to name the time
            walk()
            raise ZooError("the samples are not finite")
        return y

    def _solver(self, solver: Solver | str | None) -> Solver:
        if solver is None:
            return self.solver
        return solver if isinstance(solver, Solver) else self.solver_called(solver)

    def solver_called(self, name: str) -> Solver:
        """Return the solver of that name: the model's own, with its options, or one without any.

        Raises:
            ZooError: an unknown name.
        """
        own = self.solver.part
        return self.solver if own and own.use == name else build_solver(name)

    @torch.no_grad()
    def field(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return dx/dt at (x, t), shape (B, *)."""
        return self._flow_at(x, t).field(x, t)

    @torch.no_grad()
    def denoise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return E[x_0 | x_t = x], shape (B, *), where the kernel allows it.

        Raises:
            ZooError: the kernel's velocity is not affine in x_0; t out of range; NaN in x.
        """
        return self._flow_at(x, t).denoise(x, t).to(x.dtype)

    def _flow_at(self, x: Tensor, t: Tensor | float) -> Flow:
        self._check_batch(x)
        if not x.is_floating_point():
            raise ZooError(f"x is of {x.dtype}; expected floating-point numbers")
        if isinstance(t, Tensor) and t.ndim and t.shape != (len(x),):
            raise ZooError(f"t has shape {tuple(t.shape)}; expected a number or ({len(x)},)")
        return self.flow()

    def log_prob(
        self,
        x_0: Tensor,
        *,
        exact: bool | None = None,
        probes: int = 8,
        steps: int | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Return log p_0(x_0) in nats, shape (n,), float64: the ODE's change of variables.

        `zoo.models.likelihood.log_prob` takes the same arguments and more, and returns the standard
        error and bits per dimension too.

        Args:
            x_0: data (n, *shape); integers 0..255 are images, dequantised uniformly.
            exact: exact divergence or Hutchinson's estimate; None for exact up to 16 coordinates.
            probes: random vectors per sample of the estimate.
            steps: a hint to the adaptive solver.
            seed: of probes and dequantisation.

        Raises:
            ZooError: data of the wrong shape or not finite, or an option out of range.
        """
        from zoo.models.likelihood import log_prob

        return log_prob(self, x_0, exact=exact, probes=probes, steps=steps, seed=seed).nats

    def _check_batch(self, x: Tensor) -> None:
        if tuple(x.shape[1:]) != self.shape:
            raise ZooError(f"x has shape {tuple(x.shape)}; expected (n, *{self.shape})")
        if not all_finite(x):
            raise ZooError("x is not finite")

    @torch.inference_mode()
    def encode(
        self, x_0: Tensor, *, steps: int | None = None, solver: Solver | str | None = None
    ) -> Tensor:
        """Return x_T, shape of x_0 (n, *shape), float64: the ODE from t_min up to t_max.

        Args:
            x_0: data (n, *shape).
            steps: of the solver; a hint to an adaptive one.
            solver: a solver or the name of one; by default not the one that samples but an
                adaptive one, dopri5, so accurate that `decode` returns to x_0.

        Raises:
            ZooError: data of the wrong shape or not finite, or an option out of range.
        """
        return self._move(x_0, self.kernel.t_min, self.kernel.t_max, steps, solver)

    @torch.inference_mode()
    def decode(
        self, x_T: Tensor, *, steps: int | None = None, solver: Solver | str | None = None
    ) -> Tensor:
        """Return x_0, shape of x_T (n, *shape), float64: the inverse of `encode`, as accurate."""
        return self._move(x_T, self.kernel.t_max, self.kernel.t_min, steps, solver)

    def _move(
        self, x: Tensor, t_from: float, t_to: float, steps: int | None, solver: Solver | str | None
    ) -> Tensor:
        self._check_batch(x)
        steps = step_count(steps, self.steps)
        walk = accurate_solver(self.dtype) if solver is None else self._solver(solver)
        x = x.to(self.device, torch.float64)
        return walk.integrate(self.flow(), x, t_from, t_to, steps=steps)

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

    def write(
        self,
        folder: Path,
        *,
        name: str = "",
        dtype: torch.dtype | None = None,
        samples: Tensor | None = None,
        caption: str = "samples",
    ) -> Path:
        """Write the model folder; arguments and errors as for `zoo.folder.write.write_folder`."""
        return write_folder(
            folder,
            self.describe(),
            self._saved_network(),
            self.card,
            name=name,
            dtype=dtype,
            samples=samples,
            caption=caption,
        )

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
            config = Config(
                format=1,
                data=Data(self.shape, range=self.range, labels=self.network.labels),
                kernel=self._part("kernel"),
                prior=self._part("prior"),
                network=self._part("network"),
                solver=self._part("solver"),
            )
            return msgspec.structs.replace(config, requires=requirements(config))
        solver, steps = without_steps(known.solver)
        if (known.kernel, known.prior, solver) == (
            self.kernel.part,
            self.prior.part,
            self.solver.part,
        ):
            return known
        own = self._part("solver")
        config = msgspec.structs.replace(
            known,
            kernel=self._part("kernel"),
            prior=self._part("prior"),
            solver=Part(own.use, {**own.options, **steps}),
        )
        return msgspec.structs.replace(config, requires=requirements(config))

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

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Publish the model as "owner/name" on the Hub, with a picture of samples.

        Arguments, result and errors are those of zoo.push.
        """
        check_repository(repo_id, revision, create_pr)
        count = _PICTURE_IMAGES if len(self.shape) == 3 else _PICTURE_POINTS
        samples = self.sample(count, seed=_PICTURE_SEED) if drawable(self.shape) else None
        caption = f"{count} samples, seed {_PICTURE_SEED}"
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / repo_id.partition("/")[2]
            return publish(
                self.write(folder, samples=samples, caption=caption),
                repo_id,
                private=private,
                token=token,
                revision=revision,
                create_pr=create_pr,
                keep_picture=True,
            )

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


def _bar(n: int, steps: int, shown: bool) -> tqdm:  # type: ignore[type-arg]
    """Return a bar of n samples' steps, quiet unless shown on a terminal."""
    off = None if shown else True
    return tqdm(total=n * steps, unit="step", unit_scale=1 / n, disable=off)


def _moving(bar: tqdm, samples: int) -> StepCallback:  # type: ignore[type-arg]
    """Return a callback that moves the bar by a step of so many samples."""

    def tell(_i: int, _t: float, _x: Tensor) -> None:
        bar.update(samples)

    return tell


def conditioned(network: Network, guidance: float, dim: int, dtype: torch.dtype) -> Predict:
    """Return the network, whose weights are of `dtype`, as a function of (x, t), or (x, t, labels).

    It is guided by the labels, evaluated in tiles, and shown x and t in `shown_dtype(dtype)`.
    """

    def guided(x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        both = torch.cat([labels, torch.full_like(labels, -1)])
        twice = t if t.ndim == 0 else torch.cat([t, t])
        conditional, plain = network(torch.cat([x, x]), twice, both).chunk(2)
        return plain + guidance * (conditional - plain)

    size = max(fixed_batch_size(dim), network.tile)
    return fixed_size_batches(autocast_predict(network if guidance == 1.0 else guided, dtype), size)
