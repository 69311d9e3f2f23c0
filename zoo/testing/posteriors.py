"""Laws of methods of posterior sampling, held to the exact posterior of points of the plane.

The exact field of a finite data set with other weights is that of its posterior (zoo.models.exact),
so the truth is known: each point has the probability of its likelihood.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.interfaces import FieldKernel, PosteriorMethod
from zoo.models.exact import exact
from zoo.models.model import FieldModel
from zoo.posterior import Linear
from zoo.testing.calls import copied
from zoo.testing.numerics import generator
from zoo.testing.reference import ReferenceCauchy, ReferenceKernel

_POINTS, _SAMPLES, _STEPS = 512, 256, 20
_NOISE = 0.3
_DIRECTION = torch.tensor([[0.8, 0.6]], dtype=torch.float64)
# A method has to come at least so much nearer to the posterior than the model that knows no y.
_NEARER = 0.7


def points() -> Tensor:
    """Return points of a mixture of three Gaussians in the plane, (512, 2), float64."""
    noise = torch.randn(_POINTS, 2, generator=generator(0), dtype=torch.float64)
    angle = torch.arange(_POINTS) % 3 * (2 * math.pi / 3)
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.3 * noise


def asked(
    method: PosteriorMethod, kernel: FieldKernel, y: Tensor, shape: tuple[int, ...] = (2,)
) -> FieldModel:
    """Return the posterior of the points, as samples of a shape, by a method, given y (n, 1)."""
    model = exact(kernel, points().to(y.dtype).reshape(-1, *shape))
    return model.posterior(y, Linear(_DIRECTION), noise=_NOISE, method=method)


def truth(y: float, count: int) -> Tensor:
    """Draw from the exact posterior of the points, (count, 2)."""
    x = points()
    logs = -((x @ _DIRECTION[0] - y) / _NOISE).square() / 2
    index = logs.softmax(dim=0).multinomial(count, True, generator=generator(1))
    return x[index]


def energy(a: Tensor, b: Tensor) -> float:
    """Return the energy distance between two samples (n, d) and (m, d)."""
    a, b = a.double(), b.double()
    own = sum(torch.cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b))
    return float(2 * torch.cdist(a, b).mean() - own)


def closeness(method: PosteriorMethod) -> None:
    """Samples come nearer to the exact posterior than those of the model that knows no y."""
    plane = ReferenceKernel(dim=2)
    for kernel, y in ((plane, 0.9), (plane, -0.3), (ReferenceCauchy(), 0.9)):
        model = asked(method, kernel, torch.tensor([[y]], dtype=torch.float64))
        plain = exact(kernel, points())
        there = truth(y, 4 * _SAMPLES)
        near, far = (
            energy(m.sample(_SAMPLES, steps=_STEPS, seed=0), there) for m in (model, plain)
        )
        if not near <= _NEARER * far:
            raise CheckFailure(
                f"at y = {y:g} under {type(kernel).__name__} its samples have the energy distance "
                f"{near:.3g} from the exact posterior, those of the model that knows no y {far:.3g}"
            )


def rows(method: PosteriorMethod) -> None:
    """A sample depends on its own y alone, not on its batch, and repeats exactly."""
    y = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    model = asked(method, ReferenceKernel(dim=2), y)
    whole = model.sample(7, steps=5, seed=0)
    if not torch.equal(model.sample(7, steps=5, seed=0), whole):
        raise CheckFailure("the same seed gives other samples")
    parts = torch.cat([model.sample(k, steps=5, seed=0, first=f) for f, k in ((0, 3), (3, 4))])
    if not torch.equal(parts, whole):
        raise CheckFailure("samples are other ones in another batch")
    if torch.equal(asked(method, ReferenceKernel(dim=2), y[:1]).sample(7, steps=5, seed=0), whole):
        raise CheckFailure("y changes nothing")


def axes(method: PosteriorMethod) -> None:
    """Images are conditioned as vectors of the same numbers are; y has other axes than x then."""
    y = torch.tensor([[0.5]], dtype=torch.float64)
    flat, images = (asked(method, ReferenceKernel(dim=2), y, s) for s in ((2,), (1, 1, 2)))
    for t in (0.02, 0.5, 10.0):
        x = points()[:5] * (1 + t)
        there = flat.denoise(x, t)
        if not torch.allclose(images.denoise(x[:, None, None], t)[:, 0, 0], there):
            raise CheckFailure(f"at t = {t:g} images have another posterior than vectors")


def dtypes(method: PosteriorMethod) -> None:
    """Prediction and state have the network's digits, and all is finite at every time."""
    for dtype in (torch.float32, torch.float64):
        model = asked(method, ReferenceKernel(dim=2), torch.tensor([[0.5]], dtype=dtype))
        for t in (0.002, 0.1, 1.0, 80.0):
            x = points()[:5].to(dtype) * (1 + t)
            before = x.clone()
            d = model.denoise(x, t)
            if d.dtype != dtype or d.shape != x.shape or not bool(d.isfinite().all()):
                raise CheckFailure(
                    f"at t = {t:g} the result is {d.dtype} of shape {tuple(d.shape)}, or not "
                    f"finite, for {dtype}"
                )
            if not torch.equal(x, before):
                raise CheckFailure("it changes the tensor that it is given")


def pickling(method: PosteriorMethod) -> None:
    """A method that was pickled and read again gives the same bits."""
    y = torch.tensor([[0.5]], dtype=torch.float64)
    ends = [
        asked(one, ReferenceKernel(dim=2), y).sample(3, steps=4, seed=0)
        for one in (method, copied(method))
    ]
    if not torch.equal(*ends):
        raise CheckFailure("pickled and read again, the method gives other numbers")
