"""What every public method of a kernel refuses: shapes that do not fit, times outside its range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.interfaces.kernel import FieldKernel


def check_arguments(
    kernel: FieldKernel, t: Tensor | float, x_0: Tensor, x_t: Tensor | None = None
) -> None:
    """Raise ZooError unless x_0 (and x_t) are (B, *) with kernel.dim coordinates and t fits them.

    A batch of one broadcasts. Times on an accelerator are not looked at: that would wait for it.
    """
    for name, x in (("x_0", x_0), ("x_t", x_t)):
        if x is not None and (x.ndim < 2 or math.prod(x.shape[1:]) != kernel.dim):
            raise ZooError(
                f"{name} has shape {tuple(x.shape)}; expected (B, ...) with {kernel.dim} "
                f"coordinates per sample, the dim of {type(kernel).__name__}"
            )
    count = len(x_0)
    if x_t is not None:
        if x_t.shape[1:] != x_0.shape[1:] or (len(x_t) != count and 1 not in (len(x_t), count)):
            raise ZooError(
                f"x_t has shape {tuple(x_t.shape)} and x_0 {tuple(x_0.shape)}; "
                "expected equal shapes"
            )
        count = max(count, len(x_t)) if count and len(x_t) else 0
    if not isinstance(t, Tensor):
        kernel.check_time(t)
        return
    one = t.numel() == 1
    if not one and t.shape != (count,):
        raise ZooError(f"t has shape {tuple(t.shape)}; expected a scalar or ({count},)")
    if t.device.type == "cpu" and (one or count):
        kernel.check_time(float(t.detach()) if one else t.detach())
