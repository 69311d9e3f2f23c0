"""FieldModel: kernel, prior, network and solver put together."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import check_flag
from zoo.folder.picture import drawable
from zoo.host.build import solver as build_solver
from zoo.interfaces import Flow, Operator, PosteriorMethod, Solver
from zoo.models.decoding import decoded, encoded
from zoo.models.likelihood import (
    EXACT_UP_TO,
    LIKELIHOOD_STEPS,
    LogLikelihood,
    log_likelihood,
)
from zoo.models.parts import ModelParts
from zoo.models.posterior import PosteriorParts, observed_by
from zoo.models.sampling import SamplingModel
from zoo.models.trajectory import IntegrationBar, accurate_solver
from zoo.sampling.arguments import (
    Numbers,
    as_points,
    as_samples,
    as_times,
    step_count,
    warn_outside,
)
from zoo.sampling.guidance import Guidance
from zoo.sampling.modes import evaluating
from zoo.sampling.predict import fixed_batch_size

# What the picture of a published model shows.
_PICTURE_SEED = 0
_PICTURE_IMAGES = 16
_PICTURE_POINTS = 500
# Each step of a likelihood is right to this, relative and absolute: by the field's dtype.
_FINE, _COARSE = 1e-7, 1e-5


class FieldModel(SamplingModel):
    """An ODE generative model: dx/dt = f(x, t) from the prior at t_max down to data.

    It computes in evaluation mode whatever mode it is in: samples never see dropout. What it
    returns are ordinary tensors without gradient.

    Args:
        kernel: the field kernel, decides how data spreads into noise.
        prior: the prior sampler, where the ODE starts.
        network: learns the denoiser E[x_0 | x_t], or the field.
        solver: integrates the ODE.
        shape: of one sample, (C, H, W) or (d,); of latents where the network has a decoder.
        config: the model folder's config.json, None for parts put together by hand.
        card: the model card's text.
        name: of the model, "" where it has none.

    Raises:
        ZooError: parts that do not fit each other.
    """

    @evaluating
    def field(
        self,
        x: Numbers,
        t: Numbers,
        *,
        labels: Numbers | None = None,
        condition: Numbers | None = None,
        guidance: float | None = None,
        guide: ModelParts | str | None = None,
        guidance_interval: tuple[float, float] | None = None,
    ) -> Tensor:
        """Return dx/dt at (x, t), shape (B, *), x in data units as in `trajectory`.

        Args:
            x: states (B, *shape), a tensor or what becomes one.
            t: the time of all, or B times.
            labels: as for `sample`.
            condition: as for `sample`.
            guidance: as for `sample`; None for 1, whatever config.json says.
            guide: as for `sample`.
            guidance_interval: as for `sample`.

        Raises:
            ZooError: x of another shape or not finite; t out of range; no such class; x so far out
                that the network's output is not finite.
        """
        self._refuse_images("field")
        how = self._guidance(guidance, guide, guidance_interval)
        x, t, flow = self._at(x, t, labels, condition, how)
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
        guidance: float | None = None,
        guide: ModelParts | str | None = None,
        guidance_interval: tuple[float, float] | None = None,
    ) -> Tensor:
        """Return E[x_0 | x_t = x], shape (B, *), where the kernel allows it; as `field`.

        Raises:
            ZooError: the kernel's velocity is not affine in x_0; or as for `field`.
        """
        self._refuse_images("denoise")
        how = self._guidance(guidance, guide, guidance_interval)
        x, t, flow = self._at(x, t, labels, condition, how)
        return self._to_data(flow.denoise(x, t).to(x.dtype))

    def _at(
        self,
        x: Numbers,
        t: Numbers,
        labels: Numbers | None,
        condition: Numbers | None,
        guidance: Guidance,
    ) -> tuple[Tensor, Tensor | float, Flow]:
        x = self._to_parts(as_points("x", x, self.shape, self.data.columns).to(self.device))
        flow = self._flow_of(len(x), labels, condition, guidance)
        flow.guard = True
        return x, as_times(t, len(x)), flow

    def _flow_of(
        self,
        n: int,
        labels: Numbers | None,
        condition: Numbers | None,
        guidance: float | Guidance = 1.0,
    ) -> Flow:
        """Return the ODE of n samples with these labels and conditions."""
        self.needs_field("be evaluated as a field, or integrated")
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
            solver: a solver or the name of one. By default, where the divergence is estimated and
                the network float32, exp-abm3 in 24, 48 and if need be more steps, with a spline
                through the divergences, until the result moves by less than a third of its
                standard error. Else dopri5, at a tolerance of 1e-7 for a float64 field and 1e-5
                for a float32 network.
            seed: of probes and dequantisation; sample i depends on (seed, i) alone.
            batch_size: samples at a time.
            labels: as for `sample`: log p_0(x_0 | class).
            condition: as for `sample`: log p_0(x_0 | condition).
            progress: show a progress bar.

        Raises:
            ZooError: data of the wrong shape or not finite, or an option out of range.
        """
        self._refuse_images("log_likelihood")
        if self.range is None:
            x_0 = as_points("x_0", x_0, self.shape, self.data.columns)
        else:
            x_0 = as_samples("x_0", x_0, self.shape)
        warn_outside("x_0", x_0, self.range)
        small = self.kernel.dim <= EXACT_UP_TO
        exact = small if exact is None else check_flag("exact", exact)
        method = None if solver is None else self._solver(solver)
        if solver is None and (exact or self.dtype == torch.float64):
            tolerance = _FINE if self.dtype == torch.float64 else _COARSE
            method = build_solver("dopri5", rtol=tolerance, atol=tolerance)
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
            progress=check_flag("progress", progress),
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
        self._refuse_images("log_prob")
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
        guidance: float | None = None,
        guide: ModelParts | str | None = None,
        guidance_interval: tuple[float, float] | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Return x_T (n, *state_shape) of x_0 (n, *shape), float64: the ODE from t_min to t_max.

        x_0 is in data units; x_T is as the model's prior draws it, see `standardise`. Of a latent
        model x_0 are images, and x_T is of the latents that its autoencoder makes of them.

        Args:
            x_0: data (n, *shape).
            steps: of the solver; a hint to an adaptive one.
            solver: a solver or the name of one; by default not the one that samples but an
                adaptive one, exp-adaptive, so accurate that `decode` returns to x_0.
            labels: as for `sample`.
            condition: as for `sample`.
            guidance: as for `sample`; None for 1, whatever config.json says.
            guide: as for `sample`.
            guidance_interval: as for `sample`.
            progress: show a progress bar.

        Raises:
            ZooError: data of the wrong shape or not finite, or an option out of range.
        """
        x = as_points("x_0", x_0, self.shape, self.data.columns).double()
        warn_outside("x_0", x, self.range)
        x = (
            self._to_parts(x)
            if self.decoder is None
            else encoded(self, x, progress=progress).double()
        )
        times = self.kernel.t_min, self.kernel.t_max
        how = self._guidance(guidance, guide, guidance_interval)
        flow = self._flow_of(len(x), labels, condition, how)
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
        guidance: float | None = None,
        guide: ModelParts | str | None = None,
        guidance_interval: tuple[float, float] | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Return x_0 (n, *shape) of x_T (n, *state_shape), float64: the inverse of `encode`.

        As accurate as that. A latent model takes x_T of latents and decodes what it comes to; what
        its autoencoder loses of an image is lost.
        """
        x = as_points("x_T", x_T, self._shape, self.data.columns)
        times = self.kernel.t_max, self.kernel.t_min
        how = self._guidance(guidance, guide, guidance_interval)
        flow = self._flow_of(len(x), labels, condition, how)
        end = self._integrate(x, times, flow, steps, solver, progress)
        if self.decoder is None:
            return self._to_data(end)
        return decoded(self, end, progress=progress).to(self.device, torch.float64)

    def encode_images(
        self, x: Numbers, *, batch_size: int | None = None, progress: bool = False
    ) -> Tensor:
        """Return the latents (n, *state_shape) that a latent model's autoencoder makes of images.

        On the CPU, without gradients; `decoder.encode` has some. Of a model without a decoder, x.

        Args:
            x: images (n, *shape), in the range of the data.
            batch_size: images at a time, as for `sample`.
            progress: show a progress bar.

        Raises:
            ZooError: images of the wrong shape or not finite, or an option out of range; the
                autoencoder fails, or makes latents that are not finite.
        """
        x = as_points("x", x, self.shape, self.data.columns)
        warn_outside("x", x, self.range)
        return x if self.decoder is None else encoded(self, x, batch_size, progress)

    def decode_latents(
        self, z: Numbers, *, batch_size: int | None = None, progress: bool = False
    ) -> Tensor:
        """Return the images (n, *shape) of latents, in the range of the data.

        The inverse of `encode_images`, up to what the autoencoder loses; arguments and errors are
        those of it.

        Args:
            z: latents (n, *state_shape).
            batch_size: images at a time, as for `sample`.
            progress: show a progress bar.
        """
        z = as_points("z", z, self.state_shape, self.data.columns)
        return z if self.decoder is None else decoded(self, z, batch_size, progress)

    def _integrate(
        self,
        x: Tensor,
        times: tuple[float, float],
        flow: Flow,
        steps: int | None,
        solver: Solver | str | None,
        progress: bool,
    ) -> Tensor:
        steps, progress = step_count(steps, self.steps), check_flag("progress", progress)
        if not len(x):
            return x.to(self.device, torch.float64)
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
        self.needs_field("be conditioned")
        self._refuse_images(
            "posterior",
            "it is model.latents.posterior(y, A, ...), A of latents such as "
            "lambda z: operator(model.decoder.decode(z))",
        )
        observed = observed_by(self, y, operator, noise=noise, method=method, options=options)
        return PosteriorModel(self, observed)

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


class PosteriorModel(PosteriorParts, FieldModel):
    """A model that draws from p(x | y); made by `FieldModel.posterior`.

    `sample`, `trajectory`, `field`, `denoise`, `encode` and `decode` are those of the model it was
    made of, conditioned. Sample i belongs to row i of y, or to the one row there is.

    Args:
        source: the model that was asked.
        observed: what was observed, and the method.

    Attributes:
        observed: as given.
    """
