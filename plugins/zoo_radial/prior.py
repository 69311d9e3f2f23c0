"""Priors of the reverse construction: a uniform direction, a radius at a uniform quantile.

Source: kexue.fm/archives/9370, "result analysis" and "reverse construction".
"""

from zoo.interfaces import KernelPrior


class TanhPrior(KernelPrior):
    """x_T = T artanh(q) u, T = kernel.t_max."""


class ExpPrior(KernelPrior):
    """x_T = -T log(1 - q) u, T = kernel.t_max."""


class PsiPrior(KernelPrior):
    """x_T = psi_T^{-1}(q) u, T = kernel.t_max."""


class PhiPrior(KernelPrior):
    """x_T with density phi_T, T = kernel.t_max."""
