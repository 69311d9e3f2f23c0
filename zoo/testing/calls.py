"""How a kernel may be called: shapes, times, dtypes, generators."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from zoo.errors import CheckFailure
from zoo.host.plugins import describe_error
from zoo.interfaces import FieldKernel
from zoo.testing.numerics import generator, normal, require_determined
from zoo.testing.numerics import times as log_times

T = TypeVar("T")
_BATCH = 5
# Shapes of images with as many coordinates.
_IMAGES = {2: (1, 1, 2), 3072: (3, 32, 32)}


def _inputs(kernel: FieldKernel) -> tuple[Tensor, Tensor, float]:
    """Return (x_t, x_0, t) at the middle of the times, in log t."""
    t = float(log_times(kernel, 3)[1])
    x_0 = normal(_BATCH, kernel.dim) / 2
    return kernel.sample(x_0, t, generator(1)), x_0, t


def require_shape(found: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Raise CheckFailure unless a result has the expected shape."""
    if tuple(found.shape) != shape:
        raise CheckFailure(f"{what} has shape {tuple(found.shape)}; expected {shape}")


def require_equal(found: Tensor, expected: Tensor, what: str, within: float = 1e-9) -> None:
    """Raise CheckFailure unless two results agree; errors are relative to max(1, |expected|)."""
    size = expected.abs().max().clamp(min=1.0) if expected.numel() else 1.0
    error = (found.double() - expected.double()).abs() / size
    worst = float(error.max()) if error.numel() else 0.0
    if not worst <= within:
        raise CheckFailure(f"{what} differ by {worst:.3g}; expected {within:g} at most")


def copied(part: T) -> T:
    """Return a part that was pickled and read again, as a process of spawn gets it."""
    try:
        copy: T = pickle.loads(pickle.dumps(part))
    except Exception as error:
        raise CheckFailure(
            f"cannot be pickled ({describe_error(error)}); keep no lambda and no function from "
            "inside another as an attribute"
        ) from error
    return copy


def _methods(kernel: FieldKernel) -> dict[str, Callable[..., Tensor]]:
    return {
        "log_density": kernel.log_density,
        "velocity": kernel.velocity,
        "sample": lambda _, x_0, t: kernel.sample(x_0, t, generator(2)),
    }


def determinism(kernel: FieldKernel) -> None:
    """The generator determines the result, and torch's global state is neither used nor changed."""
    _, x_0, t = _inputs(kernel)
    require_determined(lambda generator: kernel.sample(x_0, t, generator))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        free = [kernel.sample(x_0, t) for _ in range(2)]
    if torch.equal(*free):
        raise CheckFailure("sample without a generator gives the same result twice")


def pickling(kernel: FieldKernel) -> None:
    """A kernel that was pickled and read again gives the same bits."""
    x_t, x_0, t = _inputs(kernel)
    expected, found = (
        [method(x_t, x_0, t) for method in _methods(k).values()] for k in (kernel, copied(kernel))
    )
    if not all(map(torch.equal, found, expected)):
        raise CheckFailure("pickled and read again, the kernel gives other numbers")


def shapes(kernel: FieldKernel) -> None:
    """Flat vectors and images give equal results, in batches of any size, also the empty batch."""
    x_t, x_0, t = _inputs(kernel)
    image = (-1, *_IMAGES.get(kernel.dim, (kernel.dim,)))
    for name, method in _methods(kernel).items():
        expected = method(x_t, x_0, t)
        require_shape(expected, (_BATCH,) if name == "log_density" else tuple(x_0.shape), name)
        as_image = method(x_t.reshape(image), x_0.reshape(image), t)
        reshaped = expected if name == "log_density" else expected.reshape(image)
        require_shape(as_image, tuple(reshaped.shape), f"{name} of images")
        require_equal(as_image, reshaped, f"{name} of images and of the same flat vectors")
        none = method(x_t[:0], x_0[:0], t)
        require_shape(none, tuple(expected[:0].shape), f"{name} of an empty batch")
        if name != "sample":
            parts = torch.cat([method(x_t[:2], x_0[:2], t), method(x_t[2:], x_0[2:], t)])
            require_equal(parts, expected, f"{name} of a batch and of its halves")


def times(kernel: FieldKernel) -> None:
    """A number, a 0-d tensor and one time per sample give equal results."""
    x_t, x_0, t = _inputs(kernel)
    each = torch.full((_BATCH,), t, dtype=torch.float64)
    for name, method in _methods(kernel).items():
        expected = method(x_t, x_0, t)
        for shape, time in (("0-d", each[0]), ("(B,)", each)):
            found = method(x_t, x_0, time)
            require_shape(found, tuple(expected.shape), f"{name} at a time of shape {shape}")
            require_equal(found, expected, f"{name} at a time of shape {shape} and at a number")
    several = log_times(kernel, _BATCH)
    for name in ("log_density", "velocity"):
        method = getattr(kernel, name)
        mixed = method(x_t, x_0, several)
        alone = [method(x_t[i : i + 1], x_0[i : i + 1], float(several[i])) for i in range(_BATCH)]
        require_equal(mixed, torch.cat(alone), f"{name} at five times and at each time alone")


def dtypes(kernel: FieldKernel) -> None:
    """Results have the dtype and device of the input; float32 agrees with float64."""
    x_t, x_0, t = _inputs(kernel)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for name, method in _methods(kernel).items():
        exact = method(x_t, x_0, t)
        for device in devices:
            for dtype in (torch.float32, torch.float64):
                out = method(x_t.to(device, dtype), x_0.to(device, dtype), t)
                if out.dtype != dtype or out.device.type != device:
                    raise CheckFailure(
                        f"{name} of {dtype} on {device} is {out.dtype} on {out.device.type}"
                    )
                if name != "sample":
                    within = 1e-3 if dtype == torch.float32 else 1e-9
                    require_equal(out.cpu(), exact, f"{name} in {dtype} and in float64", within)
