"""The processes that work together: one, or as many as torchrun started.

    torchrun --nproc-per-node 2 -m zoo train RECIPE

The main process (rank 0) alone writes files and prints. Collectives are those of
torch.distributed; with one process each of them returns its argument.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.errors import ZooError, brief, one_line

T = TypeVar("T")
# torchrun ends all processes once one has ended: the main one needs time to print its error.
_SECONDS_TO_PRINT = 1.0


@dataclass(frozen=True)
class DistributedContext:
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
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def shard(self, batch: int) -> slice:
        """Return this process's positions in a batch whose size is a multiple of `size`."""
        own = batch // self.size
        return slice(self.rank * own, (self.rank + 1) * own)

    def all_reduce(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over the processes, the same bits in each; in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def gather_rows(self, rows: Tensor) -> Tensor | None:
        """Return the rows of all processes in the order of their ranks; None outside the main one.

        The rows are on the CPU. Each process may have another number of them.
        """
        if self.size == 1:
            return rows
        parts: list[Any] | None = [None] * self.size if self.is_main else None
        dist.gather_object(rows, parts)
        return None if parts is None else torch.cat(parts)

    @contextmanager
    def errors_from_main(self) -> Iterator[None]:
        """Let the main process alone raise an error that occurs in all, or cuts them off."""
        try:
            yield
        except (ZooError, RuntimeError) as error:
            cut_off = "connection" in str(error).lower()
            if not self.is_main and (isinstance(error, ZooError) or cut_off):
                time.sleep(_SECONDS_TO_PRINT)
                raise SystemExit(1) from error
            raise

    def main_process_first(self, make: Callable[[], T]) -> T:
        """Return make(), called in the main process first and then in the others.

        The others find the files that the main one wrote. Where its call fails, it raises the
        error and the others exit without a message.
        """
        if self.size == 1:
            return make()
        done = torch.zeros((), device=self.device)
        try:
            made = make() if self.is_main else None
            done += 1
        finally:
            dist.broadcast(done, src=0)
        if made is not None:
            return made
        if not bool(done):
            time.sleep(_SECONDS_TO_PRINT)
            raise SystemExit(1)
        return make()


SINGLE_PROCESS = DistributedContext()


def parse_device(name: str | torch.device) -> torch.device:
    """Return the device called `name`, or a device that is there.

    Raises:
        ZooError: no such kind of device, one without float64, or it is not there.
    """
    try:
        device = torch.device(name)
        # "meta" and the like hold no numbers, and Apple's "mps" none of the 64 bits of levels.
        torch.ones(1, dtype=torch.float64, device=device).item()
    except Exception as error:  # every backend that is missing raises another type
        reason = one_line(error).split(". ")[0]
        raise ZooError(f"device {brief(name)} is not available here: {reason}") from error
    return device


def _integer(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        found = environment.get(name)
        raise ZooError(
            f"{name} = {found!r}: the environment of one process among several; start them with "
            "torchrun --nproc-per-node K -m zoo ..."
        ) from None


@contextmanager
def connect(device: str) -> Iterator[DistributedContext]:
    """Yield this process's place among those that torchrun started, or a context of one process.

    Processes communicate by NCCL on CUDA devices and by gloo on the CPU; the process with
    local rank k takes cuda:k.

    Args:
        device: "cpu", "cuda", ...

    Raises:
        ZooError: the device is not there, or the environment is not torchrun's.
    """
    if not os.environ.get("WORLD_SIZE") or _integer(os.environ, "WORLD_SIZE") == 1:
        yield DistributedContext(device=parse_device(device))
        return
    rank, size, local = (_integer(os.environ, n) for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    cuda = device.partition(":")[0] == "cuda"
    place = parse_device(f"cuda:{local}" if cuda else device)
    if cuda:
        torch.cuda.set_device(place)
    # Long: the others wait while the main process downloads data or measures samples.
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(days=1))
    yield DistributedContext(rank, size, place)
    dist.destroy_process_group()  # not after a failure: it would wait for the others
