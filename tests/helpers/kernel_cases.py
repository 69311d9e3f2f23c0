"""The kernels for tests by theorems: every first-party kernel, with relevant options."""

import math
from functools import cache

import torch

import zoo
from zoo.interfaces import IsotropicKernel

# id -> (component, options); all of these take any dimension.
CASES = {
    "gravity": ("gravity", {}),
    "pfgmpp-1.5": ("pfgmpp", {"D": 1.5}),
    "pfgmpp-128": ("pfgmpp", {"D": 128.0}),
    "gaussian": ("gaussian", {}),
    "ve-square": ("ve", {"sigma": "s*t**2", "s": 3.0}),
    "vp-linear": ("vp", {}),
    "vp-cosine": ("vp", {"schedule": "cosine"}),
    "vp-ddpm": ("vp", {"schedule": "ddpm"}),
    "interpolant": ("interpolant", {"alpha": "cos(pi*t/2)", "sigma": "sin(pi*t/2)"}),
    "tanh": ("tanh", {}),
    "exp": ("exp", {}),
    "psi-power": ("psi", {"psi": "tanh((r/t)**beta)", "beta": 1.5}),
    "psi-warped": ("psi", {"psi": "1 - exp(-r / (t + t**2))"}),
    "phi-laplace": ("phi", {"phi": "exp(-r/t)"}),
    "phi-warped": ("phi", {"phi": "exp(-(r/t)**2 / (2 + t))", "t_min": 0.01, "t_max": 20.0}),
    "flow": ("flow", {}),
    "anisotropic": ("anisotropic", {"covariance": "1 / (1 + i)"}),
    "rotating": ("rotating", {"omega": 2.0, "covariance": "1 + i / d"}),
    "map": ("map", {"map": "(1-t)*x_0 + t*(z + a*sin(z))", "a": 0.3}),
}
ISOTROPIC = [
    "gravity",
    "pfgmpp-1.5",
    "pfgmpp-128",
    "gaussian",
    "ve-square",
    "tanh",
    "exp",
    "psi-power",
    "psi-warped",
    "phi-laplace",
    "phi-warped",
]


@cache
def build(case, dim):
    """Return the kernel of a case; kernels have no state, so tests share them."""
    name, options = CASES[case]
    kernel = zoo.kernel(name, dim=dim, **options)
    assert (case in ISOTROPIC) == isinstance(kernel, IsotropicKernel)
    return kernel


def times(kernel, count=3):
    """Return `count` times of the kernel, evenly spaced in log t, inside its range."""
    low = math.log(kernel.t_min)
    high = math.log(kernel.t_max)
    return torch.linspace(low, high, count + 2, dtype=torch.float64).exp()[1:-1]


def kolmogorov_smirnov(uniforms):
    """Return sqrt(n) times the distance of the empirical law from the uniform law on (0, 1).

    Under the null it exceeds 1.95 once in a thousand times.
    """
    u = uniforms.double().sort().values
    n = len(u)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    return float(torch.maximum((steps[1:] - u).max(), (u - steps[:-1]).max())) * n**0.5
