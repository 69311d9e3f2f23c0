"""Fields without a network: exact for a finite data set, closed for Gaussian mixtures.

    f_t(x) = sum_i w_i v(x, x_i, t),   w = softmax_i log G_1(x, x_i, t)

The ground truth for solvers, lifts and trained networks: integrating from the prior lands on the
sources in the right proportions. Source: kexue.fm/archives/9370, section "Green's function".
"""

from zoo.models.exact.build import ExactPrior, exact
from zoo.models.exact.gaussians import GaussianMixture, MixtureDenoiser, flow_map
from zoo.models.exact.network import ExactDenoiser, ExactField

__all__ = [
    "ExactDenoiser",
    "ExactField",
    "ExactPrior",
    "GaussianMixture",
    "MixtureDenoiser",
    "exact",
    "flow_map",
]
