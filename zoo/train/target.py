"""What the network regresses on: one sample's own x_0, or its mean over a reference batch.

The network learns E[target | x_t]. One sample's x_0 (or velocity) has that mean; so has, nearly,
the average over a reference batch of n images weighted by the posterior p(x_0 | x_t), with less
variance. With the whole data set as reference it is the exact field itself (zoo.exact).

Source: stable target field, arXiv:2302.00670, eq. 7.
"""

from __future__ import annotations

from torch import Tensor

from zoo.interfaces import FieldKernel
from zoo.interfaces.network import Predicts
from zoo.models.exact.network import ExactDenoiser, ExactField


def single_target(
    kernel: FieldKernel, predicts: Predicts, x_t: Tensor, t: Tensor, x_0: Tensor
) -> Tensor:
    """Return x_0, or the conditional velocity, shape (B, *)."""
    return x_0 if predicts == "denoised" else kernel.velocity(x_t, x_0, t)


def stable_target(
    kernel: FieldKernel, predicts: Predicts, x_t: Tensor, t: Tensor, reference: Tensor
) -> Tensor:
    """Return sum_i w_i x_i, or sum_i w_i v(x_t, x_i, t), with w = softmax_i log G_1(x_t, x_i, t).

    Computed in float64: at small t squared distances have to be right to more than 1e-7.

    Args:
        kernel: the field kernel.
        predicts: "denoised" for x_0, "field" for the velocity.
        x_t: noised data, (B, *).
        t: times, (B,).
        reference: images x_i (n, *), those among them that x_t was made from.
    """
    exact = ExactDenoiser if predicts == "denoised" else ExactField
    target: Tensor = exact(kernel, reference.double())(x_t.double(), t.double())
    return target.to(x_t)
