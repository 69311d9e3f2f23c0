"""What authors of networks need: preconditioning, and a skip connection that knows the data.

A backbone F(x, features, labels) becomes a zoo.interfaces.Network by Preconditioned, as in EDM,
by MixtureSkip, whose skip connection is the denoiser of a Mixture fitted to the data, or for
vectors by ColumnSkip, whose skip connection is made of denoisers of the columns. A network that was
trained elsewhere, under Gaussian noise, becomes a GaussianDenoiser.
"""

from zoo.networks.column_skip import ColumnSkip
from zoo.networks.condition import check_condition_shape, seen_condition
from zoo.networks.gaussian import GaussianDenoiser, refuse_random_level
from zoo.networks.mixture import Mixture
from zoo.networks.mixture_skip import MixtureSkip
from zoo.networks.precondition import FEATURES, Evaluation, Preconditioned

__all__ = [
    "FEATURES",
    "ColumnSkip",
    "Evaluation",
    "GaussianDenoiser",
    "Mixture",
    "MixtureSkip",
    "Preconditioned",
    "check_condition_shape",
    "refuse_random_level",
    "seen_condition",
]
