"""What a network in score SDE's layout was trained as: with the VP SDE, the VE SDE, or as PFGM.

The file does not tell. PFGM's networks have one channel more in their result than in their input;
of the others a positional embedding is taken for VP and a Fourier embedding for VE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Part

# Of images in [-1, 1]: VP from t = 1e-3 to 1, VE from 0.01 to 50 in [0, 1].
_SCORE_SDE = {"ddpmpp": ("ddpmpp-vp", 0.0105, 152.0), "ncsnpp": ("ncsnpp-ve", 0.02, 100.0)}
# PFGM for CIFAR-10 (arXiv:2209.11178, appendix B): trained on levels up to S = sigma (1 + tau)^M,
# sampled from t = sqrt(2 / pi) S, the mean of |eps_t| (1 + tau)^M, and from norms up to sqrt(d) S.
_PFGM_LEVEL = 0.01 * 1.03**291
_PFGM_TIMES = {"t_min": 1e-3, "t_max": math.sqrt(2 / math.pi) * _PFGM_LEVEL}
# Sides up to so many pixels, and the time below which PFGM infers its field from the part in x.
_PFGM_INFERRED = ((32, 5.0), (64, 1.0), (math.inf, 0.1))


def trained_as(
    network: Part, shape: tuple[int, int, int], state: Mapping[str, Tensor], where: str
) -> tuple[Part, Part, Part]:
    """Return network, kernel and prior of a checkpoint.

    Args:
        network: DDPM++ or NCSN++ with its options.
        shape: of the images.
        state: under the names of EDM's arrangement.
        where: names the file in errors.

    Raises:
        ZooError: the result has other channels than an image, or an image and PFGM's one more.
    """
    channels, side = shape[:2]
    more = len(state[f"dec.{side}x{side}_aux_conv.weight"]) - channels
    if more == 0:
        name, low, high = _SCORE_SDE[network.use]
        kernel = Part("gaussian", {"t_min": low, "t_max": high})
        return Part(name, network.options), kernel, Part("gaussian")
    if more != 1 or network.use != "ddpmpp":
        raise ZooError(
            f"{where}: a {network.use} network that makes {channels + more} channels of "
            f"{channels}; of PFGM's, which add one, only DDPM++ is read"
        )
    below = next(time for most, time in _PFGM_INFERRED if side <= most)
    field = Part("ddpmpp-pfgm", {**network.options, "inferred_below": below})
    return field, Part("gravity", _PFGM_TIMES), Part("gravity", {"largest_level": _PFGM_LEVEL})
