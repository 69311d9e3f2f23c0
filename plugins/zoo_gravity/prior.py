"""The gravity prior p_T(x) = C T / (T^2 + |x|^2)^((d+1)/2).

Source: kexue.fm/archives/9370, "result analysis" and "the question revisited".
"""

from zoo.interfaces import KernelPrior


class GravityPrior(KernelPrior):
    """Multivariate Cauchy of scale T around 0, drawn as T eps_x / |eps_t| (THEORY: way (a)).

    The kernel's sample method is that draw; its density is the kernel's at x_0 = 0, t = T.
    """
