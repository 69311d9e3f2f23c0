"""Lifting: any isotropic kernel on a denoiser trained with Gaussian noise.

Two isotropic kernels differ by the radial map r' = psi'^{-1}(psi(r)). In high dimension noise of
radius r is Gaussian noise of level sigma = r / sqrt(d), to a relative 1 / sqrt(2 d). A conditional
trajectory keeps its quantile, r = psi_t^{-1}(q), so with one level per sample

    dx/dt = (sigma'/sigma) (x - D(x; sigma)),   d sigma/dt = (dr/dt) / sqrt(d)

where D(x; sigma) = E[x_0 | x_0 + sigma n = x] is the Gaussian denoiser. For gravity sigma = c t
with c = 1 / |eps_t|, and the two ODEs coincide.
Source: kexue.fm/archives/9370, "these isotropic solutions are all equivalent".
"""

from zoo.models.lift.model import LiftedModel, lift
from zoo.networks.lifted import LevelDenoiser, level_rate

__all__ = ["LevelDenoiser", "LiftedModel", "level_rate", "lift"]
