"""Drawing field lines: over the density, one colour per point of the data."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from zoo.interfaces import FieldKernel
from zoo.plotting.lines import FieldLines, density, last_time, trace
from zoo.plotting.style import INK, MIST, PALETTE, tidy

# The picture shows this many times the width of the data.
WINDOW = 2.5
_PIXELS = 220


def draw_field_lines(
    axes: Axes, kernel: FieldKernel, data: Tensor, *, title: str, progress: bool = False
) -> FieldLines:
    """Draw the field lines of the points `data`, (N, 1), over p_t(x); return what was drawn.

    The shade is p_t(x) over its largest value at that t, square-rooted so that tails show.
    Arguments and errors as for `trace`.
    """
    lines = trace(kernel, data, progress=progress)
    half = WINDOW * float(data.abs().max() or 1.0)
    _shade(axes, kernel, data, half)
    for i, point in enumerate(data[:, 0].tolist()):
        own = lines.x[:, lines.source == i].T
        colour = PALETTE[i % len(PALETTE)]
        axes.add_collection(
            LineCollection(list(_from_zero(lines.t, own, point).numpy()), colors=colour, lw=0.9)
        )
        _arrows(axes, lines.t, own, half, colour)
    axes.plot(torch.zeros(len(data)), data[:, 0], "o", color=INK, ms=5, clip_on=False, zorder=5)
    axes.set_xlim(0, float(lines.t[-1]))
    axes.set_ylim(-half, half)
    tidy(axes, title, "time $t$", "$x$ (data units)")
    return lines


def _from_zero(t: Tensor, x: Tensor, point: float) -> Tensor:
    """Return the lines x, (L, S), as curves (L, S + 1, 2) that start at their point at t = 0."""
    times = torch.cat([t.new_zeros(1), t]).expand(len(x), -1)
    places = torch.cat([x.new_full((len(x), 1), point), x], dim=1)
    return torch.stack([times, places], dim=2)


def _arrows(axes: Axes, t: Tensor, x: Tensor, half: float, colour: str) -> None:
    """Put an arrow head on each line x, (L, S), at a third of the picture's times."""
    at = int(torch.searchsorted(t, t[-1] / 3))
    for line in x[x[:, at].abs() < 0.95 * half]:
        axes.annotate(
            "",
            xy=(float(t[at]), float(line[at])),
            xytext=(float(t[at - 1]), float(line[at - 1])),
            arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 0, "mutation_scale": 8},
        )


def _shade(axes: Axes, kernel: FieldKernel, data: Tensor, half: float) -> None:
    end = last_time(kernel, data)
    edges = torch.linspace(0, end, _PIXELS + 1, dtype=torch.float64)
    t = ((edges[1:] + edges[:-1]) / 2).clamp(min=kernel.t_min)
    x = torch.linspace(-half, half, _PIXELS, dtype=torch.float64)
    p = density(kernel, data, t, x)
    axes.imshow(
        (p / p.amax(dim=1, keepdim=True)).sqrt().T.numpy(),
        cmap=MIST,
        vmin=0,
        vmax=1,
        origin="lower",
        extent=(0, end, -half, half),
        aspect="auto",
        interpolation="bilinear",
    )
