"""The prior p_T(x) = C T^D / (T^2 + |x|^2)^((d+D)/2), D = 1 for gravity.

Source: kexue.fm/archives/9370, "result analysis" and "the question revisited"; PFGM++,
arXiv:2302.04265, section 3.
"""

from zoo.interfaces import KernelPrior


class GravityPrior(KernelPrior):
    """Multivariate Cauchy of scale T = kernel.t_max around 0.

    Drawn as the kernel draws at x_0 = 0, t = T: T eps_x / |eps_t| unless told otherwise.
    """


class PFGMppPrior(KernelPrior):
    """Multivariate Student t with D degrees of freedom and scale T / sqrt D around 0."""
