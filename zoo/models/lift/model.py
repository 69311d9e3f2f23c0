"""The lifted model: any isotropic or Gaussian kernel on the denoiser of a Gaussian model."""

from __future__ import annotations

import msgspec
from torch import Tensor

from zoo.config.condition import Condition
from zoo.config.model import Config, Data, DefaultGuidance
from zoo.config.part import SolverPart
from zoo.errors import ZooError
from zoo.host.build import kernel as build_kernel
from zoo.host.build import prior as build_prior
from zoo.host.requirements import requirements
from zoo.interfaces import (
    FieldKernel,
    Flow,
    IsotropicKernel,
    KernelPrior,
    Network,
    PriorSampler,
    Solver,
)
from zoo.interfaces.flow import StepNoise
from zoo.models.lift.flow import AugmentedFlow, split_level
from zoo.models.model import FieldModel
from zoo.models.parts import check_model, check_part
from zoo.networks.lifted import NEED, LiftedNetwork, check_gaussian
from zoo.sampling.given import Given
from zoo.sampling.guidance import Guidance
from zoo.sampling.predict import shown_dtype


class LiftedModel(FieldModel):
    """A model that runs another kernel on its denoiser; made by `lift`.

    Samples carry their level along the ODE, drawn once with x_T: sigma(T) = |x_T| / sqrt(d). Where
    that is above the network's largest level they start on it (`AugmentedFlow.start`).
    `field`, `denoise`, `encode`, `decode` and `log_prob` see (x, t) alone and estimate it.

    Args:
        source: the model whose denoiser it is.
        kernel: the kernel to run.
        prior: where the ODE starts.
        solver: integrates the ODE.

    Raises:
        ZooError: the source's kernel is not Gaussian, or `kernel` neither isotropic nor Gaussian,
            or of another dimension.
    """

    network: LiftedNetwork

    def __init__(
        self, source: FieldModel, kernel: FieldKernel, prior: PriorSampler, solver: Solver
    ) -> None:
        denoiser = source._level_denoiser()
        check_gaussian(denoiser.source, NEED)
        shape = source.state_shape
        network = LiftedNetwork(denoiser, kernel, shape)
        super().__init__(kernel, prior, network, solver, shape, name=source.name)
        self._of_latents = source._of_latents
        self._data, self._steps = source.data, source.steps
        self._condition = source.condition
        self._guided_by, self.load_guide = source.guidance, source.load_guide
        if source.config is not None:
            self.config = self._described(source.config)

    @property
    def _asked_by_samples(self) -> Network:
        """The denoiser: samples ask it by their own level."""
        return self.network.denoiser

    def _described(self, config: Config) -> Config | None:
        """Return `config` for this kernel and prior; None where these have no name."""
        origin = self.network.denoiser.source.part
        parts = {"kernel": self.kernel.part, "prior": self.prior.part, "lifted_from": origin}
        solver = self.solver.part
        if solver is None or None in parts.values():
            return None
        solver = SolverPart.of(solver, self._steps)
        config = msgspec.structs.replace(config, solver=solver, **parts)
        return msgspec.structs.replace(config, requires=requirements(config))

    def _known_data(self) -> Data:
        return self._data if self.config is None else self.config.data

    @property
    def condition(self) -> Condition | None:
        """What samples are drawn given, that of the model that was lifted."""
        return self._condition

    @property
    def guidance(self) -> DefaultGuidance | None:
        """How samples are guided by default, as those of the model that was lifted."""
        return self._guided_by

    @property
    def steps(self) -> int:
        """Default number of solver steps, that of the model that was lifted."""
        return self._steps

    def augmented_flow(
        self,
        labels: Tensor | None = None,
        guidance: float | Guidance = 1.0,
        noise: StepNoise | None = None,
        condition: Tensor | None = None,
    ) -> AugmentedFlow:
        """Return the ODE of (x, sigma), for an isotropic kernel; arguments as for `flow`."""
        assert isinstance(self.kernel, IsotropicKernel), "others have no radius"
        denoiser = self.network.denoiser
        return AugmentedFlow(
            self.kernel,
            self._predictor(denoiser, guidance),
            denoiser.high,
            self._shape,
            dtype=shown_dtype(self.dtype),
            labels=labels,
            condition=None if condition is None else condition.to(shown_dtype(self.dtype)),
            sigma_data=self.network.sigma_data,
            noise=noise,
            said=self._said,
        )

    def _start(
        self, x: Tensor, given: Given, guidance: float | Guidance, noise: StepNoise, first: int
    ) -> tuple[Flow, Tensor]:
        if not self.kernel.random_level:
            return super()._start(x, given, guidance, noise, first)
        flow = self.augmented_flow(given.labels, guidance, noise, given.condition)
        return flow, flow.start(x)

    def _samples_in(self, state: Tensor) -> Tensor:
        return split_level(state, self._shape)[0] if self.kernel.random_level else state

    def _trained(self) -> tuple[Network, FieldKernel]:
        denoiser = self.network.denoiser
        return denoiser.network, denoiser.source

    def describe(self) -> Config:
        """Return config.json of the network as it was trained, with `lifted_from`.

        Raises:
            ZooError: a part was not built by name, or its options are not JSON, so that config.json
                cannot name it.
        """
        config = self._described(super().describe())
        if config is None:
            raise ZooError(
                "the kernel that the network was trained under has no name to save; "
                "build it with zoo.kernel(name, ...)"
            )
        return config


def lift(
    model: FieldModel,
    kernel: FieldKernel | str,
    *,
    prior: PriorSampler | None = None,
    solver: Solver | None = None,
) -> LiftedModel:
    """Return the model that runs `kernel` on the denoiser of a Gaussian model; no training.

    Args:
        model: trained (or exact) under a Gaussian kernel: gaussian, ve, vp, interpolant, flow; or
            one that was lifted from such.
        kernel: an isotropic or Gaussian kernel, or the name of one; by default times match the
            noise levels 0.002 to 80.
        prior: a prior sampler of `kernel`; by default the one of its name, or its law at x_0 = 0
            where the kernel has none.
        solver: by default the model's own.

    Raises:
        ZooError: the model's kernel is not Gaussian, or `kernel` neither isotropic nor Gaussian,
            or of another dimension.
    """
    check_model(model)
    if model._around is not None:
        raise ZooError("a posterior is not lifted: lift the model, and ask the lifted one")
    if isinstance(kernel, str):
        kernel = build_kernel(kernel, dim=model.kernel.dim)
    check_part("kernel", kernel)
    if prior is None:
        own = kernel.part
        prior = KernelPrior(kernel) if own is None else build_prior(own.use, kernel)
    return LiftedModel(model, kernel, prior, model.solver if solver is None else solver)
