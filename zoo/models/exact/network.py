"""The exact field of N sources, streamed over them with a running log-sum-exp."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, Network, over
from zoo.models.exact.pairs import Chunk, Pairs, elements_per_source, pair_up

# Numbers per intermediate result of one chunk: 2 MB in float32, so that it stays in cache.
CHUNK_NUMBERS = 2**19
_LEAST_COLUMNS = 16

UNNAMED = (
    "a model of zoo.exact cannot be saved: its network is all of the data, which no model folder "
    "holds; save the data, and call zoo.exact(kernel, data) again where the model is needed"
)

Gather = Callable[[Pairs, Chunk, Tensor], Tensor]


class SourceSum(Network):
    """Sums over sources, weighted by softmax_i log G_1(x, x_i, t).

    Computed in the sources' dtype. It keeps one copy of the sources, centred, and works on
    chunks of CHUNK_NUMBERS.

    Args:
        kernel: the field kernel.
        data: sources (N, *shape), float32 or float64.
        log_weights: of the sources, (N,), of weights with sum 1; None for equal ones.
    """

    # All sources are read once per tile: enough samples to outweigh that.
    tile = 64
    why_unnamed = UNNAMED

    def __init__(
        self, kernel: FieldKernel, data: Tensor, log_weights: Tensor | None = None
    ) -> None:
        super().__init__()
        self.kernel, self.shape = kernel, tuple(data.shape[1:])
        self.log_weights = None
        if log_weights is not None:
            self.log_weights = nn.Parameter(log_weights.to(data), requires_grad=False)
        mean = data.flatten(1).mean(dim=0)
        centred = data.flatten(1) - mean
        squares = torch.linalg.vector_norm(centred, dim=1).square()
        # Parameters, not buffers: so the model that holds them knows its dtype and device.
        self.centre = nn.Parameter(mean, requires_grad=False)
        self.centred = nn.Parameter(centred, requires_grad=False)
        self.sigma_data = math.sqrt(float(squares.mean()) / kernel.dim) or None
        self.squares = nn.Parameter(squares, requires_grad=False)

    def __len__(self) -> int:
        """Return the number of sources."""
        return len(self.centred)

    @property
    def sources(self) -> Tensor:
        """The sources, (N, *shape)."""
        return (self.centred + self.centre).reshape(-1, *self.shape)

    def _chunks(self, batch: int) -> Iterator[tuple[slice, Chunk]]:
        size = max(1, CHUNK_NUMBERS // (max(1, batch) * elements_per_source(self.kernel)))
        for first, last in pairwise([*range(0, len(self), size), len(self)]):
            yield slice(first, last), Chunk(self.centred[first:last], self.squares[first:last])

    def _stream(
        self,
        x: Tensor,
        t: Tensor,
        gather: Gather | None = None,
        log_weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return (log sum_i w_i G_1, sum_i softmax_i gathered_i or 0), shapes (B,) and (B, *).

        `log_weights` (B, N) come on top of the network's own.
        """
        x, t = x.to(self.centred), t.to(self.centred)
        extra = [w.to(x) for w in (self.log_weights, log_weights) if w is not None]
        top = torch.full_like(x.flatten(1)[:, 0], torch.finfo(x.dtype).min).detach()
        total, gathered = torch.zeros_like(top), torch.zeros_like(x)
        for columns, chunk in self._chunks(len(x)):
            pairs = pair_up(self.kernel, x, t, self.centre, chunk)
            logs = pairs.log_density()
            for own in extra:
                logs = logs + own[..., columns]
            # The largest is a reference only; the result does not depend on it.
            before, top = top, torch.maximum(top, logs.detach().amax(dim=1))
            shrink = (before - top).exp()
            weights = (logs - top[:, None]).exp_()
            total = total * shrink + weights.sum(dim=1)
            if gather is not None:
                more = gather(pairs, chunk, weights).reshape(x.shape)
                gathered = gathered * over(shrink, x) + more
        return top + total.log(), gathered / over(total, x)

    def log_density(self, x: Tensor, t: Tensor | float) -> Tensor:
        """Return log p_t(x) = log sum_i w_i G_1(x, x_i, t) in nats, shape (B,); w_i = 1/N."""
        log_sum, _ = self._stream(x, torch.as_tensor(t, dtype=torch.float64))
        count = len(self) if self.log_weights is None else 1
        return (log_sum - math.log(count)).to(x.dtype)

    def forward(
        self,
        x_t: Tensor,
        t: Tensor,
        labels: Tensor | None = None,
        *,
        log_weights: Tensor | None = None,
    ) -> Tensor:
        """Return the prediction, shape of x_t (B, *); t is a scalar or (B,), there are no labels.

        With `log_weights` (B, N): for sources weighted so, other ones for each sample.
        """
        del labels
        _, found = self._stream(x_t, t, self._gather, log_weights)
        return self._placed(found).to(x_t)

    @abstractmethod
    def _gather(self, pairs: Pairs, chunk: Chunk, weights: Tensor) -> Tensor:
        """Return the sum over a chunk's sources with weights (B, n), (B, d)."""

    def _placed(self, found: Tensor) -> Tensor:
        """Return the prediction, (B, *), from the weighted mean of what is gathered."""
        return found


