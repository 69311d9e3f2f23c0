"""D = "auto": as many extra dimensions as the tail of the data asks for.

A Student kernel of D degrees of freedom has the tail index D, and so has its prior; where that is
the tail index of the data the flow need not make a tail of another weight. Index and data: those of
the lengths |z| of what the network sees.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.config.part import Part
from zoo.data import Images
from zoo.data.size import standardise
from zoo.numerics import tail_index

AUTO = "auto"
# Of light tails: of the best published numbers of PFGM++ (arXiv:2302.04265, table 1).
_MOST, _LEAST = 128.0, 1.0
_CHUNK = 2**22
_LEAST_READ = 64


def degrees_for(data: Images) -> float:
    """Return D in [1, 128] for data: `tail_index` of their lengths, to two digits.

    Lengths are those about 0, and about the medians of data that nothing standardises: a mean far
    off would hide the tail.
    """
    centre = torch.zeros(()) if data.standardise is not None else _medians(data)
    rows = max(1, _CHUNK // data.images[0].numel())
    parts = torch.arange(len(data)).split(rows)  # type: ignore[no-untyped-call]
    lengths = torch.cat([(data.batch(i) - centre).double().flatten(1).norm(dim=1) for i in parts])
    return min(max(float(f"{tail_index(lengths):.2g}"), _LEAST), _MOST)


def _medians(data: Images) -> Tensor:
    """Return the median of each number of a sample, (*shape), of samples evenly spread."""
    count = min(len(data), max(_LEAST_READ, _CHUNK // data.images[0].numel()))
    return data.batch(torch.arange(count) * len(data) // count).median(dim=0).values


def chosen(kernel: Part, data: Images, *, standardised: bool) -> Part:
    """Return the kernel with the number that its option D = "auto" stands for."""
    if kernel.options.get("D") != AUTO:
        return kernel
    if standardised and data.standardise is None:
        data = replace(data, standardise=standardise(data, 1.0))
    return Part(kernel.use, {**kernel.options, "D": degrees_for(data)})
