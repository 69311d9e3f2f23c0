"""What can be observed of a sample: operators for `FieldModel.posterior`.

    y = A x_0 + n,   n ~ N(0, S)

from zoo.posterior import Mask
model.posterior(y, Mask(keep), noise=0.05).sample(8, seed=0)
"""

from zoo.interfaces import Operator
from zoo.posterior.images import Blur, Crop, Downscale, Grey
from zoo.posterior.named import named_operator
from zoo.posterior.observe import observe
from zoo.posterior.operators import Compose, Function, Linear, Mask

__all__ = [
    "Blur",
    "Compose",
    "Crop",
    "Downscale",
    "Function",
    "Grey",
    "Linear",
    "Mask",
    "Operator",
    "named_operator",
    "observe",
]
