"""The Gaussian prior N(0, T^2 I). Source: EDM, arXiv:2206.00364, algorithm 1."""

from zoo.interfaces import KernelPrior


class GaussianPrior(KernelPrior):
    """N(0, T^2 I), T = kernel.t_max."""
