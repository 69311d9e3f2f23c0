"""A psi or phi that cannot be computed far out, as it is spelled, is refused."""

from __future__ import annotations

from textwrap import shorten
from typing import TypeVar

from zoo import ZooError
from zoo.interfaces import IsotropicKernel, far_fault

Kernel = TypeVar("Kernel", bound=IsotropicKernel)


def require_far_end(kernel: Kernel, name: str, law: object) -> Kernel:
    """Return the kernel of the law called `name`; raise ZooError if it is wrong far out."""
    if fault := far_fault(kernel):
        text = f" = {shorten(law, 80)!r}" if isinstance(law, str) else ""
        raise ZooError(
            f"{name}{text} cannot be computed far out: {fault}; write it so that no terms cancel "
            "there, log1p(1/x) for log(1 + x) - log(x), with the functions that formulas have"
        )
    return kernel
