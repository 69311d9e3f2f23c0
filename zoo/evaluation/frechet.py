"""The Frechet distance between two sets of features, each taken for a Gaussian.

    |m_a - m_b|^2 + tr(A + B - 2 (A^(1/2) B A^(1/2))^(1/2))

the squared 2-Wasserstein distance of N(m_a, A) and N(m_b, B). On Inception features it is FID.
Source: Dowson and Landau, 1982; Heusel et al., arXiv:1706.08500, equation 6.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """Mean (d,) and unbiased covariance (d, d), float64."""

    mean: Tensor
    covariance: Tensor


def gaussian_of(features: Tensor) -> Gaussian:
    """Return the Gaussian with the moments of features (n, d), n >= 2."""
    x = features.double()
    mean = x.mean(dim=0)
    centred = x - mean
    return Gaussian(mean, centred.T @ centred / (len(x) - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return the Frechet distance (a square, as FID is), at least 0."""
    values, vectors = torch.linalg.eigh(a.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    traces = a.covariance.trace() + b.covariance.trace()
    shift = (a.mean - b.mean).square().sum()
    return max(0.0, float(shift + traces - 2 * cross))
