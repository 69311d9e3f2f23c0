"""Memory that is freed and taken again in every step, kept in the process in between."""

from __future__ import annotations

import os
from functools import cache

import torch

# The largest block that raises glibc's thresholds (M_MMAP_THRESHOLD_MAX is 32 MiB), less a page for
# what malloc adds to it.
_LARGEST = 2**25 - 4096


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep what tensors on the CPU free; once per process.

    glibc gives freed memory back to the system as soon as there is more of it than twice the
    largest block that it has seen freed, and the system clears every page that it hands out again:
    that cost more than a solver's own arithmetic, and 4 % of a training step. One large block,
    never written, is taken and freed for it to have seen (mallopt(3), M_MMAP_THRESHOLD).
    """
    torch.empty(_LARGEST, dtype=torch.uint8)


def memory_limit() -> float:
    """Return how many bytes of memory this process can have at most; infinite if nobody says."""
    try:
        import resource

        allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError, AttributeError):  # on Windows
        return float("inf")
    return min(there, allowed if allowed > 0 else there)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the CPU's memory could not be had: torch has no type for that."""
    return isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)
