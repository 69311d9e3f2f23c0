"""The processes that work together: one, or as many as torchrun started.

    torchrun --nproc-per-node 2 -m zoo train RECIPE

The first process alone writes and speaks; what the others compute reaches it through sums.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.device import parse_device
from zoo.errors import ZooError

T = TypeVar("T")
_FIRST_SPEAKS = 1.0  # seconds


@dataclass(frozen=True)
class World:
    """This process among those that work together.

    Attributes:
        rank: number of this process, 0 ... size - 1.
        size: number of processes.
        device: where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Return the positions of a batch that are this process's."""
        own = batch // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over the processes, the same bits in each; in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def joined(self, rows: Tensor) -> Tensor | None:
        """Return the rows of all processes, in the order of their ranks; None but in the first.

        Rows come from the CPU and go there; processes may have different numbers of them, or none.
        """
        if self.size == 1:
            return rows
        own = torch.tensor(len(rows), device=self.device)
        counts = [torch.zeros_like(own) for _ in range(self.size)]
        dist.all_gather(counts, own)
        longest = int(max(counts))
        padded = rows.new_zeros((longest, *rows.shape[1:]), device=self.device)
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts] if self.first else None
        dist.gather(padded, parts)
        if parts is None:
            return None
        return torch.cat([part[:count].cpu() for part, count in zip(parts, counts, strict=True)])

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the tensors as the first has them; in place."""
        for tensor in tensors if self.size > 1 else ():
            dist.broadcast(tensor.detach(), src=0)

    def sum_of_own(self, parts: Sequence[Tensor]) -> Tensor:
        """Return part number `rank`, summed over the processes in the order of their ranks."""
        own = parts[self.rank]
        if self.size == 1:
            return own
        theirs = [own if k == self.rank else torch.empty_like(own) for k in range(self.size)]
        others = [k for k in range(self.size) if k != self.rank]
        sends = [dist.P2POp(dist.isend, parts[k], k) for k in others if len(parts[k])]
        receives = [dist.P2POp(dist.irecv, theirs[k], k) for k in others if len(own)]
        for work in dist.batch_isend_irecv(sends + receives):
            work.wait()
        total = theirs[0]
        for part in theirs[1:]:
            total += part
        return total

    def tell(self, parts: Sequence[Sequence[Tensor]]) -> None:
        """Give all processes the tensors of part k as process k has them; in place."""
        if self.size == 1:
            return
        whole = [flattened([t.detach() for t in part], self.device) for part in parts]
        works = [dist.broadcast(p, src=k, async_op=True) for k, p in enumerate(whole) if len(p)]
        for work in works:
            if work is not None:
                work.wait()
        for k, (part, told) in enumerate(zip(parts, whole, strict=True)):
            if k != self.rank:
                for tensor, piece in zip(part, cut(told, part), strict=True):
                    tensor.detach().copy_(piece)

    def gathered(self, thing: T) -> list[T] | None:
        """Return each process's thing, in the order of their ranks; None but in the first."""
        if self.size == 1:
            return [thing]
        things: list[Any] | None = [None] * self.size if self.first else None
        dist.gather_object(thing, things)
        return things

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let the first process alone tell what fails in all of them, or cuts them off."""
        try:
            yield
        except (ZooError, RuntimeError) as error:
            cut_off = "connection" in str(error).lower()
            if not self.first and (isinstance(error, ZooError) or cut_off):
                _let_the_first_speak()
                raise SystemExit(1) from error
            raise

    def in_turn(self, make: Callable[[], T]) -> T:
        """Return make(), run by the first process before the others.

        What the first one writes the others find; where it fails they stop without a word.
        """
        if self.size == 1:
            return make()
        done = torch.zeros((), device=self.device)
        try:
            made = make() if self.first else None
            done += 1
        finally:
            dist.broadcast(done, src=0)
        if made is not None:
            return made
        if not bool(done):
            _let_the_first_speak()
            raise SystemExit(1)
        return make()


ALONE = World()


def _let_the_first_speak() -> None:
    """Give the first process time to tell what failed: torchrun ends all once one has ended."""
    time.sleep(_FIRST_SPEAKS)


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        found = environment.get(name)
        raise ZooError(
            f"{name} = {found!r}: the environment of one process among several; start them with "
            "torchrun --nproc-per-node K -m zoo ..."
        ) from None


@contextmanager
def connect(device: str) -> Iterator[World]:
    """Yield this process's place among those that torchrun started, alone if it started none.

    Processes exchange gradients by NCCL on CUDA devices and by gloo on the CPU; the process with
    local rank k takes cuda:k.

    Args:
        device: "cpu", "cuda", ...

    Raises:
        ZooError: the device is not there, or the environment is not torchrun's.
    """
    if not os.environ.get("WORLD_SIZE") or _number(os.environ, "WORLD_SIZE") == 1:
        yield World(device=parse_device(device))
        return
    rank, size, local = (_number(os.environ, n) for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    cuda = device.partition(":")[0] == "cuda"
    place = parse_device(f"cuda:{local}" if cuda else device)
    if cuda:
        torch.cuda.set_device(place)
    # Long: the others wait while the first fetches what all need, or measures what all drew.
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(days=1))
    yield World(rank, size, place)
    dist.destroy_process_group()  # not after a failure: it would wait for the others


def flattened(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return the numbers of all tensors as one vector, in order."""
    if not tensors:
        return torch.empty(0, device=device)
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def cut(joint: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return what `flattened` made of tensors like these, taken apart, as views."""
    pieces = torch.split(joint, [tensor.numel() for tensor in like])
    return [piece.view_as(tensor) for piece, tensor in zip(pieces, like, strict=True)]
