"""Priors of the conditional maps: the push-forward of N(0, I) by X_T(0, .).

Where X_T does not depend on x_0, as in flow matching at T = 1, the prior is exact for any data.
Source: flow matching, arXiv:2210.02747, section 4; kexue.fm/archives/9370, "summary".
"""

from zoo.interfaces import KernelPrior


class FlowPrior(KernelPrior):
    """N(0, T^2 I), T = kernel.t_max = 1 by default."""


class AnisotropicPrior(KernelPrior):
    """N(0, T^2 S), S the kernel's covariance."""


class RotatingPrior(KernelPrior):
    """N(0, T^2 R S R^T), R the rotation by omega T."""


class MapPrior(KernelPrior):
    """The law of X_T(0, z), z ~ N(0, I)."""
