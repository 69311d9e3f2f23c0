"""Fitting a mixture to data: groups, components, and how far its denoiser errs."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.networks.mixture import Mixture, level_grid

# Principal components in which groups are found.
_APART = 32
# Enough to measure the error by, for each row.
_MEASURED, _CHUNK = 2_048, 512
_LEAST = 1e-6


@torch.no_grad()
def fit(mixture: Mixture, x: Tensor, labels: Tensor | None = None) -> None:
    """Fit to data (n, d), labels (n,) if there are classes; the same data give the same fit.

    Groups are the classes, or k-means' in the leading principal components; in each, principal
    components, k-means in their span, the covariance within clusters. Then the error is measured
    on data with noise.

    Raises:
        ZooError: a group of fewer samples than components, or no labels where there are classes.
    """
    x = x.float().cpu()
    if mixture.labels:
        if labels is None:
            raise ZooError(f"a mixture of {mixture.labels} classes; the data have no labels")
        groups, what = labels.cpu(), "of class"
    else:
        groups, what = _groups(x, len(mixture.rest)), "in group"
    count, components, _ = mixture.centres.shape
    for g in range(count):
        own = x[groups == g]
        if len(own) < components:
            where = f" {what} {g}" if count > 1 else ""
            raise ZooError(
                f"{len(own)} samples{where} for a mixture of {components} components; use fewer"
            )
        _fit_group(mixture, g, own)
    counts = torch.bincount(groups, minlength=count)
    mixture.log_shares.copy_((counts / len(x)).log())
    _measure(mixture, 0, x)
    for k in range(mixture.labels):
        _measure(mixture, k + 1, x[groups == k])


def _groups(x: Tensor, count: int) -> Tensor:
    """Return the group of each sample, (n,)."""
    if count == 1:
        return torch.zeros(len(x), dtype=torch.long)
    y = x - x.mean(dim=0)
    return _clusters(y @ _axes(y, min(_APART, y.shape[1]))[1], count)


def _clusters(z: Tensor, count: int) -> Tensor:
    from sklearn.cluster import MiniBatchKMeans

    if len(z) < count:
        raise ZooError(f"{len(z)} samples for a mixture of {count} groups; use fewer")
    means = MiniBatchKMeans(count, random_state=0, n_init=1, batch_size=4096, max_iter=30)
    return torch.from_numpy(means.fit(z.numpy()).labels_).long()


def _axes(y: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the spectrum (d,), ascending, and the last `width` axes (d, width) of centred data."""
    spectrum, axes = torch.linalg.eigh((y.T @ y / len(y)).double())
    return spectrum.float(), axes[:, -width:].float()


def _fit_group(mixture: Mixture, g: int, x: Tensor) -> None:
    _, components, width = mixture.centres.shape
    y = x - x.mean(dim=0)
    spectrum, axes = _axes(y, width)
    z = y @ axes
    cluster = _clusters(z, components)
    counts = torch.bincount(cluster, minlength=components).float()
    sums = torch.zeros(components, width).index_add_(0, cluster, z)
    centres = sums / counts.clamp(min=1)[:, None]
    variances, turn = _axes(z - centres[cluster], width)
    mixture.mean[g].copy_(x.mean(dim=0))
    mixture.basis[:, g].copy_(axes @ turn)
    mixture.centres[g].copy_(centres @ turn)
    mixture.variances[g].copy_(variances.clamp(min=_LEAST))
    mixture.rest[g].copy_(spectrum[:-width].mean().clamp(min=_LEAST))
    # Empty clusters stay possible, by very little.
    weights = counts / counts.sum() + 1e-12
    mixture.log_weights[g].copy_((weights / weights.sum()).log())


def _measure(mixture: Mixture, row: int, x: Tensor) -> None:
    """Set the error at each level, by data with one draw of noise."""
    generator = torch.Generator().manual_seed(0)
    some = x[torch.linspace(0, len(x) - 1, min(len(x), _MEASURED)).long()]
    noise = torch.randn(some.shape, generator=generator)
    for i, level in enumerate(level_grid()):
        squares = some.new_zeros(())
        for part, n in zip(some.split(_CHUNK), noise.split(_CHUNK), strict=True):  # type: ignore[no-untyped-call]
            one = torch.ones(len(part))
            known = torch.full((len(part),), row - 1)
            left = part - mixture(part + level * n, one, level * one, known)
            squares += left.square().sum()
        mixture.errors[row, i] = (squares / some.numel()).sqrt().clamp(min=_LEAST)
