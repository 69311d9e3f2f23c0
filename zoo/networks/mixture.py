"""The denoiser of a mixture of Gaussians fitted to the data: a skip connection that knows them.

EDM's skip c_skip x is the exact denoiser of white data N(0, sd^2 I). This one is that of

    p_0 = sum_g rho_g sum_k pi_gk N(m + V c_k, V diag(e) V^T + rest (I - V V^T))

G groups of data, the classes where there are any, each with a mean m, a span V of P leading
principal components, K centres c_k in it and one covariance of its own: what a pullover and a boot
vary by differs. With x = alpha x_0 + sigma n and, for each group, y = x - alpha m, z = V^T y,

    log w_gk = log rho_g pi_gk - sum_P (z - alpha c_k)^2 / (2 (alpha^2 e + sigma^2))
               - |y - V z|^2 / (2 (alpha^2 rest + sigma^2)) - log det / 2
    D_g = m + V (alpha e z + sigma^2 sum_k w_k|g c_k) / (alpha^2 e + sigma^2)
            + alpha rest / (alpha^2 rest + sigma^2) (y - V z),      D = sum_g w_g D_g

all products over the components of z; w_g is 1 for the group of a known class. It is nearly
optimal where noise hides all but the kind of image (levels above 3 or so), which is what a network
sees least of and what decides how samples are shared among the kinds; the network learns what is
left, whose size at each level is measured. Sources: the mean of a Gaussian mixture's posterior is
in any textbook (Bishop, Pattern Recognition and Machine Learning, eq. 2.116 for each component);
that a fitted Gaussian predicts trained denoisers at large noise, arXiv:2311.10892.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.errors import ZooError

# Levels at which the error is measured; it is interpolated between them.
LEVELS = 48
_LOW, _HIGH = math.log(1e-3), math.log(300.0)
# Of all that is computed: logs of densities are some hundreds, so float32 would leave 1e-5 of the
# weights to the order of sums, and the ODE makes of that pixels that differ by 0.03.
_DIGITS = torch.float64
# A level read outside the basis is trusted where its square is above so many times `rest`, and
# never further from the rough estimate than by this factor.
_ABOVE, _SPREAD = 9.0, 1.5


class _Reading(NamedTuple):
    """Data at a noise level as every group sees them.

    Attributes:
        bases: V of all groups side by side, (d, G P).
        centres: c, (G, K, P).
        inside: z, (G, B, P).
        outside: |y - V z|^2, (G, B).
        sharp: 1 / (alpha^2 e + sigma^2), (G, B, P).
        logits: log pi_k N(z | c_k) but for terms that are equal for all k, (G, B, K).
        groups: probability of each group, (G, B).
    """

    bases: Tensor
    centres: Tensor
    inside: Tensor
    outside: Tensor
    sharp: Tensor
    logits: Tensor
    groups: Tensor


class Mixture(nn.Module):
    """D(x; alpha, sigma, labels) of a fitted mixture, and how far it is from x_0.

    All that is fitted (`zoo.networks.mixture_fit`) is in buffers. Before that it is one Gaussian
    N(0, sigma_data^2 I), whose denoiser and error are EDM's c_skip x and c_out
    (arXiv:2206.00364, table 1).

    Args:
        dim: number of coordinates d.
        components: centres K of each group, at least 1.
        basis: principal components P of each group, 1 <= P < d.
        groups: G, at least 1; of no meaning where there are labels.
        labels: number of classes, each a group; 0 for none.
        sigma_data: standard deviation of the data per coordinate.

    Raises:
        ZooError: a number that is out of range.
    """

    def __init__(
        self,
        dim: int,
        components: int,
        basis: int,
        *,
        groups: int = 1,
        labels: int = 0,
        sigma_data: float = 0.5,
    ) -> None:
        super().__init__()
        if components < 1 or groups < 1 or not 1 <= basis < dim:
            raise ZooError(
                f"a mixture of {groups} groups of {components} components in {basis} dimensions of "
                f"{dim}; expected at least 1 group, 1 component and 1 to {dim - 1} dimensions"
            )
        self.labels, groups = labels, labels or groups
        level = level_grid()
        error = level * sigma_data / (level**2 + sigma_data**2).sqrt()
        self.mean = nn.Buffer(torch.zeros(groups, dim))
        self.basis = nn.Buffer(torch.zeros(dim, groups, basis))
        self.centres = nn.Buffer(torch.zeros(groups, components, basis))
        self.variances = nn.Buffer(torch.full((groups, basis), sigma_data**2))
        self.rest = nn.Buffer(torch.full((groups,), sigma_data**2))
        self.log_weights = nn.Buffer(torch.full((groups, components), -math.log(components)))
        self.log_shares = nn.Buffer(torch.full((groups,), -math.log(groups)))
        # Row 0 where the class is not known, row k + 1 for class k.
        self.errors = nn.Buffer(error.repeat(labels + 1, 1))

    def forward(
        self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Return E[x_0 | x] of the mixture, like x.

        Args:
            x: alpha x_0 + sigma n, (B, d).
            alpha: signal scale, (B,), >= 0.
            sigma: noise level, (B,), > 0.
            labels: class numbers (B,), -1 for "no class"; None for no class at all.
        """
        with torch.autocast(x.device.type, enabled=False):
            dtype = x.dtype
            x, alpha, sigma = (each.to(_DIGITS) for each in (x, alpha, sigma))
            return self._denoise(x, alpha, sigma, labels).to(dtype)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        seen = self._read(x, alpha, sigma, labels)
        signal, noise = alpha.square(), sigma.square()
        mixed = seen.logits.softmax(dim=-1) @ seen.centres
        wide = alpha[:, None] * self.variances.to(_DIGITS)[:, None] * seen.inside
        inside = (wide + noise[:, None] * mixed) * seen.sharp
        rest = self.rest.to(_DIGITS)[:, None]
        across = alpha * rest / (signal * rest + noise)
        # V inside + across (y - V z), summed over the groups by one product with all their V.
        along = seen.groups[..., None] * (inside - across[..., None] * seen.inside)
        found = along.transpose(0, 1).flatten(1) @ seen.bases.T
        means = (seen.groups * (1 - alpha * across)).T @ self.mean.to(_DIGITS)
        weight = (seen.groups * across).sum(dim=0)
        return found.add_(means).addcmul_(x, weight[:, None])

    def _read(self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None) -> _Reading:
        signal, noise = alpha.square(), sigma.square()
        bases = self.basis.to(_DIGITS).flatten(1)
        inside, outside = self._project(x, alpha, bases)
        sharp = 1 / (signal[:, None] * self.variances.to(_DIGITS)[:, None] + noise[:, None])
        centres = self.centres.to(_DIGITS)
        logits = (alpha[:, None] * inside * sharp) @ centres.mT
        logits = logits - 0.5 * (signal[:, None] * sharp) @ centres.square().mT
        logits = logits + self.log_weights.to(_DIGITS)[:, None]
        spread = signal * self.rest.to(_DIGITS)[:, None] + noise
        logs = logits.logsumexp(dim=-1) + self.log_shares.to(_DIGITS)[:, None]
        logs = logs - 0.5 * (inside.square() * sharp - sharp.log()).sum(dim=-1)
        logs = logs - 0.5 * (outside / spread + self._outside * spread.log())
        groups = logs.softmax(dim=0)
        if labels is not None and self.labels:
            known = labels == torch.arange(self.labels, device=labels.device)[:, None]
            groups = torch.where(labels >= 0, known.to(groups), groups)
        return _Reading(bases, centres, inside, outside, sharp, logits, groups)

    @property
    def _outside(self) -> int:
        """Dimensions outside the basis, d - P."""
        return self.mean.shape[1] - self.variances.shape[1]

    def _project(self, x: Tensor, alpha: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and |y - V z|^2 for y = x - alpha m of every group, without forming y."""
        groups, width = self.variances.shape
        mean = self.mean.to(_DIGITS)
        along = torch.einsum("gd,dgp->gp", mean, bases.reshape(-1, groups, width))
        z = (x @ bases).reshape(-1, groups, width).transpose(0, 1)
        z = z - alpha[:, None] * along[:, None]
        norm = x.square().sum(dim=1) - 2 * alpha * (mean @ x.T)
        norm = norm + alpha.square() * mean.square().sum(dim=1, keepdim=True)
        return z, (norm - z.square().sum(dim=-1)).clamp(min=0)

    def level(
        self, x: Tensor, alpha: Tensor, rough: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Return the noise level of x, like a rough estimate (B,), and better than that.

        sqrt(|y - V z|^2 / (d - P) - alpha^2 rest), where the data have least: its relative error
        is 1 / sqrt(2 (d - P)) at levels far above sqrt(rest). Down there, where images differ in
        what they have outside the basis, the rough one takes over. Groups are distinguished at the
        rough level.
        """
        with torch.autocast(x.device.type, enabled=False):
            dtype = rough.dtype
            x, alpha, rough = (each.to(_DIGITS) for each in (x, alpha, rough))
            seen = self._read(x, alpha, rough, labels)
            rest = alpha.square() * self.rest.to(_DIGITS)[:, None]
            level = (seen.outside / self._outside - rest).clamp(min=0).sqrt()
            ratio = (level / rough).clamp(1 / _SPREAD, _SPREAD)
            trust = 1 / (1 + (_ABOVE * rest / rough.square()).square())
            found = rough * (seen.groups * trust * ratio.log()).sum(dim=0).exp()
            return found.to(dtype)

    def error(self, level: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the root mean square of x_0 - D per coordinate at a level sigma / alpha, (B,)."""
        steps = (LEVELS - 1) / (_HIGH - _LOW)
        place = (level.float().clamp(min=1e-30).log() - _LOW) * steps
        place = place.clamp(0, LEVELS - 1)
        # A level that is not a number has no place, and an error that is not one either.
        low = place.nan_to_num().floor().clamp(max=LEVELS - 2)
        logs, left = self.errors.float().log().flatten(), low.long()
        if labels is not None and self.labels:
            left = left + LEVELS * (labels + 1)
        return torch.lerp(logs[left], logs[left + 1], place - low).exp()


def level_grid() -> Tensor:
    """Return the levels at which a mixture's error is measured, (LEVELS,)."""
    return torch.linspace(_LOW, _HIGH, LEVELS).exp()
