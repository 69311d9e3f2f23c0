"""What authors of networks need: preconditioning, and a skip connection that knows the data.

A backbone F(x, features, labels) becomes a zoo.interfaces.Network by Preconditioned, as in EDM, or
by MixtureSkip, whose skip connection is the denoiser of a Mixture fitted to the data. A network
that was trained elsewhere, under Gaussian noise, becomes a GaussianDenoiser.
"""

from zoo.networks.condition import check_condition, seen_condition
from zoo.networks.gaussian import GaussianDenoiser, refuse_random_level
from zoo.networks.mixture import Mixture
from zoo.networks.mixture_skip import MixtureSkip
from zoo.networks.precondition import FEATURES, Evaluation, Preconditioned

__all__ = [
    "FEATURES",
    "Evaluation",
    "GaussianDenoiser",
    "Mixture",
    "MixtureSkip",
    "Preconditioned",
    "check_condition",
    "refuse_random_level",
    "seen_condition",
]
