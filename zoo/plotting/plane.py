"""Trajectories in the plane: from noise, dark, to data, bright."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from torch import Tensor

from zoo.plotting.style import FAINT, INK, TIMES, tidy
from zoo.plotting.walks import Walk

# The picture shows this many times the width of where the trajectories end.
WINDOW = 1.9
# Colours span this factor, down from the latest time in the picture.
_DECADES = 100.0


def draw_trajectories(axes: Axes, walked: Walk, title: str, data: Tensor | None = None) -> None:
    """Draw a walk in the plane, coloured by t; the dots are where it ends.

    Args:
        axes: to draw on; its figure gets a bar of the times.
        walked: of a model with shape (2,).
        title: of the axes.
        data: points of the data set, (N, 2), drawn faintly behind.
    """
    ends = walked.samples.double()
    # The last step goes from t_min to t = 0.
    paths = torch.cat([walked.x, ends[None]]).transpose(0, 1)
    segments = torch.stack([paths[:, :-1], paths[:, 1:]], dim=2)
    shown = ends if data is None else data
    middle = (shown.amax(dim=0) + shown.amin(dim=0)) / 2
    half = WINDOW * float((shown - middle).abs().max() or 1.0)
    if data is not None:
        axes.plot(data[:, 0], data[:, 1], ".", color=FAINT, ms=3.2, mew=0, zorder=0)
    inside = ((walked.x - middle).abs() <= half).all(dim=2).any(dim=1)
    latest = float(walked.t[inside].max()) if bool(inside.any()) else float(walked.t.max())
    lines = LineCollection(
        list(segments.flatten(0, 1).numpy()),
        array=walked.t.expand(len(paths), -1).flatten().numpy(),
        cmap=TIMES,
        norm=LogNorm(latest / _DECADES, latest, clip=True),
        lw=1.0,
    )
    axes.add_collection(lines)
    axes.plot(ends[:, 0], ends[:, 1], "o", color=INK, ms=3, mew=0, zorder=3)
    axes.set_xlim(float(middle[0]) - half, float(middle[0]) + half)
    axes.set_ylim(float(middle[1]) - half, float(middle[1]) + half)
    axes.set_aspect("equal")
    tidy(axes, title, "$x_1$ (data units)", "$x_2$ (data units)")
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(lines, ax=axes, pad=0.02, aspect=30, extend="both")
    bar.ax.tick_params(labelsize=8)
    bar.set_label("time $t$", fontsize=9)
    bar.outline.set_visible(False)
