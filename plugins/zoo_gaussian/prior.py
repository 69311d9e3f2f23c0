"""Gaussian priors N(0, sigma_T^2 I), T = kernel.t_max: the kernel's law at x_0 = 0.

Source: EDM, arXiv:2206.00364, algorithm 1; score SDE, arXiv:2011.13456, section 3.4.
"""

from zoo.interfaces import KernelPrior


class GaussianPrior(KernelPrior):
    """N(0, T^2 I)."""


class VEPrior(KernelPrior):
    """N(0, sigma_T^2 I)."""


class VPPrior(KernelPrior):
    """N(0, sigma_T^2 I) with sigma_T^2 = 1 - alpha_T^2."""


class InterpolantPrior(KernelPrior):
    """N(0, sigma_T^2 I); exact where alpha_T = 0."""
