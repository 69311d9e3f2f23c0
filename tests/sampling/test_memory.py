"""Freed memory stays in the process: what is taken again need not be cleared by the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, torch
from zoo.numerics.memory import keep_freed_memory

class Info(ctypes.Structure):  # struct mallinfo2, mallinfo(3)
    _fields_ = [(n, ctypes.c_size_t) for n in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd",
        "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

ask = ctypes.CDLL(None).mallinfo2
ask.restype = Info
held, mapped = [], []
for _ in range(2):
    before = ask().hblks
    held.append(torch.empty(20_000_000, dtype=torch.uint8))
    mapped.append(ask().hblks - before)
    keep_freed_memory()
print(*mapped)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_blocks_are_no_longer_mapped_and_unmapped_one_by_one():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    if "undefined symbol: mallinfo2" in done.stderr:
        pytest.skip("glibc before 2.33")
    assert done.stdout.split() == ["1", "0"], done.stderr
