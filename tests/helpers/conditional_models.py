"""Models whose conditional law is known: no training, so that every method can be compared."""

import math

import torch

import zoo
from zoo.interfaces import Network, over

SPREAD = 0.3


class GivenMean(Network):
    """E[x_0 | x_t, c] of x_0 = c + 0.3 n under a Gaussian kernel; without c, c ~ N(0, I)."""

    def __init__(self, kernel, shape):
        super().__init__()
        self.kernel, self.condition, self.sigma_data = kernel, shape, 1.0
        self.seen = []

    def forward(self, x_t, t, labels=None, condition=None):
        assert labels is None
        alpha, sigma = (c.to(x_t).expand(len(x_t)) for c in self.kernel.marginal(t))
        alpha, sigma = over(alpha, x_t), over(sigma, x_t)
        wide = 1 + SPREAD**2
        hidden = alpha * wide / (alpha**2 * wide + sigma**2) * x_t
        if condition is None:
            return hidden
        self.seen.append(condition)
        gain = alpha * SPREAD**2 / ((alpha * SPREAD) ** 2 + sigma**2)
        return torch.where(condition.isnan(), hidden, condition + gain * (x_t - alpha * condition))


def given_mean(kernel="gaussian", shape=(2,), solver="heun"):
    """Return the model x_0 ~ N(c, 0.3^2 I) given c."""
    built = zoo.kernel(kernel, dim=math.prod(shape))
    network = GivenMean(built, shape)
    return zoo.FieldModel(built, zoo.prior(kernel, built), network, zoo.solver(solver), shape)
