"""Methods of posterior sampling: a denoiser E[x_0 | x_t] made into one conditioned on y as well.

    y = A x_0 + n,   D(x | y) = D + Cov(x_0 | x) grad_D log p(y | x) ~ E[x_0 | x_t = x, y]

The conditioned denoiser takes the place of the model's own, so every solver, grid and lift works
as before. What methods differ in is how they come by p(y | x).
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import torch
from torch import Tensor

from zoo.config.part import Part, called, described
from zoo.errors import ZooError
from zoo.interfaces.flow import Predict
from zoo.interfaces.isotropic import IsotropicKernel
from zoo.interfaces.kernel import FieldKernel, over
from zoo.interfaces.levels import OwnNoise, density_rises, levels_held, own_noise
from zoo.interfaces.network import Network
from zoo.interfaces.observation import Observation
from zoo.numerics import power_of_two, row_dot

# Below this signal scale D says nothing of x: flow matching begins at 0.
_LEAST_ALPHA = 1e-3
# Up to this dimension the trace of grad D is exact; else Hutchinson's, with so many probes up to
# that dimension, beyond which one errs no more.
_EXACT_TRACE, _PROBES, _FEW = 32, 8, 128


class Estimate:
    """What the model says of x_t: D = E[x_0 | x_t], the noise of each sample, its Jacobian.

    Everything is computed when it is asked for, and once.

    Args:
        predict: the network as a function of (x, t).
        network: the network.
        kernel: whose noise x has.
        x: states (B, *shape), in the network's dtype.
        t: time, () or (B,); the level itself where the network is asked by it.
        gradient: keep what `covariance` needs; without, the trace of grad D counts as 0.

    Attributes:
        network, kernel, x, t: as given.
    """

    def __init__(
        self,
        predict: Predict,
        network: Network,
        kernel: FieldKernel,
        x: Tensor,
        t: Tensor,
        *,
        gradient: bool = True,
    ) -> None:
        self.network, self.kernel, self.x, self.t = network, kernel, x, t
        self._predict, self._gradient = predict, gradient
        self._graph: tuple[Tensor, Tensor] | None = None
        self._held = False

    @cached_property
    def denoised(self) -> Tensor:
        """D = E[x_0 | x_t], (B, *shape); one evaluation of the network.

        Raises:
            ZooError: the kernel's velocity is not affine in x_0.
        """
        keep = self._gradient
        with torch.set_grad_enabled(keep), _eager(keep), levels_held() as held:
            x = self.x.detach().requires_grad_(self._gradient)
            out = self._predict(x, self.t)
            if self.network.predicts == "field":
                out = self.kernel.denoised(out, x, self.t.double()).to(x.dtype)
        self._held = held.read
        if self._gradient:
            self._graph = (x, out)
        return out.detach()

    def _jacobian(self, v: Tensor) -> Tensor:
        """Return v^T dD/dx, (B, *shape), levels held: one pass back through the network."""
        _ = self.denoised
        assert self._graph is not None, "the method has gradient = False"
        x, out = self._graph
        # Divided by noise, v may be larger than a half-precision network holds; powers of 2 are
        # exact.
        scale = over(power_of_two(v), v)
        (found,) = torch.autograd.grad(out, x, (v / scale).to(out.dtype), retain_graph=True)
        return found.to(x.dtype) * scale

    @cached_property
    def _scales(self) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) of each sample, (B,), float64."""
        count, t = len(self.x), self.t.double()
        if self.network.by_level:
            return torch.ones_like(t).expand(count), t.expand(count)
        if self._own is None:
            alpha, sigma = (c.double().expand(count) for c in self.kernel.marginal(t))
            return alpha.to(self.x.device), sigma.to(self.x.device)
        variance = self._own.variance
        return torch.ones_like(variance), variance.sqrt()

    @cached_property
    def _own(self) -> OwnNoise | None:
        """The noise of each sample where t leaves it open, else None."""
        if self.network.by_level or not self.kernel.random_level:
            return None
        assert isinstance(self.kernel, IsotropicKernel), "others are refused by `prepare`"
        square = _dot(self._noise, self._noise)
        return own_noise(self.kernel, square, *self._traces(), self.t, held=self._held)

    @cached_property
    def _noise(self) -> Tensor:
        """What D takes for noise, x - D, (B, *)."""
        return self.x - self.denoised

    def _traces(self) -> tuple[Tensor, Tensor]:
        """Return tr dD/dx and, where d is small, n^T dD/dx n / |n|^2, else 0; (B,), float64.

        By unit vectors, or vectors of signs, the same for all.
        """
        x, dim = self.x, self.kernel.dim
        trace = along = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        if not self._gradient:
            return trace, along
        if dim > _EXACT_TRACE:
            generator, count = torch.Generator().manual_seed(0), _PROBES if dim <= _FEW else 1
            for _ in range(count):
                signs = torch.randint(2, x.shape[1:], generator=generator) * 2 - 1
                v = signs.to(x).expand_as(x)
                trace = trace + _dot(v, self._jacobian(v)) / count
            return trace, along
        unit = self._noise / over(_dot(self._noise, self._noise).sqrt().clamp(min=1e-30), x)
        for probe in torch.eye(dim).to(x).reshape(-1, *x.shape[1:]):
            v = probe.expand_as(x)
            row = self._jacobian(v)
            trace = trace + _dot(v, row)
            along = along + _dot(v, unit) * _dot(row, unit)
        return trace, along

    @property
    def level(self) -> Tensor:
        """The noise level s = sigma / alpha of each sample, in units of x_0, (B, 1, ...)."""
        alpha, sigma = self._scales
        return over(sigma / alpha.clamp(min=_LEAST_ALPHA), self.x)

    def covariance(self, v: Tensor) -> Tensor:
        """Return Cov(x_0 | x_t) v, shape (B, *shape): (sigma^2 / alpha) v^T dD/dx.

        One pass back through the network. Source: Tweedie's formula, of second order
        (arXiv:2310.06721, theorem 2.1); where t leaves the level open, see zoo.interfaces.levels.
        """
        alpha, sigma = self._scales
        # Beyond its largest level a network is asked for D(x high / s), whose Jacobian has 1 / s.
        known = torch.minimum(sigma, alpha * self.network.high)
        factor = torch.where(alpha > _LEAST_ALPHA, sigma * known / alpha, 0)
        found = over(factor, self.x) * self._jacobian(v)
        if self._own is None:
            return found
        n = self._noise
        part = self._own.turn * _dot(n, found) / _dot(n, n).clamp(min=1e-60)
        return found + over(part, n) * n

    def weighted(self, log_weights: Tensor) -> Tensor:
        """Return the network's prediction for its sources with other weights, (B, *shape).

        Args:
            log_weights: of each source, for each sample, (B, N).
        """
        out: Tensor = self.network(self.x, self.t, log_weights=log_weights)
        return out


