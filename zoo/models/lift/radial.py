"""Radii at equal quantile: the map between two isotropic kernels.

    r' = psi'^{-1}(psi(r))

Source: kexue.fm/archives/9370, "these isotropic solutions are all equivalent".
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import IsotropicKernel

# The quantile of a radius is kept inside (0, 1) by this much: float64 knows no more near 1.
_LEAST_TAIL = 2.0**-53


def radial_map(
    kernel: IsotropicKernel,
    other: IsotropicKernel,
    r: Tensor,
    t: Tensor | float,
    t_other: Tensor | float,
) -> Tensor:
    """Return r' = psi'^{-1}(psi(r)), like r: the radius at equal quantile under another kernel.

    Args:
        kernel: whose radii r are, at time t.
        other: whose radii are wanted, at time t_other.
        r: radii |x_t - x_0| > 0.
        t: scalar, or like r.
        t_other: scalar, or like r.
    """
    q = kernel.radial_cdf(r.double(), t).clamp(_LEAST_TAIL, 1 - _LEAST_TAIL)
    return other.radial_icdf(q, t_other).to(r)
