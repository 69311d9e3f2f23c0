"""FieldModel: kernel, prior, network and solver put together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.folder.columns import frame_of
from zoo.folder.picture import drawable
from zoo.host.build import solver as build_solver
from zoo.interfaces import Flow, Operator, PosteriorMethod, PriorSampler, Solver
from zoo.interfaces.checks import check_integer
from zoo.interfaces.flow import Predict, StepNoise
from zoo.interfaces.posterior import Around
from zoo.models.likelihood import (
    EXACT_UP_TO,
    LIKELIHOOD_STEPS,
    LogLikelihood,
    log_likelihood,
)
from zoo.models.parts import ModelParts, check_part
from zoo.models.trajectory import (
    Batch,
    IntegrationBar,
    Trajectory,
    accurate_solver,
    arguments_of,
    integrate_to_data,
    join_batches,
    progress_bar,
)
from zoo.sampling.arguments import (
    Numbers,
    as_points,
    as_samples,
    as_times,
    seed_from,
    step_count,
    warn_outside,
)
from zoo.sampling.given import Given, given_of
from zoo.sampling.modes import evaluating
from zoo.sampling.predict import (
    conditioned,
    fixed_batch_size,
    in_batches,
    shown_dtype,
    unwrapped,
)
from zoo.sampling.rng import GROUP, starting_points, step_noise, whole_groups

# Coordinates per batch when the caller names no batch size: 256 images of 3x32x32.
_BATCH_COORDINATES = 786_432
# More than any memory holds.
_MOST_NUMBERS = 2**42
# What the picture of a published model shows.
_PICTURE_SEED = 0
_PICTURE_IMAGES = 16
_PICTURE_POINTS = 500
# Each step of a likelihood in float64 is right to this, relative and absolute.
_FINE = 1e-7


class FieldModel(ModelParts):
    """An ODE generative model: dx/dt = f(x, t) from the prior at t_max down to data.

    It computes in evaluation mode whatever mode it is in: samples never see dropout. What it
    returns are ordinary tensors without gradient.

    Args:
        kernel: the field kernel, decides how data spreads into noise.
        prior: the prior sampler, where the ODE starts.
        network: learns the denoiser E[x_0 | x_t], or the field.
        solver: integrates the ODE.
        shape: of one sample, (C, H, W) or (d,).
        config: the model folder's config.json, None for parts put together by hand.
        card: the model card's text.
        name: of the model, "" where it has none.

    Raises:
        ZooError: parts that do not fit each other.
    """

    # What conditions the network's predictions on an observation; see `posterior`.
    _around: Around | None = None

    def flow(
        self,
        labels: Tensor | None = None,
        guidance: float = 1.0,
        noise: StepNoise | None = None,
        condition: Tensor | None = None,
    ) -> Flow:
        """Return the model's ODE, for a solver.

        Args:
            labels: class numbers (B,), or None.
            guidance: as for `sample`.
            noise: of stochastic solvers, see `Flow`.
            condition: (B, *), as the network sees it: standardised, NaN where hidden; or None.
        """
        network = unwrapped(self.network)
        denoises = self._around is not None and self.kernel.affine
        return Flow(
            self.kernel,
            self._ask(self.network, guidance),
            "denoised" if denoises else network.predicts,
            dtype=shown_dtype(self.dtype),
            labels=labels,
            condition=None if condition is None else condition.to(shown_dtype(self.dtype)),
            sigma_data=network.sigma_data,
            noise=noise,
        )

    def _ask(self, network: nn.Module, guidance: float) -> Predict:
        """Return a network as the function that a flow evaluates."""
        return conditioned(network, guidance, self.kernel.dim, self.dtype, self._around)

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
        guidance: float = 1.0,
        prior: PriorSampler | None = None,
        progress: bool = False,
        first: int = 0,
        keep: bool = True,
    ) -> Trajectory:
        """Draw n samples and keep their states x_t after every step of the solver.

        The samples are those of `sample`, to the last bit; arguments and errors are the same too.
        With keep = False no states are kept. States are in data units, see `standardise`.
        """
        solver = self._solver(solver)
        n = check_integer("n", n, 1, _MOST_NUMBERS // self.kernel.dim)
        steps = step_count(steps, self.steps)
        seed, first = seed_from(seed, generator), check_integer("first", first, 0)
        low, high = whole_groups(first, n) if solver.couples_samples else (first, first + n)
        before, after = first - low, high - first - n
        given = self._given(labels, condition, guidance, n).of(n, before, after)
        prior = self.prior if prior is None else check_part("prior", prior)
        sizes = self._batch_sizes(solver, batch_size)
        with progress_bar(n, steps, progress) as bar, torch.inference_mode():

            def draw(a: int, b: int) -> Batch:
                x = starting_points(prior, self.shape, seed, a, b).to(self.device)
                own = given.part(a - low, b - low, self.device)

                def noise(step: int) -> Tensor:
                    return step_noise(self.shape, seed, step, a, b)

                flow, state = self._start(x, own, guidance, noise, a)
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

        (float64 for a model of a table, or of data whose mean float32 would round.)

        Sample i depends on (seed, i) alone, and on its own label and condition: on the CPU to the
        last bit, on an accelerator to rounding. (Under a solver with one step size for all, it
        depends on those of its group of 16 too.) The solver takes steps - 1 steps from t_max to
        t_min; the last step, to t = 0, is the denoiser at t_min (EDM, arXiv:2206.00364,
        algorithm 1).

        Args:
            n: number of samples, at least 1.
            steps: solver steps; None for the model's default.
            solver: a solver or the name of one; None, or its name, for the model's own with its
                options.
            seed: whole number; None draws one.
            generator: draws the seed from a torch.Generator instead.
            batch_size: samples at a time, on the CPU rounded up to whole batches of a fixed size
                (zoo.sampling.predict); None for about 800,000 coordinates. Where a batch does not
                fit into an accelerator's memory, it and those after it are halved.
            labels: class number, or name where the classes have names, for all; or n of them,
                -1 for "no class".
            condition: what to draw samples given, in data units, where the model was trained so:
                one (k,) or image (C, H, W) for all, or n of them; a data frame of named columns.
            guidance: 1 is none; larger follows class and condition more closely
                (arXiv:2207.12598).
            prior: another prior sampler.
            progress: show a progress bar.
            first: number of the first sample: sample(4, first=60, seed=0) is the end of
                sample(64, seed=0), so processes can share the work.

        Raises:
            ZooError: a value out of range, or a state that became non-finite; names t.
        """
        return self.trajectory(*args, keep=False, **options).samples

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

    def _given(
        self, labels: Numbers | None, condition: Numbers | None, guidance: float, n: int
    ) -> Given:
        """Return labels and conditions of n samples, checked."""
        return given_of(
            labels,
            condition,
            classes=unwrapped(self.network).labels,
            names=self.classes,
            known=self.condition,
            guidance=guidance,
            n=n,
        )

    def _start(
        self, x: Tensor, given: Given, guidance: float, noise: StepNoise, first: int
    ) -> tuple[Flow, Tensor]:
        """Return the ODE that a solver integrates for samples first, first + 1, ..., and x_T."""
        del first
        return self.flow(given.labels, guidance, noise, given.condition), x

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

    @evaluating
    def field(
        self,
        x: Numbers,
        t: Numbers,
        *,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Return dx/dt at (x, t), shape (B, *), x in data units as in `trajectory`.

        Args:
            x: states (B, *shape), a tensor or what becomes one.
            t: the time of all, or B times.
            labels: as for `sample`.
            condition: as for `sample`.
            guidance: as for `sample`.

        Raises:
            ZooError: x of another shape or not finite; t out of range; no such class.
        """
        x, t, flow = self._at(x, t, labels, condition, guidance)
        slope = flow.field(x, t)
        return slope if self.standardise is None else self.standardise.stretch(slope)

    @evaluating
    def denoise(
        self,
        x: Numbers,
        t: Numbers,
        *,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Return E[x_0 | x_t = x], shape (B, *), where the kernel allows it; as `field`.

        Raises:
            ZooError: the kernel's velocity is not affine in x_0; or as for `field`.
        """
        x, t, flow = self._at(x, t, labels, condition, guidance)
        return self._to_data(flow.denoise(x, t).to(x.dtype))

    def _at(
        self,
        x: Numbers,
        t: Numbers,
        labels: Numbers | None,
        condition: Numbers | None,
        guidance: float,
    ) -> tuple[Tensor, Tensor | float, Flow]:
        x = self._to_parts(as_points("x", x, self.shape).to(self.device))
        return x, as_times(t, len(x)), self._flow_of(len(x), labels, condition, guidance)

    def _flow_of(
        self,
        n: int,
        labels: Numbers | None,
        condition: Numbers | None,
        guidance: float = 1.0,
    ) -> Flow:
        """Return the ODE of n samples with these labels and conditions."""
        given = self._given(labels, condition, guidance, n).of(n).part(0, n, self.device)
        return self.flow(given.labels, guidance, condition=given.condition)

    @evaluating
    def log_likelihood(
        self,
        x_0: Numbers,
        *,
        exact: bool | None = None,
        probes: int = 8,
        steps: int | None = None,
        solver: Solver | str | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        progress: bool = False,
    ) -> LogLikelihood:
        """Return log p_0(x_0) by the ODE's change of variables, with its error and bits per dim.

        Args:
            x_0: data (n, *shape); floats for a density in data units, integers 0..255 for images,
                which are dequantised uniformly into a bound on their log probability.
            exact: the divergence exactly, or by Hutchinson's estimate; None for exact up to 16
                coordinates.
            probes: random vectors per sample, at least 2 so that the error can be stated.
            steps: of the solver; a hint to an adaptive one.
            solver: a solver or the name of one. By default, where the network is float32,
                exp-abm3 in 24, 48 and if need be more steps, with a spline through the
                divergences, until the result moves by less than a third of its standard error,
                or than 0.001 nats. For a float64 field dopri5 at a tolerance of 1e-7.
            seed: of probes and dequantisation; sample i depends on (seed, i) alone.
            batch_size: samples at a time.
            labels: as for `sample`: log p_0(x_0 | class).
            condition: as for `sample`: log p_0(x_0 | condition).
            progress: show a progress bar.

        Raises:
            ZooError: data of the wrong shape or not finite, or an option out of range.
        """
        read = as_points if self.range is None else as_samples
        x_0 = read("x_0", x_0, self.shape)
        warn_outside("x_0", x_0, self.range)
        exact = self.kernel.dim <= EXACT_UP_TO if exact is None else exact
        method = None if solver is None else self._solver(solver)
        if solver is None and self.dtype == torch.float64:
            method = build_solver("dopri5", rtol=_FINE, atol=_FINE)
        return log_likelihood(
            self._flow_of(len(x_0), labels, condition),
            self.prior,
            x_0,
            solver=method,
            steps=step_count(steps, LIKELIHOOD_STEPS if method is None else self.steps),
            value_range=self.range,
            standardise=self.standardise,
            exact=exact,
            probes=probes,
            seed=seed,
            batch_size=batch_size,
            device=self.device,
            rows=fixed_batch_size(self.kernel.dim),
            progress=progress,
        )

    def log_prob(
        self,
        x_0: Numbers,
        *,
        exact: bool | None = None,
        probes: int = 8,
        steps: int | None = None,
        seed: int = 0,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Return log p_0(x_0) in nats, shape (n,), float64; see `log_likelihood`."""
        return self.log_likelihood(
            x_0,
            exact=exact,
            probes=probes,
            steps=steps,
            seed=seed,
            labels=labels,
            condition=condition,
            progress=progress,
        ).nats

    @evaluating
    def encode(
        self,
        x_0: Numbers,
        *,
        steps: int | None = None,
        solver: Solver | str | None = None,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        guidance: float = 1.0,
        progress: bool = False,
    ) -> Tensor:
        """Return x_T, shape of x_0 (n, *shape), float64: the ODE from t_min up to t_max.

        x_0 is in data units; x_T is as the model's prior draws it, see `standardise`.

        Args:
            x_0: data (n, *shape).
            steps: of the solver; a hint to an adaptive one.
            solver: a solver or the name of one; by default not the one that samples but an
                adaptive one, exp-adaptive, so accurate that `decode` returns to x_0.
            labels: as for `sample`.
            condition: as for `sample`.
            guidance: as for `sample`.
            progress: show a progress bar.

        Raises:
            ZooError: data of the wrong shape or not finite, or an option out of range.
        """
        x = as_points("x_0", x_0, self.shape).double()
        warn_outside("x_0", x, self.range)
        x = self._to_parts(x)
        times = self.kernel.t_min, self.kernel.t_max
        flow = self._flow_of(len(x), labels, condition, guidance)
        return self._integrate(x, times, flow, steps, solver, progress)

    @evaluating
    def decode(
        self,
        x_T: Numbers,
        *,
        steps: int | None = None,
        solver: Solver | str | None = None,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        guidance: float = 1.0,
        progress: bool = False,
    ) -> Tensor:
        """Return x_0, shape of x_T (n, *shape), float64: the inverse of `encode`, as accurate."""
        x = as_points("x_T", x_T, self.shape)
        times = self.kernel.t_max, self.kernel.t_min
        flow = self._flow_of(len(x), labels, condition, guidance)
        return self._to_data(self._integrate(x, times, flow, steps, solver, progress))

    def _integrate(
        self,
        x: Tensor,
        times: tuple[float, float],
        flow: Flow,
        steps: int | None,
        solver: Solver | str | None,
        progress: bool,
    ) -> Tensor:
        steps = step_count(steps, self.steps)
        method = accurate_solver(self.dtype) if solver is None else self._solver(solver)
        with torch.inference_mode(), IntegrationBar(len(x), times, progress) as bar:
            start = x.to(self.device, torch.float64)
            end = method.integrate(flow, start, *times, steps=steps, callback=bar.after_step)
        return end.clone()

    def posterior(
        self,
        y: Numbers,
        operator: Operator | Callable[[Tensor], Tensor],
        *,
        noise: Numbers,
        method: PosteriorMethod | str = "mmps",
        **options: Any,
    ) -> FieldModel:
        """Return the model of p(x | y), y = A x + n, n ~ N(0, S): its samples are restorations.

        posterior = model.posterior(y, zoo.posterior.Mask(keep), noise=0.05)
        posterior.sample(8, seed=0)

        Args:
            y: what was observed, in data units: (*out) for all samples, (n, *out) for sample 0, 1,
                ..., n - 1 each its own.
            operator: A, of zoo.posterior, or a differentiable function of a batch (B, *shape).
            noise: of y: a standard deviation, one for each number of y, or a covariance (m, m).
            method: a name in zoo.components("posteriors"), or a method itself.
            options: of the method of that name.

        Raises:
            ZooError: shapes that do not fit; values that are not finite; a method that does not
                know this kernel, operator or noise.
        """
        of = import_module("zoo.models.posterior")  # whose model derives from this class
        asked: FieldModel = of.posterior_of(
            self, y, operator, noise=noise, method=method, options=options
        )
        return asked

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
        from zoo.hub.publish import check_repository, publish  # slow to import

        check_repository(repo_id, revision, create_pr)
        count = _PICTURE_IMAGES if len(self.shape) == 3 else _PICTURE_POINTS
        drawn = drawable(self.shape) and self.condition is None
        samples = self.sample(count, seed=_PICTURE_SEED) if drawn else None
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
