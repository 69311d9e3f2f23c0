"""The denoiser of a mixture of Gaussians fitted to the data: a skip connection that knows them.

EDM's skip c_skip x is the exact denoiser of white data N(0, sd^2 I). This one is that of

    p_0 = sum_k pi_k N(m + V c_k, V diag(e) V^T + rest (I - V V^T))

K centres c_k in the span V of the P leading principal components, one covariance for all. With
x = alpha x_0 + sigma n and z = V^T (x - alpha m),

    w_k = softmax_k(log pi_k + (alpha c_k . z - alpha^2 |c_k|^2 / 2) / (alpha^2 e + sigma^2))
    D   = m + V (alpha e z + sigma^2 sum_k w_k c_k) / (alpha^2 e + sigma^2)
            + alpha rest / (alpha^2 rest + sigma^2) (I - V V^T)(x - alpha m)

all products over the components of z. It is nearly optimal where noise hides all but the kind of
image (levels above 3 or so), which is what a network sees least of and what decides how samples
are shared among the kinds; the network learns what is left, whose size at each level is measured.
Sources: the mean of a Gaussian mixture's posterior is in any textbook (Bishop, Pattern Recognition
and Machine Learning, eq. 2.116 for each component); that a fitted Gaussian predicts trained
denoisers at large noise, arXiv:2311.10892.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.errors import ZooError

# Levels at which the error is measured; it is interpolated between them.
_LEVELS = 48
_LOW, _HIGH = math.log(1e-3), math.log(300.0)
# Enough to measure the error by.
_MEASURED = 4_096
_CHUNK = 512
# A level read outside the basis is trusted where its square is above so many times `rest`, and
# never further from the rough estimate than by this factor.
_ABOVE, _SPREAD = 9.0, 1.5


class Mixture(nn.Module):
    """D(x; alpha, sigma, labels) of a fitted mixture, and how far it is from x_0.

    All that is fitted is in buffers. Before `fit` it is one Gaussian N(0, sigma_data^2 I), whose
    denoiser and error are EDM's c_skip x and c_out (arXiv:2206.00364, table 1).

    Args:
        dim: number of coordinates d.
        components: centres K, at least 1.
        basis: principal components P, 1 <= P < d.
        labels: number of classes, each with weights pi_k of its own; 0 for none.
        sigma_data: standard deviation of the data per coordinate.

    Raises:
        ZooError: a number that is out of range.
    """

    mean: Tensor
    basis: Tensor
    centres: Tensor
    variances: Tensor
    rest: Tensor
    log_weights: Tensor
    errors: Tensor

    def __init__(
        self, dim: int, components: int, basis: int, *, labels: int = 0, sigma_data: float = 0.5
    ) -> None:
        super().__init__()
        if components < 1 or not 1 <= basis < dim:
            raise ZooError(
                f"a mixture of {components} components in {basis} dimensions of {dim}; expected "
                f"at least 1 component and 1 to {dim - 1} dimensions"
            )
        level = self._level_grid()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("basis", torch.zeros(dim, basis))
        self.register_buffer("centres", torch.zeros(components, basis))
        self.register_buffer("variances", torch.full((basis,), sigma_data**2))
        self.register_buffer("rest", torch.tensor(sigma_data**2))
        uniform = torch.full((labels + 1, components), -math.log(components))
        self.register_buffer("log_weights", uniform)
        self.register_buffer("errors", level * sigma_data / (level**2 + sigma_data**2).sqrt())

    @staticmethod
    def _level_grid() -> Tensor:
        return torch.linspace(_LOW, _HIGH, _LEVELS).exp()

    def forward(
        self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Return E[x_0 | x] of the mixture, shape (B, d), float32.

        Args:
            x: alpha x_0 + sigma n, (B, d).
            alpha: signal scale, (B,), >= 0.
            sigma: noise level, (B,), > 0.
            labels: class numbers (B,), -1 for "no class"; None for no class at all.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self._denoise(x.float(), alpha.float()[:, None], sigma.float()[:, None], labels)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        basis, centres = self.basis.float(), self.centres.float()
        y = x - alpha * self.mean.float()
        z = y @ basis
        noise = sigma.square()
        sharp = 1 / (alpha.square() * self.variances.float() + noise)
        logits = (alpha * z * sharp) @ centres.T
        logits = logits - 0.5 * (alpha.square() * sharp) @ centres.square().T
        rows = 0 if labels is None or len(self.log_weights) == 1 else labels + 1
        mixed = (logits + self.log_weights.float()[rows]).softmax(dim=1) @ centres
        inside = (alpha * self.variances.float() * z + noise * mixed) * sharp
        outside = alpha * self.rest.float() / (alpha.square() * self.rest.float() + noise)
        # V inside + outside (y - V z), with one product by V.
        return self.mean.float() + (inside - outside * z) @ basis.T + outside * y

    def level(self, x: Tensor, alpha: Tensor, rough: Tensor) -> Tensor:
        """Return the noise level of x, shape (B,), better than a rough estimate (B,) of it.

        sqrt(|(I - V V^T)(x - alpha m)|^2 / (d - P) - alpha^2 rest), where the data have least: its
        relative error is 1 / sqrt(2 (d - P)) at levels far above sqrt(rest). Down there, where
        images differ in what they have outside the basis, the rough one takes over.
        """
        with torch.autocast(x.device.type, enabled=False):
            alpha, rough, rest = alpha.float(), rough.float(), self.rest.float()
            y = x.float() - alpha[:, None] * self.mean.float()
            across = y.square().sum(dim=1) - (y @ self.basis.float()).square().sum(dim=1)
            share = across / (len(self.mean) - self.basis.shape[1]) - alpha.square() * rest
            seen = share.clamp(min=0).sqrt().clamp(rough / _SPREAD, rough * _SPREAD)
            trust = 1 / (1 + (_ABOVE * alpha.square() * rest / rough.square()).square())
            return rough * (seen / rough).pow(trust)

    def error(self, level: Tensor) -> Tensor:
        """Return the root mean square of x_0 - D per coordinate at a level sigma / alpha, (B,)."""
        steps = (_LEVELS - 1) / (_HIGH - _LOW)
        place = (level.float().clamp(min=1e-30).log() - _LOW) * steps
        place = place.clamp(0, _LEVELS - 1)
        low = place.floor().clamp(max=_LEVELS - 2)
        logs = self.errors.float().log()
        left = low.long()
        return torch.lerp(logs[left], logs[left + 1], place - low).exp()

    @torch.no_grad()
    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Fit to data (n, d), labels (n,) if there are classes; the same data give the same fit.

        Principal components, k-means in their span, the covariance within clusters; then the
        error is measured on data with noise.

        Raises:
            ZooError: fewer samples than components.
        """
        from sklearn.cluster import MiniBatchKMeans

        components, width = self.centres.shape
        if len(x) < components:
            raise ZooError(f"{len(x)} samples for a mixture of {components} components; use fewer")
        x = x.float().cpu()
        y = x - x.mean(dim=0)
        spectrum, axes = torch.linalg.eigh((y.T @ y / len(y)).double())
        axes = axes[:, -width:].float()
        z = y @ axes
        means = MiniBatchKMeans(components, random_state=0, n_init=1, batch_size=4096, max_iter=30)
        cluster = torch.from_numpy(means.fit(z.numpy()).labels_).long()
        counts = torch.bincount(cluster, minlength=components).float()
        sums = torch.zeros(components, width).index_add_(0, cluster, z)
        centres = sums / counts.clamp(min=1)[:, None]
        within = z - centres[cluster]
        variances, turn = torch.linalg.eigh((within.T @ within / len(z)).double())
        turn = turn.float()
        self.mean.copy_(x.mean(dim=0))
        self.basis.copy_(axes @ turn)
        self.centres.copy_(centres @ turn)
        self.variances.copy_(variances.float().clamp(min=1e-6))
        self.rest.copy_(spectrum[:-width].mean().float().clamp(min=1e-6))
        self._weigh(cluster, None if labels is None else labels.cpu())
        self._measure(x)

    def _weigh(self, cluster: Tensor, labels: Tensor | None) -> None:
        """Set pi_k: the clusters' shares, of all samples and of each class's."""
        rows, components = self.log_weights.shape
        table = torch.zeros(rows, components)
        one = torch.ones(len(cluster))
        table[0].index_add_(0, cluster, one)
        if rows > 1 and labels is not None:
            table.index_put_((labels + 1, cluster), one, accumulate=True)
        # A thousandth of the overall share: no image of any class is impossible.
        table = table / table.sum(dim=1, keepdim=True).clamp(min=1)
        table = 0.999 * table + 0.001 * table[:1] + 1e-12
        self.log_weights.copy_((table / table.sum(dim=1, keepdim=True)).log())

    def _measure(self, x: Tensor) -> None:
        """Set the error at each level, by data with one draw of noise."""
        generator = torch.Generator().manual_seed(0)
        some = x[torch.linspace(0, len(x) - 1, min(len(x), _MEASURED)).long()]
        noise = torch.randn(some.shape, generator=generator)
        for i, level in enumerate(self._level_grid()):
            squares = some.new_zeros(())
            for part, n in zip(some.split(_CHUNK), noise.split(_CHUNK), strict=True):  # type: ignore[no-untyped-call]
                one = torch.ones(len(part))
                squares += (part - self(part + level * n, one, level * one)).square().sum()
            self.errors[i] = (squares / some.numel()).sqrt().clamp(min=1e-6)
