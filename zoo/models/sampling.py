"""Sampling: the ODE of a model, and what steps a solver through it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.config.model import DefaultGuidance
from zoo.config.part import Part
from zoo.errors import ZooError, check_flag
from zoo.folder.columns import frame_of
from zoo.host.build import solver as build_solver
from zoo.interfaces import Flow, PriorSampler, Solver
from zoo.interfaces.checks import check_integer
from zoo.interfaces.flow import NETWORK_OUTPUT, Predict, StepNoise
from zoo.models.decoding import decoded
from zoo.models.guide import guidance_of, guide_under
from zoo.models.parts import ModelParts, check_part
from zoo.models.trajectory import (
    Batch,
    Trajectory,
    arguments_of,
    integrate_to_data,
    join_batches,
    progress_bar,
)
from zoo.sampling.arguments import Numbers, seed_from, step_count
from zoo.sampling.given import Given, given_of
from zoo.sampling.guidance import Guidance, as_guidance, check_weight
from zoo.sampling.modes import evaluating
from zoo.sampling.predict import (
    fixed_batch_size,
    guided,
    in_batches,
    shown_dtype,
    unwrapped,
)
from zoo.sampling.rng import GROUP, starting_points, step_noise, whole_groups

# Coordinates per batch when the caller names no batch size: 256 images of 3x32x32.
_BATCH_COORDINATES = 786_432
# More than any memory holds.
_MOST_NUMBERS = 2**42


class SamplingModel(ModelParts):
    """The parts of a model, and samples of it; see `FieldModel`."""

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: guides that were loaded are loaded again."""
        return {k: v for k, v in vars(self).items() if k not in ("_named_guides", "load_guide")}

    def flow(
        self,
        labels: Tensor | None = None,
        guidance: float | Guidance = 1.0,
        noise: StepNoise | None = None,
        condition: Tensor | None = None,
    ) -> Flow:
        """Return the model's ODE, for a solver.

        Args:
            labels: class numbers (B,), or None.
            guidance: as for `sample`.
            noise: of stochastic solvers, see `Flow`.
            condition: (B, *), as the network sees it: standardised, NaN where hidden; or None.

        Raises:
            ZooError: the model is a student, whose network is no denoiser.
        """
        self.needs_field("give its ODE")
        return self._flow(labels, guidance, noise, condition)

    def _flow(
        self,
        labels: Tensor | None = None,
        guidance: float | Guidance = 1.0,
        noise: StepNoise | None = None,
        condition: Tensor | None = None,
    ) -> Flow:
        """Return `flow`, of a student too: what its solver asks for."""
        network = unwrapped(self.network)
        denoises = self._around is not None and self.kernel.affine
        return Flow(
            self.kernel,
            self._predictor(self.network, guidance),
            "denoised" if denoises else network.predicts,
            dtype=shown_dtype(self.dtype),
            labels=labels,
            condition=None if condition is None else condition.to(shown_dtype(self.dtype)),
            sigma_data=network.sigma_data,
            noise=noise,
            said=self._said,
        )

    @property
    def _said(self) -> str:
        """What errors call the result of `_predictor`."""
        return getattr(self._around, "said", NETWORK_OUTPUT)

    def _predictor(self, network: nn.Module, guidance: float | Guidance) -> Predict:
        """Return a network as the function that a flow evaluates."""
        how, guide = as_guidance(guidance), None
        if how.guide is not None:
            guide = guide_under(how, self, network)
        return guided(
            network,
            how.weight,
            self.kernel.dim,
            self.dtype,
            self._around,
            guide=guide,
            inside=how.inside(self.kernel, unwrapped(network).by_level),
        )

    def _guidance(
        self,
        weight: float | Guidance | None,
        guide: Any,
        interval: Any,
        known: DefaultGuidance | None = None,
    ) -> Guidance:
        """Return how a caller wants to be guided; what is None is as `known`."""
        if isinstance(weight, Guidance):
            return weight
        by_default = False
        if known is not None and guide is None:
            guide = known.guide
            weight = known.weight if weight is None else weight
            by_default = interval is None
            interval = known.interval if by_default else interval
            guide, interval = (None, None) if weight == 1.0 else (guide, interval)
        if guide is None and interval is None:
            return Guidance(1.0 if weight is None else check_weight(weight))
        return guidance_of(self, weight, guide, interval, self._guides, by_default=by_default)

    @evaluating
    def trajectory(
        self,
        n: int = 1,
        *,
        steps: int | None = None,
        solver: Solver | str | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        batch_size: int | None = None,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        guidance: float | Guidance | None = None,
        guide: ModelParts | str | None = None,
        guidance_interval: tuple[float, float] | None = None,
        prior: PriorSampler | None = None,
        progress: bool = False,
        first: int = 0,
        keep: bool = True,
    ) -> Trajectory:
        """Draw n samples and keep their states x_t after every step of the solver.

        The samples are those of `sample`, to the last bit; arguments and errors are the same too.
        With keep = False no states are kept. States are in data units, see `standardise`. A latent
        model has none of images: `latents` has those of latents.
        """
        self._refuse_images(
            "trajectory", "model.latents.trajectory(...) is the walk of their latents"
        )
        solver = self._solver(solver)
        n = check_integer("n", n, 1, _MOST_NUMBERS // self.kernel.dim)
        steps = step_count(steps, solver.own_steps or self.steps)
        keep, progress = check_flag("keep", keep), check_flag("progress", progress)
        seed, first = seed_from(seed, generator), check_integer("first", first, 0)
        low, high = whole_groups(first, n) if solver.couples_samples else (first, first + n)
        before, after = first - low, high - first - n
        how = self._guidance(guidance, guide, guidance_interval, self.guidance)
        self.check_student(solver, steps, how, prior)
        given = self._given(labels, condition, how, n).of(n, before, after)
        prior = self.prior if prior is None else check_part("prior", prior)
        sizes = self._batch_sizes(solver, batch_size)
        with progress_bar(n, steps, progress) as bar, torch.inference_mode():

            def draw(a: int, b: int) -> Batch:
                x = starting_points(prior, self.state_shape, seed, a, b).to(self.device)
                own = given.part(a - low, b - low, self.device)

                def noise(step: int) -> Tensor:
                    return step_noise(self.state_shape, seed, step, a, b)

                flow, state = self._start(x, own, how, noise, a)
                states: list[tuple[float, Tensor]] = []

                def keep_state(t: float, state: Tensor) -> None:
                    x = self._to_data(self._samples_in(state))
                    states.append((t, x.to("cpu", torch.float64, copy=True)))

                def after_step(_: int, t: float, state: Tensor) -> None:
                    bar.update(b - a)
                    if keep and t > 0:
                        keep_state(t, state)

                if keep:
                    keep_state(self.kernel.t_max, state)
                observed = after_step if progress or keep else None
                end = integrate_to_data(solver, flow, state, steps, observed)
                end = self._to_data(self._samples_in(end).double())
                return Batch(states, end.to(self._rounding).cpu(), flow.nfe)

            batches = [*in_batches(draw, low, high, *sizes)]
        rows = slice(before, before + n)
        samples = torch.cat([batch.end for batch in batches])[rows]
        samples = samples if self.range is None else samples.clamp_(*self.range)
        return join_batches(batches, rows, samples)

    @arguments_of(trajectory, without="keep")
    def sample(self, *args: Any, **options: Any) -> Tensor:  # noqa: D417
        """Draw n samples, shape (n, *shape), float32, in data units; images in [-1, 1].

        (float64 for a model of a table, or of data whose mean float32 would round.) A latent model
        decodes its samples; those of its `latents` are not decoded.

        Sample i depends on (seed, i) alone, and on its own label and condition: on the CPU to the
        last bit, on an accelerator to rounding. (Under a solver with one step size for all, it
        depends on those of its group of 16 too.) The solver takes steps - 1 steps from t_max to
        t_min; the last step, to t = 0, is the denoiser at t_min (EDM, arXiv:2206.00364,
        algorithm 1). One that is made for a single number of steps, `learned`, may end its steps
        earlier and go to t = 0 from there.

        Args:
            n: number of samples, at least 1.
            steps: solver steps; None for the model's default, or the number that the solver is
                made for.
            solver: a solver or the name of one; None, or its name, for the model's own with its
                options.
            seed: whole number; None draws one.
            generator: draws the seed from a torch.Generator instead.
            batch_size: samples at a time, on the CPU rounded up to whole batches of a fixed size
                (zoo.sampling.predict); None for about 800,000 coordinates. Where a batch does not
                fit into an accelerator's memory, it and those after it are halved. Of a latent
                model no more images are decoded at a time either.
            labels: class number, or name where the classes have names, for all; or n of them,
                -1 for "no class".
            condition: what to draw samples given, in data units, where the model was trained so:
                one (k,) or image (C, H, W) for all, or n of them; a data frame of named columns.
            guidance: 1 is none; larger follows class and condition more closely
                (arXiv:2207.12598). None for the model's own: 1, unless its config.json says more.
            guide: a model of the same data, or a reference to one: D_guide + guidance (D - D_guide)
                takes the place of D (arXiv:2406.02507). It may be of another kernel: its denoiser
                is asked at the time with the same noise level.
            guidance_interval: noise levels (low, high) of guidance, in units of what the parts
                see; outside it the guide is not evaluated (arXiv:2404.07724). A time has the
                kernel's typical level.
            prior: another prior sampler; of a student none.
            progress: show a progress bar.
            first: number of the first sample: sample(4, first=60, seed=0) is the end of
                sample(64, seed=0), so processes can share the work.

        Raises:
            ZooError: a value out of range, or a state that became non-finite; names t; a student
                that is to be drawn from by other parts or steps than it was trained with; a decoder
                that makes images that are not finite, or of another shape.
        """
        samples = self.latents.trajectory(*args, keep=False, **options).samples
        if self.decoder is None:
            return samples
        shown = {name: options[name] for name in ("batch_size", "progress") if name in options}
        return decoded(self, samples, **shown).float()

    @arguments_of(trajectory, without="keep")
    def sample_frame(self, *args: Any, **options: Any) -> Any:  # noqa: D417
        """Draw n samples as a DataFrame with the columns of the table that was fitted.

        Names, order and types are those of `zoo.fit`'s data frame, of pandas or polars; whole
        numbers are rounded. Rows of an array have the columns "x0", "x1", ...

        Args:
            n: number of rows, at least 1.
            options: as for `sample`.

        Raises:
            ZooError: the model is not of rows, or pandas or polars is not installed; or as
                `sample`.
        """
        return frame_of(self.sample(*args, **options), self.data)

    def check_student(
        self, solver: Solver, steps: int, how: Guidance, prior: PriorSampler | None = None
    ) -> None:
        """Raise ZooError where a student is to sample by other parts or steps, or be guided."""
        known = self.distilled
        if known is None or self.config is None:
            return
        own = self.config.solver
        if solver.part != Part(own.use, own.options) or steps != known.evaluations:
            raise ZooError(
                f"{known} takes no other steps: leave solver and steps out, or ask {known.whose}"
            )
        if how.weight != 1.0:
            raise ZooError(f"{known} is not guided, but for what it learned: ask {known.whose}")
        self.check_parts()
        if prior not in (None, self.prior):
            raise ZooError(f"{known} starts from its own prior: leave prior out")

    def _given(
        self,
        labels: Numbers | None,
        condition: Numbers | None,
        guidance: float | Guidance,
        n: int,
    ) -> Given:
        """Return labels and conditions of n samples, checked."""
        return given_of(
            labels,
            condition,
            classes=unwrapped(self.network).labels,
            names=self.classes,
            known=self.condition,
            guidance=as_guidance(guidance).of_classes,
            n=n,
        )

    def _start(
        self, x: Tensor, given: Given, guidance: float | Guidance, noise: StepNoise, first: int
    ) -> tuple[Flow, Tensor]:
        """Return the ODE that a solver integrates for samples first, first + 1, ..., and x_T."""
        del first
        return self._flow(given.labels, guidance, noise, given.condition), x

    def _samples_in(self, state: Tensor) -> Tensor:
        """Return x, shape (B, *shape), of a state of that ODE."""
        return state

    def _batch_sizes(self, solver: Solver, asked: int | None) -> tuple[int, int]:
        """Return how many samples at a time, and how many at least."""
        default = max(1, _BATCH_COORDINATES // self.kernel.dim)
        size = default if asked is None else check_integer("batch_size", asked, 1)
        least = fixed_batch_size(self.kernel.dim) if self.device.type == "cpu" else 1
        return (GROUP, GROUP) if solver.couples_samples else (-(-size // least) * least, least)

    def _solver(self, solver: Solver | str | None) -> Solver:
        if solver is None or isinstance(solver, Solver):
            return solver or self.solver
        return self.solver_called(solver)

    def solver_called(self, name: str) -> Solver:
        """Return the solver of that name: the model's own, with its options, or one without any.

        Raises:
            ZooError: an unknown name.
        """
        own = self.solver.part
        is_own = isinstance(name, str) and own is not None and own.use == name
        return self.solver if is_own else build_solver(name)
