"""Fields without a network: exact for a finite data set, closed for Gaussian mixtures.

    f_t(x) = sum_i w_i v(x, x_i, t),   w = softmax_i log G_1(x, x_i, t)

The ground truth for solvers, lifts and trained networks: integrating from the prior lands on the
sources in the right shares. Source: kexue.fm/archives/9370, section "Green's function".
"""

from zoo.exact_fields.build import exact
from zoo.exact_fields.gaussians import GaussianMixture, MixtureDenoiser, flow_map
from zoo.exact_fields.network import ExactDenoiser, ExactField
from zoo.exact_fields.prior import ExactPrior

__all__ = [
    "ExactDenoiser",
    "ExactField",
    "ExactPrior",
    "GaussianMixture",
    "MixtureDenoiser",
    "exact",
    "flow_map",
]