def _eager(wanted: bool) -> AbstractContextManager[None]:
    """Run no compiled code in the block: its graph is for one pass back, and is freed by it."""
    known = wanted and "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance")
    return torch.compiler.set_stance("force_eager") if known else nullcontext()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the scalar product of each row, (B,), float64."""
    return row_dot(a.double(), b.double())


class PosteriorMethod(ABC):
    """A method of posterior sampling. A component is called as component(**options).

    A leaf writes `denoise`:

        class Nudge(PosteriorMethod):
            def denoise(self, at, seen):
                near = seen.near(at.denoised)
                return at.denoised + at.covariance(near.pull(near.residual))

    Samples must not depend on each other: every operation is by rows.

    Attributes:
        gradient: it calls `Estimate.covariance`, so what passes back needs is kept, and noise has
            to be isotropic.
        divides_by_noise: it knows no y without noise.
        linear: it knows linear operators only.
        reweighs: it weighs the network's sources anew, and never asks the denoiser.
    """

    part: Part | None = None
    gradient: bool = True
    divides_by_noise: bool = True
    linear: bool = False
    reweighs: bool = False

    def __repr__(self) -> str:
        return described(self)

    @abstractmethod
    def denoise(self, at: Estimate, seen: Observation) -> Tensor:
        """Return E[x_0 | x_t, y], shape (B, *shape).

        Args:
            at: what the model says of x_t.
            seen: what is observed of these samples, with noise N(0, I).
        """

    def prepare(self, network: Network, kernel: FieldKernel, seen: Observation) -> PosteriorMethod:
        """Return the method for one observation of all samples; by default itself.

        Called once, when the posterior is made; `seen.y` has the rows of all samples.

        Raises:
            ZooError: the kernel, the operator or the noise is not one that it knows.
        """
        name, law = called(self), type(kernel).__name__
        has_data = network.sources is not None
        self.check_noise(seen)
        if self.linear and not seen.operator.linear:
            raise ZooError(f"{name} knows linear operators only, such as zoo.posterior.Mask")
        if network.predicts == "field" and not kernel.affine:
            raise ZooError(
                f"{name} needs the denoiser E[x_0 | x_t], and the velocity of {law} is not affine "
                "in x_0: its field has none"
            )
        if kernel.random_level and not isinstance(kernel, IsotropicKernel):
            raise ZooError(
                f"{name} cannot tell the noise of a sample under {law}, which has random levels "
                "and is not an IsotropicKernel"
            )
        own = kernel.random_level and not network.by_level
        if own and isinstance(kernel, IsotropicKernel) and density_rises(kernel):
            instead = "use 'exact'" if has_data else "no method knows a trained network under it"
            raise ZooError(
                f"{name} tells the noise of a sample by the fall of its density, and that of {law} "
                f"rises with the radius somewhere in {kernel.dim} dimensions: {instead}"
            )
        if self.gradient and not (kernel.gaussian or isinstance(kernel, IsotropicKernel)):
            instead = (
                "'diffpir', 'replacement' or 'exact'" if has_data else "'diffpir' or 'replacement'"
            )
            raise ZooError(
                f"{name} takes the covariance of x_0 from the denoiser's Jacobian, which tells it "
                f"where noise is the same in all directions, and {law} is not declared so (an "
                f"IsotropicKernel, or gaussian = True): use {instead}"
            )
        return self

    def check_noise(self, seen: Observation) -> None:
        """Raise ZooError where y has no noise and the method divides by it."""
        if self.divides_by_noise and seen.noise.variance == 0:
            raise ZooError(
                f"noise = 0; {called(self)} divides by it: give the noise of y, or a small number"
            )


Around = Callable[[Predict, Network], Predict]
"""Makes a network as a function of (x, t) into a conditioned one, of (x, t, what is given)."""


class Conditioned:
    """A network's prediction, conditioned on what is observed; an `Around`.

    Its predictor takes (x, t, codes): codes (B, 2) hold each sample's class number and its row
    in `seen.y`. Without codes there is no class, and all samples share row 0.

    Args:
        method: prepared for `seen`.
        seen: all that is observed.
        kernel: whose noise x has.
    """

    def __init__(self, method: PosteriorMethod, seen: Observation, kernel: FieldKernel) -> None:
        self.method, self.seen, self.kernel = method, seen, kernel

    @property
    def said(self) -> str:
        """What errors call a conditioned prediction."""
        return f"what the method {called(self.method)!r} makes of the network's output"

    def __call__(self, predict: Predict, network: Network) -> Predict:
        """Return the conditioned prediction."""

        def conditioned(
            x: Tensor, t: Tensor, codes: Tensor | None = None, *given: Tensor | None
        ) -> Tensor:
            if codes is None:
                codes = torch.tensor([-1, 0], device=x.device).expand(len(x), 2)
            # Solvers run in inference mode, where nothing is differentiated.
            with torch.inference_mode(False), torch.no_grad():
                x, t, codes = x.clone(), t.clone(), codes.clone()
                more = [value if value is None else value.clone() for value in given]
                labels = codes[:, 0] if network.labels else None
                last = () if labels is None and not more else (labels, *more)
                at = Estimate(
                    lambda x, t: predict(x, t, *last),
                    network,
                    self.kernel,
                    x,
                    t,
                    gradient=self.method.gradient,
                )
                found: object = self.method.denoise(at, self.seen.of(codes[:, 1], x))
                if not isinstance(found, Tensor) or found.shape != x.shape:
                    what = getattr(found, "shape", None)
                    gave = f"a {type(found).__name__}" if what is None else f"shape {(*what,)}"
                    raise ZooError(
                        f"denoise of the method {called(self.method)!r} gave {gave} for x_t of "
                        f"shape {(*x.shape,)}; it returns E[x_0 | x_t, y], of the shape of x_t"
                    )
                return found.to(x.dtype).detach()

        return conditioned
