"""The denoiser of a mixture of Gaussians fitted to the data: a skip connection that knows them.

EDM's skip c_skip x is the exact denoiser of white data N(0, sd^2 I). This one is that of

    p_0 = sum_k pi_k N(m + V c_k, V diag(e) V^T + rest (I - V V^T))

K centres c_k in the span V of the P leading principal components, one covariance for all. With
x = alpha x_0 + sigma n and z = V^T (x - alpha m),

    w_k = softmax_k(log pi_k + (alpha c_k . z - alpha^2 |c_k|^2 / 2) / (alpha^2 e + sigma^2))
    D   = m + V (alpha e z + sigma^2 sum_k w_k c_k) / (alpha^2 e + sigma^2)
            + alpha rest / (alpha^2 rest + sigma^2) (I - V V^T)(x - alpha m)

all products over the components of z. Where there are classes, one such law is fitted to all of
the data and one to each class. It is nearly optimal where noise hides all but the kind of
image (levels above 3 or so), which is what a network sees least of and what decides how samples
are shared among the kinds; the network learns what is left, whose size at each level is measured.
Sources: the mean of a Gaussian mixture's posterior is in any textbook (Bishop, Pattern Recognition
and Machine Learning, eq. 2.116 for each component); that a fitted Gaussian predicts trained
denoisers at large noise, arXiv:2311.10892.
"""

from __future__ import annotations

import math
from types import EllipsisType

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
Rows = int | EllipsisType


