"""A network as the function of (x, t) that a flow evaluates: guidance, batches, dtype.

A matrix product on the CPU sums in another order for another number of rows: the same sample
has other last bits in a batch of 6 than in one of 64, and the ODE amplifies them. For a fixed
number of rows, the result of a row depends neither on its position nor on the other rows. So every
evaluation is cut into batches of one size, and the last one is padded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import TypeVar

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.interfaces import Network
from zoo.interfaces.flow import Predict
from zoo.interfaces.posterior import Around
from zoo.numerics.memory import is_out_of_memory
from zoo.numerics.rows import beside
from zoo.sampling.given import hidden
from zoo.sampling.guidance import check_weight

# Enough to keep a core busy, few enough that a single sample does not wait for company.
_COORDINATES = 12_544  # 4 images of 3x32x32
_OF_FEW, _IMAGES, _MOST = 1000, 8, 256


def fixed_batch_size(dim: int) -> int:
    """Return the number of samples of `dim` coordinates in a tile: a power of 2 up to 256."""
    size = min(_COORDINATES / dim, max(_IMAGES, _OF_FEW / dim), _MOST)
    return 1 << int(math.log2(max(1.0, size)))


def fixed_size_batches(predict: Predict, size: int) -> Predict:
    """Return `predict` evaluated `size` samples at a time; off the CPU, all at once.

    Accelerators want large batches; there samples agree across batch sizes to rounding only.
    """

    def tiled(x: Tensor, t: Tensor, *given: Tensor | None) -> Tensor:
        n = len(x)
        if x.device.type != "cpu":
            return predict(x, t, *given)
        if n in (0, size):
            return predict(x, t, *map(_aligned, given))
        whole = n - n % size
        times = repeat(t.reshape(())) if t.numel() == 1 else _split(t, whole, size)
        others = (_tiles(g, whole, size) for g in given)
        tiles = zip(_tiles(x, whole, size), times, *others, strict=False)
        found = [predict(*tile) for tile in tiles]
        if n > whole:  # repeat the last sample
            rows = torch.arange(whole, whole + size).clamp(max=n - 1)
            padded = predict(x[rows], _at(t, rows), *(_rows(g, rows) for g in given))
            found.append(padded[: n - whole])
        return torch.cat(found)

    return tiled


Rows = TypeVar("Rows", Tensor, Tensor | None)


def _aligned(x: Rows) -> Rows:
    """Return x, a copy where it does not begin at a cache line: products may round otherwise."""
    return x if x is None or x.data_ptr() % 64 == 0 else x.clone()


def _tiles(rows: Tensor | None, whole: int, size: int) -> Iterator[Tensor | None]:
    """Yield the first `whole` rows, `size` at a time and aligned; of None, None without end."""
    return repeat(None) if rows is None else map(_aligned, _split(rows, whole, size))


def _split(rows: Tensor, whole: int, size: int) -> tuple[Tensor, ...]:
    rows = rows if whole == len(rows) else rows[:whole]
    return rows.reshape(-1, size, *rows.shape[1:]).unbind()  # views; faster than Tensor.split


def _rows(given: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if given is None else given[rows]


def _at(t: Tensor, rows: Tensor) -> Tensor:
    """Return the times of some rows: t is one for all, or one for each."""
    return t.reshape(()) if t.numel() == 1 else t[rows]


Drawn = TypeVar("Drawn")


def in_batches(
    draw: Callable[[int, int], Drawn], first: int, last: int, size: int, least: int
) -> Iterator[Drawn]:
    """Yield draw(a, b) for batches a..b-1 of `size` rows that cover first..last-1, in order.

    Where a batch does not fit into an accelerator's memory, it and those after it are halved, in
    multiples of `least`. Rows must not depend on the batch they are in.

    Raises:
        torch.OutOfMemoryError: `least` rows are too many.
        ZooError: a batch does not fit into the CPU's memory.
    """
    while first < last:
        end = min(first + size, last)
        try:
            drawn = draw(first, end)
        except torch.OutOfMemoryError:
            if size <= least:
                raise
            drawn = None  # go on outside: the exception holds what was allocated
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise ZooError(
                f"{end - first} samples take more memory than there is; a smaller batch_size takes "
                f"less, down to {least}"
            ) from error
        if drawn is None:
            size = max(least, min(size, end - first) // (2 * least) * least)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        yield drawn
        first = end


# What torch calls the module inside torch.compile's, DataParallel and DistributedDataParallel.
_INSIDE = ("_orig_mod", "module")


def unwrapped(network: nn.Module) -> Network:
    """Return the network inside what torch wraps around one.

    Raises:
        ZooError: there is none.
    """
    found: object = network
    while isinstance(found, nn.Module) and not isinstance(found, Network):
        children = dict(found.named_children())
        found = next((children[name] for name in _INSIDE if name in children), None)
    if not isinstance(found, Network):
        raise ZooError(
            f"network is a {type(network).__name__}; expected a zoo.interfaces.Network, as "
            "zoo.network returns: derive from it and write forward(x_t, t, labels=None)"
        )
    return found


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

    def halved(x: Tensor, t: Tensor, *given: Tensor | None) -> Tensor:
        with torch.autocast(x.device.type, dtype=dtype):
            return predict(x, t, *given)

    return halved


def _and_hidden(given: Tensor | None) -> Tensor | None:
    """Return labels or conditions (B, *), and as many that are hidden, (2 B, *)."""
    if given is None:
        return None
    return torch.cat([given, torch.full_like(given, hidden(given))])


def _hidden(given: Tensor | None) -> Tensor | None:
    return None if given is None else torch.full_like(given, hidden(given))


def guided(
    network: nn.Module,
    guidance: float,
    dim: int,
    dtype: torch.dtype,
    around: Around | None = None,
    *,
    guide: tuple[Predict, int] | None = None,
    inside: Callable[[Tensor], Tensor] | None = None,
) -> Predict:
    """Return the network as a function of (x, t), (x, t, labels) or (x, t, labels, condition).

        D = D(x) + guidance (D(x, class, condition) - D(x))

    On the CPU it is evaluated in batches of a fixed size.
    Source: classifier-free guidance, arXiv:2207.12598.

    Guidance 1 is none, and costs no second evaluation. A sample has `dim` coordinates. Weights are
    of `dtype`, and x and t of `shown_dtype(dtype)`. `around` is put around the prediction, batch by
    batch: what conditions it on an observation.

    A `guide`, with the least number of samples it is asked for, takes the place of the network
    without class: D = D_guide + guidance (D - D_guide). It is a function like the result.
    Where no time of a batch is `inside`, neither is evaluated: it is D there.

    Raises:
        ZooError: guidance is no finite number.
    """
    guidance = check_weight(guidance)
    own, without = autocast_predict(network, dtype), guide[0] if guide else None

    def blended(x: Tensor, t: Tensor, *given: Tensor | None) -> Tensor:
        twice = t if t.ndim == 0 else torch.cat([t, t])
        out: Tensor = network(torch.cat([x, x]), twice, *map(_and_hidden, given))
        conditional, plain = out.chunk(2)
        return plain + guidance * (conditional - plain)

    def partly(x: Tensor, t: Tensor, *given: Tensor | None) -> Tensor:
        out = own(x, t, *given)
        where = None if inside is None else inside(t)
        if where is not None and not bool(where.any()):
            return out
        # In tiles of the same size as without: the bits of D are the same inside and outside.
        rest = without(x, t, *given) if without else own(x, t, *map(_hidden, given))
        led = rest + guidance * (out - rest)
        return led if where is None else torch.where(beside(where, x), led, out)

    size = max(fixed_batch_size(dim), unwrapped(network).tile, guide[1] if guide else 1)
    predict = autocast_predict(network if guidance == 1.0 else blended, dtype)
    if guidance != 1.0 and (guide or inside):
        predict = partly
    whole = predict if around is None else around(predict, unwrapped(network))
    return fixed_size_batches(whole, size)
