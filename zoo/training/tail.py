"""D = "auto": as many extra dimensions as the tail of the data asks for.

A Student kernel of D degrees of freedom has the tail index D, and so has its prior; where that is
the tail index of the data the flow need not make a tail of another weight. Index and data: those of
the lengths |z| of what the network sees.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from zoo.config.part import Part
from zoo.data import Images
from zoo.data.size import standardise
from zoo.numerics import tail_index

AUTO = "auto"
# Of light tails: of the best published numbers of PFGM++ (arXiv:2302.04265, table 1).
_MOST, _LEAST = 128.0, 1.0
_CHUNK = 2**22


def degrees_for(data: Images) -> float:
    """Return D in [1, 128] for data: `tail_index` of their lengths, to two digits."""
    rows = max(1, _CHUNK // data.images[0].numel())
    parts = torch.arange(len(data)).split(rows)  # type: ignore[no-untyped-call]
    lengths = torch.cat([data.batch(i).double().flatten(1).norm(dim=1) for i in parts])
    return min(max(float(f"{tail_index(lengths):.2g}"), _LEAST), _MOST)


def chosen(kernel: Part, data: Images, *, standardised: bool) -> Part:
    """Return the kernel with the number that its option D = "auto" stands for."""
    if kernel.options.get("D") != AUTO:
        return kernel
    if standardised and data.standardise is None:
        data = replace(data, standardise=standardise(data, 1.0))
    return Part(kernel.use, {**kernel.options, "D": degrees_for(data)})
