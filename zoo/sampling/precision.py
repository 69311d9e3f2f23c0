"""Networks of half precision, with states and times in float32."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.interfaces.flow import Predict

HALVES = (torch.bfloat16, torch.float16)


def shown_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which a network of `dtype` is shown states and times."""
    return torch.float32 if dtype in HALVES else dtype


def autocast_predict(predict: Predict, dtype: torch.dtype) -> Predict:
    """Return `predict` with its products in `dtype`, and all that is not a product in float32.

    A bfloat16 resolves times to 0.4 %, a float16 ends at 65,504, where gravity's starting
    points do not: levels and preconditioning are computed from float32, by torch.autocast.
    """
    if dtype not in HALVES:
        return predict

    def halved(x: Tensor, t: Tensor, *labels: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=dtype):
            return predict(x, t, *labels)

    return halved