class Mixture(nn.Module):
    """D(x; alpha, sigma, labels) of a fitted mixture, and how far it is from x_0.

    All that is fitted is in buffers. Before `fit` it is one Gaussian N(0, sigma_data^2 I), whose
    denoiser and error are EDM's c_skip x and c_out (arXiv:2206.00364, table 1).

    Args:
        dim: number of coordinates d.
        components: centres K, at least 1.
        basis: principal components P, 1 <= P < d.
        labels: number of classes, each with a law of its own beside that of all; 0 for none.
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
        error = level * sigma_data / (level**2 + sigma_data**2).sqrt()
        # Row 0 is the law of all data, row k + 1 that of class k.
        rows = (labels + 1,) if labels else ()
        self.labels = labels
        self.register_buffer("mean", torch.zeros(*rows, dim))
        self.register_buffer("basis", torch.zeros(*rows, dim, basis))
        self.register_buffer("centres", torch.zeros(*rows, components, basis))
        self.register_buffer("variances", torch.full((*rows, basis), sigma_data**2))
        self.register_buffer("rest", torch.full(rows, sigma_data**2))
        uniform = torch.full((*rows, 1, components), -math.log(components))
        self.register_buffer("log_weights", uniform)
        self.register_buffer("errors", error.repeat(*rows, 1) if rows else error)

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
            rows = self._rows(labels)
            found = self._denoise(x.float(), alpha.float()[:, None], sigma.float()[:, None], rows)
            return self._own(found, labels)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor, rows: Rows) -> Tensor:
        """Return what each of `rows` says of each sample, (rows, B, d); (B, d) for a single one."""
        basis, centres = self.basis[rows].float(), self.centres[rows].float()
        y, z = self._parts(x, alpha, rows)
        noise = sigma.square()
        variances = self.variances[rows].float()[..., None, :]
        rest = self.rest[rows].float()[..., None, None]
        sharp = 1 / (alpha.square() * variances + noise)
        logits = (alpha * z * sharp) @ centres.mT
        logits = logits - 0.5 * (alpha.square() * sharp) @ centres.square().mT
        mixed = (logits + self.log_weights[rows].float()).softmax(dim=-1) @ centres
        inside = (alpha * variances * z + noise * mixed) * sharp
        outside = alpha * rest / (alpha.square() * rest + noise)
        # V inside + outside (y - V z), with one product by V.
        mean = self.mean[rows].float()[..., None, :]
        return mean + (inside - outside * z) @ basis.mT + outside * y

    def _parts(self, x: Tensor, alpha: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return y = x - alpha m and z = V^T y for each of `rows`, (rows, B, d), (rows, B, P)."""
        y = x - alpha * self.mean[rows].float()[..., None, :]
        return y, y @ self.basis[rows].float()

    def _rows(self, labels: Tensor | None) -> Rows:
        """Return the rows to ask: all, or that of all data where no sample has a class."""
        return 0 if self.labels and labels is None else ...

    def _own(self, all_rows: Tensor, labels: Tensor | None) -> Tensor:
        """Return what belongs to each sample's class, (B, ...) of (rows, B, ...)."""
        if not self.labels or labels is None:
            return all_rows
        return all_rows[labels + 1, torch.arange(len(labels), device=labels.device)]

    def level(
        self, x: Tensor, alpha: Tensor, rough: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Return the noise level of x, shape (B,), better than a rough estimate (B,) of it.

        sqrt(|(I - V V^T)(x - alpha m)|^2 / (d - P) - alpha^2 rest), where the data have least: its
        relative error is 1 / sqrt(2 (d - P)) at levels far above sqrt(rest). Down there, where
        images differ in what they have outside the basis, the rough one takes over.
        """
        with torch.autocast(x.device.type, enabled=False):
            rows = self._rows(labels)
            alpha, rough, rest = alpha.float(), rough.float(), self.rest[rows].float()[..., None]
            y, z = self._parts(x.float(), alpha[:, None], rows)
            across = y.square().sum(dim=-1) - z.square().sum(dim=-1)
            share = across / (y.shape[-1] - z.shape[-1]) - alpha.square() * rest
            seen = share.clamp(min=0).sqrt().clamp(rough / _SPREAD, rough * _SPREAD)
            trust = 1 / (1 + (_ABOVE * alpha.square() * rest / rough.square()).square())
            return self._own(rough * (seen / rough).pow(trust), labels)

    def error(self, level: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the root mean square of x_0 - D per coordinate at a level sigma / alpha, (B,)."""
        steps = (_LEVELS - 1) / (_HIGH - _LOW)
        place = (level.float().clamp(min=1e-30).log() - _LOW) * steps
        place = place.clamp(0, _LEVELS - 1)
        low = place.floor().clamp(max=_LEVELS - 2)
        logs = self.errors[self._rows(labels)].float().log()
        left = low.long()
        return self._own(
            torch.lerp(logs[..., left], logs[..., left + 1], place - low).exp(), labels
        )

    @torch.no_grad()
    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Fit to data (n, d), labels (n,) if there are classes; the same data give the same fit.

        Principal components, k-means in their span, the covariance within clusters; then the
        error is measured on data with noise.

        Raises:
            ZooError: fewer samples than components, or no labels where there are classes.
        """
        x = x.float().cpu()
        if not self.labels:
            self._fit_row(..., x, "samples")
            return
        if labels is None:
            raise ZooError(f"a mixture for each of {self.labels} classes; the data have no labels")
        self._fit_row(0, x, "samples")
        for k in range(self.labels):
            self._fit_row(k + 1, x[labels.cpu() == k], f"samples of class {k}")

    def _fit_row(self, row: Rows, x: Tensor, what: str) -> None:
        from sklearn.cluster import MiniBatchKMeans

        components, width = self.centres.shape[-2:]
        if len(x) < components:
            raise ZooError(f"{len(x)} {what} for a mixture of {components} components; use fewer")
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
        self.mean[row].copy_(x.mean(dim=0))
        self.basis[row].copy_(axes @ turn)
        self.centres[row].copy_(centres @ turn)
        self.variances[row].copy_(variances.float().clamp(min=1e-6))
        self.rest[row].copy_(spectrum[:-width].mean().float().clamp(min=1e-6))
        # Empty clusters stay possible, by very little.
        weights = counts / counts.sum() + 1e-12
        self.log_weights[row].copy_((weights / weights.sum()).log())
        self._measure(row, x)

    def _measure(self, row: Rows, x: Tensor) -> None:
        """Set the error at each level, by data with one draw of noise."""
        generator = torch.Generator().manual_seed(0)
        some = x[torch.linspace(0, len(x) - 1, min(len(x), _MEASURED)).long()]
        noise = torch.randn(some.shape, generator=generator)
        for i, level in enumerate(self._level_grid()):
            squares = some.new_zeros(())
            for part, n in zip(some.split(_CHUNK), noise.split(_CHUNK), strict=True):  # type: ignore[no-untyped-call]
                one = torch.ones(len(part), 1)
                left = part - self._denoise(part + level * n, one, level * one, row)
                squares += left.square().sum()
            self.errors[row][i] = (squares / some.numel()).sqrt().clamp(min=1e-6)
