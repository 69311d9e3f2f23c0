"""Exact fields on which solvers are measured: one Gaussian, a mixture in the plane, garments.

Each is integrated from the noise of level 80 to that of level 0.002, where the last evaluation, the
denoiser's, gives the sample: as `FieldModel.sample` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from gaussian_posterior import GaussianPosterior
from torch import Tensor

import zoo
import zoo.data
from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Flow, SelfSimilarKernel, Solver
from zoo.sampling.rng import starting_points

STD = 0.5
CONVERGED_STEPS = 200
POINTS = torch.tensor(
    [[1.0, 0.0], [-1.0, 0.3], [0.2, 1.1], [0.1, -0.9], [0.8, 0.9], [-0.6, -0.8]]
).double()

Predict = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Problem:
    """One kernel's exact flow with starting points.

    Attributes:
        name: of the problem.
        kernel: of the flow.
        predict: the denoiser, or the field where the kernel is not affine.
        start: x at t_max, (B, *), float64.
        sigma_data: standard deviation of the data.
        sources: the data, where samples end on one of them, (N, d); None elsewhere.
        expected: the end without error, (B, *).
    """

    name: str
    kernel: FieldKernel
    predict: Predict
    start: Tensor
    sigma_data: float | None
    sources: Tensor | None = None
    expected: Tensor | None = None
    rows: Tensor | None = None
    evaluations: float = 0.0

    def flow(self) -> Flow:
        """Return the flow; it counts evaluations per sample, averaged over samples."""
        self.evaluations = 0.0

        def counted(x: Tensor, t: Tensor) -> Tensor:
            self.evaluations += len(x) / len(self.start)
            self.rows = flow.rows
            return self.predict(x, t)

        predicts = "denoised" if self.kernel.affine else "field"
        flow = Flow(self.kernel, counted, predicts, dtype=torch.float64, sigma_data=self.sigma_data)
        return flow

    @torch.inference_mode()
    def integrate(self, solver: Solver, steps: int) -> Tensor:
        """Return the samples after so many steps and the denoiser's own."""
        flow = self.flow()
        low = self.kernel.t_min
        x = solver.integrate(flow, self.start, self.kernel.t_max, low, steps=steps)
        return flow.denoise(x, low) if self.kernel.affine else x - low * flow.field(x, low)

    def measure(self, got: Tensor) -> dict[str, float]:
        """Return the largest and the mean error, and the share of samples on the right source."""
        assert self.expected is not None
        error = (got - self.expected).flatten(1)
        of_each = error.square().mean(dim=1).sqrt()
        found = {
            "largest_error": float(error.abs().max()),
            "worst_sample": float(of_each.max()),
            "mean_error": float(of_each.mean()),
        }
        if self.sources is not None:
            got_on, on = (
                torch.cdist(x.flatten(1), self.sources).argmin(1) for x in (got, self.expected)
            )
            found["same_source"] = float((got_on == on).double().mean())
        return found


def gaussian_data(kernel: SelfSimilarKernel, n: int) -> Problem:
    """Return N(0, STD^2 I) under a self-similar kernel in many dimensions."""
    generator = torch.Generator().manual_seed(0)
    data = STD * torch.randn(n, kernel.dim, generator=generator, dtype=torch.float64)
    denoise = GaussianPosterior(kernel, STD)
    start = kernel.sample(data, kernel.t_max, generator)
    problem = Problem("gaussian", kernel, denoise, start, STD)
    problem.expected = denoise(denoise.ends(start), torch.tensor(kernel.t_min))
    return problem


def sources(name: str, kernel: FieldKernel, data: Tensor, n: int) -> Problem:
    """Return the exact field of a data set, its ends found by many steps."""
    model = zoo.exact(kernel, data)
    start = starting_points(model.prior, model.shape, 0, 0, n)
    sigma_data = model.network.sigma_data
    problem = Problem(name, kernel, model.network, start, sigma_data, data.double().flatten(1))
    problem.expected = problem.integrate(zoo.solver("exp-abm3"), CONVERGED_STEPS)
    return problem


def make(name: str, kernel: str, n: int, dim: int) -> Problem:
    """Return the problem `name`, gaussian, mixture or garments, under a kernel.

    The garments are summed in float32, which moves samples by 1e-6.
    """
    if name == "gaussian":
        found = zoo.kernel(kernel, dim=dim)
        if not isinstance(found, SelfSimilarKernel):
            raise ZooError(f"the Gaussian data are for self-similar kernels; {kernel!r} is none")
        return gaussian_data(found, n)
    if name == "mixture":
        return sources(name, zoo.kernel(kernel, dim=2), POINTS, n)
    data = zoo.data.load("fashion-mnist").batch(torch.arange(8000))
    return sources(name, zoo.kernel(kernel, dim=784), data, n)
