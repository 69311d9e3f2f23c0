"""The prior p_T(x) = C T / (T^2 + |x|^2)^((d+1)/2).

Source: kexue.fm/archives/9370, "result analysis" and "the question revisited"; PFGM,
arXiv:2209.11178, section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces import FieldKernel, KernelPrior, check_positive, over


class GravityPrior(KernelPrior):
    """Multivariate Cauchy of scale T = kernel.t_max around 0.

    Drawn as the kernel draws at x_0 = 0, t = T: by default T eps_x / |eps_t|.

    Args:
        kernel: gravity.
        largest_level: noise level |x_T| / sqrt(d) on which samples of a larger one are put, in the
            direction that they have; PFGM's bound on the norm, for networks that have seen no
            farther. log_density stays that of the whole law. None for no bound.

    Raises:
        ZooError: largest_level is not a positive number.
    """

    def __init__(self, kernel: FieldKernel, *, largest_level: float | None = None) -> None:
        super().__init__(kernel)
        if largest_level is not None:
            check_positive("largest_level", largest_level)
        self.largest_level = largest_level

    def sample(
        self, n: int, shape: tuple[int, ...], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw x_T, shape (n, *shape), float64."""
        x = super().sample(n, shape, generator)
        if self.largest_level is None:
            return x
        level = x.flatten(1).square().mean(dim=1).sqrt()
        return over((self.largest_level / level).clamp(max=1), x) * x
