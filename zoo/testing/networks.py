"""Laws of networks: any batch size, independent samples, gradients, labels, conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.errors import CheckFailure, ZooError
from zoo.interfaces import Network
from zoo.sampling.arguments import classes_in_turn
from zoo.testing.calls import copied, require_equal, require_shape
from zoo.testing.numerics import generator, normal
from zoo.testing.reference import ReferenceKernel

Factory = Callable[..., Network]

# Tried in this order: a network may refuse some shapes.
_SHAPES = ((1, 8, 8), (3, 32, 32), (6,), (2, 16))
_CLASSES = 3
_CONDITIONS = ((2,), (1, 4, 4))
_BATCH = 5


def _build(factory: Factory, **options: Any) -> tuple[Network, tuple[int, ...]]:
    """Return the network for the first shape that it takes, with noisy weights, and the shape."""
    refusals = []
    for shape in _SHAPES:
        kernel = ReferenceKernel(dim=torch.Size(shape).numel())
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                network = factory(shape=shape, kernel=kernel, **options)
        except ZooError as error:
            refusals.append(str(error))
            continue
        noise = generator(1)  # a layer of zeros would hide the layers before it
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.requires_grad and parameter.is_floating_point():
                    shift = 0.05 * torch.randn(parameter.shape, generator=noise)
                    parameter.add_(shift.to(parameter))
        return network, shape
    raise CheckFailure(f"it takes none of the shapes {_SHAPES}: {'; '.join(refusals)}")


def _inputs(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    t = torch.tensor([0.002, 0.1, 1.0, 7.0, 80.0])
    x = normal(_BATCH, *shape).float() * (0.25 + t.square()).sqrt().reshape(-1, *(1 for _ in shape))
    return x, t


def shapes(factory: Factory) -> None:
    """The result has the shape and dtype of x_t for any batch size, and is finite at all times."""
    network, shape = _build(factory)
    network.eval()
    if network.predicts not in ("denoised", "field"):
        raise CheckFailure(f"predicts = {network.predicts!r}; expected 'denoised' or 'field'")
    x, t = _inputs(shape)
    with torch.no_grad():
        for count in (1, 3, _BATCH):
            out = network(x[:count], t[:count])
            require_shape(out, (count, *shape), f"the result for a batch of {count}")
            if out.dtype != x.dtype or not bool(out.isfinite().all()):
                raise CheckFailure(f"the result is {out.dtype}, or not finite, for {x.dtype}")
        expected = network(x, torch.full((_BATCH,), 0.7))
        require_equal(
            network(x, torch.tensor(0.7)), expected, "a scalar t and t of shape (B,)", 1e-5
        )
        fine = network.double()(x.double(), t.double())
        if fine.dtype != torch.float64:
            raise CheckFailure(f"in float64 the result is {fine.dtype}")
        require_equal(out, fine, "float32 and float64", 1e-2)


def samples(factory: Factory) -> None:
    """A result does not depend on the other samples of the batch, and repeats exactly."""
    network, shape = _build(factory)
    network.double().eval()
    x, t = (v.double() for v in _inputs(shape))
    with torch.no_grad():
        batch = network(x, t)
        alone = torch.cat([network(x[i : i + 1], t[i : i + 1]) for i in range(_BATCH)])
        require_equal(alone, batch, "samples alone and in a batch", 1e-7)
        require_equal(network(x, t), batch, "a first and a second call")


def pickling(factory: Factory) -> None:
    """A network that was pickled and read again gives the same bits."""
    network, shape = _build(factory)
    network.eval()
    x, t = _inputs(shape)
    with torch.no_grad():
        if not torch.equal(copied(network)(x, t), network(x, t)):
            raise CheckFailure("pickled and read again, the network gives other numbers")


def gradient(factory: Factory) -> None:
    """The loss is finite, its gradient reaches every parameter; derivatives by x are finite."""
    network, shape = _build(factory)
    _derivative(network, shape)
    network.train()
    x, t = _inputs(shape)
    labels = classes_in_turn(network.labels, _BATCH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loss = network.loss(x, t, normal(_BATCH, *shape, seed=2).float(), labels)
    require_shape(loss, (_BATCH,), "loss")
    if not bool(loss.isfinite().all()):
        raise CheckFailure(f"the loss is not finite: {loss.tolist()}")
    torch.autograd.backward(loss.sum())
    unreached = [
        name
        for name, p in network.named_parameters()
        if p.requires_grad and (p.grad is None or not bool(p.grad.any()))
    ]
    if unreached:
        more = f" and {len(unreached) - 3} more" if len(unreached) > 3 else ""
        raise CheckFailure(f"no gradient reaches {', '.join(unreached[:3])}{more}")


def _derivative(network: Network, shape: tuple[int, ...]) -> None:
    """Likelihoods and posteriors take derivatives by x, at x = 0 too, where |x| has none."""
    x, t = _inputs(shape)
    x[0] = 0
    out = network.eval()(x.requires_grad_(), t, classes_in_turn(network.labels, _BATCH))
    if not out.requires_grad:
        return
    (slope,) = torch.autograd.grad(out.sum(), x, allow_unused=True)
    if slope is None:
        raise CheckFailure("no gradient reaches x")
    broken = (~slope.isfinite()).flatten(1).any(1).tolist()
    if any(broken):
        where = " at x = 0" if broken[0] else ""
        raise CheckFailure(f"the derivative by x is not finite{where}")


def labels(factory: Factory) -> None:
    """With classes, labels change the result, and -1 is the same as no label."""
    network, shape = _build(factory)
    x, t = _inputs(shape)
    if network.labels == 0:
        try:
            network, _ = _build(factory, labels=_CLASSES)
        except ZooError:
            return
        except CheckFailure as failure:
            if "no option 'labels'" in str(failure):
                return
            raise
    network.eval()
    if network.labels < 1:
        raise CheckFailure(f"labels = {_CLASSES} is taken as an option, but .labels is 0")
    with torch.no_grad():
        none = network(x, t)
        minus = network(x, t, torch.full((_BATCH,), -1))
        first = network(x, t, torch.zeros(_BATCH, dtype=torch.long))
        mixed = network(x, t, torch.tensor([-1, 0, -1, 0, -1]))
    require_equal(minus, none, "labels of -1 and no labels", 1e-5)
    require_equal(mixed[1::2], first[1::2], "class 0 in a mixed batch and class 0 for all", 1e-5)
    require_equal(mixed[::2], none[::2], "-1 in a mixed batch and no labels", 1e-5)
    if torch.equal(first, none):
        raise CheckFailure("class 0 gives the same result as no class")


def condition(factory: Factory) -> None:
    """With a condition it changes the result, and a row of NaN is the same as none."""
    for shape in _CONDITIONS:
        try:
            network, data = _build(factory, condition=[*shape])
        except CheckFailure as failure:
            if "no option 'condition'" in str(failure):
                return
            raise
        if network.condition != shape:
            raise CheckFailure(
                f"condition = {[*shape]} is taken as an option, but .condition is "
                f"{network.condition}"
            )
        network.eval()
        x, t = _inputs(data)
        given = normal(_BATCH, *shape, seed=4).float()
        nothing = torch.full_like(given, math.nan)
        mixed = given.clone()
        mixed[::2] = math.nan
        with torch.no_grad():
            none, hidden = network(x, t), network(x, t, None, nothing)
            shown, both = network(x, t, None, given), network(x, t, None, mixed)
        require_equal(hidden, none, "a condition of NaN and no condition", 1e-5)
        require_equal(both[1::2], shown[1::2], "a condition in a mixed batch and for all", 1e-5)
        require_equal(both[::2], none[::2], "NaN in a mixed batch and no condition", 1e-5)
        if torch.equal(shown, none):
            raise CheckFailure("a condition gives the same result as none")