class ExactDenoiser(SourceSum):
    """E[x_0 | x_t] = sum_i w_i x_i, for kernels whose velocity is affine in x_0."""

    predicts: Literal["denoised", "field"] = "denoised"

    def _gather(self, pairs: Pairs, chunk: Chunk, weights: Tensor) -> Tensor:
        del pairs
        return _sums(weights, chunk.centred)

    def _placed(self, found: Tensor) -> Tensor:
        return found + self.centre.reshape(found.shape[1:])


class ExactField(SourceSum):
    """f_t(x) = sum_i w_i v(x, x_i, t), for any kernel."""

    predicts: Literal["denoised", "field"] = "field"

    def _gather(self, pairs: Pairs, chunk: Chunk, weights: Tensor) -> Tensor:
        del chunk
        return pairs.velocity_sum(weights)


def _sums(weights: Tensor, sources: Tensor) -> Tensor:
    """Return weights @ sources, (B, N) @ (N, d), each row by itself to the last bit.

    In products with few columns the order of a row's sum depends on where the row stands.
    """
    d = sources.shape[1]
    return (weights @ F.pad(sources, (0, max(0, _LEAST_COLUMNS - d))))[:, :d]


def check_data(data: Tensor) -> None:
    """Raise ZooError unless `data` is (N, *shape), N >= 1, float32 or float64, and finite."""
    if data.ndim < 2 or not data.numel():
        raise ZooError(f"data has shape {tuple(data.shape)}; expected (N, *shape) with N >= 1")
    if data.dtype not in (torch.float32, torch.float64):
        raise ZooError(
            f"data is {str(data.dtype).removeprefix('torch.')}; expected float32 or float64, "
            "images scaled to [-1, 1]"
        )
    # Unlike isfinite this takes no memory of the data's own size.
    if not all(bool(end.isfinite()) for end in data.aminmax()):
        raise ZooError("data is not finite")


def log_weights_of(weights: Tensor, count: int) -> Tensor:
    """Return the logarithms of weights (N,), scaled to the sum 1, float64.

    Raises:
        ZooError: they are not N numbers of at least 0, finite, one of them more than 0.
    """
    if tuple(weights.shape) != (count,):
        raise ZooError(f"weights have shape {tuple(weights.shape)}; expected ({count},), the data")
    weights = weights.double()
    if not bool((weights >= 0).all() & weights.isfinite().all() & (weights > 0).any()):
        raise ZooError("weights have to be finite and at least 0, one of them more")
    return (weights / weights.max()).log().log_softmax(dim=0)


def exact_network(
    kernel: FieldKernel, data: Tensor, log_weights: Tensor | None = None
) -> SourceSum:
    """Return the exact denoiser of `data`, or its exact field where the kernel is not affine.

    `log_weights` (N,) are of weights with sum 1.

    Raises:
        ZooError: the data is not as `check_data` wants it, or of another dimension.
    """
    check_data(data)
    if data[0].numel() != kernel.dim:
        raise ZooError(
            f"data has {data[0].numel()} coordinates per sample, the kernel {kernel.dim}"
        )
    network = ExactDenoiser if kernel.affine else ExactField
    return network(kernel, data, log_weights)
