"""Drawing trajectories: strips of images over the size of x_t, and curves in the plane."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from torch import Tensor

from zoo.folder.picture import grid
from zoo.models.model import FieldModel
from zoo.models.trajectory import Trajectory
from zoo.plotting.style import FAINT, INK, PALETTE, QUIET, TIMES, tidy

# States shown of each sample; the sample itself follows.
COLUMNS = 9
# Images as wide as this are made smaller in the strips, and blurred for it; others stay pixels.
_LARGE = 64
# The picture of the plane shows this many times the width of where the trajectories end.
WINDOW = 1.9
# Its colours span this factor, down from the latest time in the picture.
_DECADES = 100.0


def chosen(count: int, columns: int = COLUMNS) -> Tensor:
    """Return which of `count` states are shown: at most `columns`, evenly, both ends among them."""
    return torch.linspace(0, count - 1, min(columns, count)).round().long()


def film(drawn: Trajectory, denoised: Tensor | None, columns: int = COLUMNS) -> Tensor:
    """Return the tiles of the strips, (rows, columns + 1, C, H, W) in [-1, 1].

    Sample i has row 2 i, its states x_t, and row 2 i + 1, E[x_0 | x_t]; one row where there is no
    `denoised`, (S - 1, n, C, H, W). States with a root mean square above that of the sample are
    scaled down to it, so that noise shows as noise. The last column is the sample.
    """
    at = chosen(len(drawn.t) - 1, columns)
    ends = drawn.samples.double()
    size = drawn.rms[at] / ends.flatten(1).square().mean(dim=1).sqrt().clamp(min=1e-3)
    states = drawn.x[at] / size.clamp(min=1)[:, :, None, None, None]
    strips = [states] if denoised is None else [states, denoised[at]]
    tiles = torch.stack([torch.cat([strip, ends[None]]) for strip in strips], dim=2)
    return tiles.transpose(0, 1).transpose(1, 2).flatten(0, 1).float().clamp(-1, 1)


@torch.inference_mode()
def denoise_along(model: FieldModel, drawn: Trajectory) -> Tensor:
    """Return E[x_0 | x_t] at every state of a trajectory but the last, shape (S - 1, n, *shape).

    Raises:
        ZooError: the kernel's velocity is not affine in x_0.
    """
    pairs = zip(drawn.x[:-1].to(model.device), drawn.t[:-1].tolist(), strict=True)
    return torch.stack([model.denoise(x, t) for x, t in pairs]).cpu()


def draw_film(axes: Axes, drawn: Trajectory, denoised: Tensor | None, title: str) -> None:
    """Draw the strips of a trajectory of images; arguments as for `film`."""
    tiles = film(drawn, denoised)
    rows, columns = tiles.shape[:2]
    axes.imshow(
        grid(tiles.flatten(0, 1), columns=columns),
        extent=(0, columns, rows, 0),
        interpolation="nearest" if tiles.shape[4] < _LARGE else "antialiased",
        aspect=tiles.shape[3] / tiles.shape[4],
    )
    times = [f"{t:.2g}" for t in drawn.t[chosen(len(drawn.t) - 1)].tolist()]
    axes.set_xticks([i + 0.5 for i in range(columns)], [*times, "sample"])
    kinds = ["$x_t$"] if denoised is None else ["$x_t$", r"$E[x_0 \mid x_t]$"]
    axes.set_yticks([i + 0.5 for i in range(rows)], kinds * (rows // len(kinds)))
    tidy(axes, title, "", "")
    axes.set_xlabel("time $t$", fontsize=9, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, label in enumerate(axes.get_yticklabels()):
        label.set_color(PALETTE[row // len(kinds) % len(PALETTE)])


def draw_size(axes: Axes, drawn: Trajectory, model: FieldModel) -> None:
    """Draw the root mean square of each sample's x_t over t; dotted, the kernel's typical one.

    Of a model with `standardise` in the coordinates of its kernel.
    """
    t, states, unit = drawn.t[:-1], drawn.x, "data units"
    if model.standardise is not None:
        states = torch.stack([model.standardise.apply(x) for x in states])
        unit = "standardised"
    rms = states.flatten(2).square().mean(dim=2).sqrt()
    alpha, sigma = model.kernel.marginal(t)
    data = rms[-1].square().mean().sqrt()
    typical = ((alpha * data).square() + sigma.square()).sqrt()
    axes.plot(t, typical, color=QUIET, lw=1.2, ls=":", label="typical of the kernel")
    for i, one in enumerate(rms[:-1].T):
        axes.plot(t, one, color=PALETTE[i % len(PALETTE)], lw=1.2)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if len(t) > 1:
        axes.set_xlim(float(t.max()), float(t.min()))
    tidy(axes, "", "time $t$", rf"$|x_t| / \sqrt{{d}}$ ({unit})")


def draw_trajectories(
    axes: Axes, drawn: Trajectory, title: str, data: Tensor | None = None
) -> None:
    """Draw a trajectory of a model with shape (2,), coloured by t; the dots are its samples.

    The figure gets a bar of the times. Points of the data set, (N, 2), are drawn faintly behind.
    """
    ends = drawn.samples.double()
    paths, t = drawn.x.transpose(0, 1), drawn.t[:-1]
    segments = torch.stack([paths[:, :-1], paths[:, 1:]], dim=2)
    shown = ends if data is None else data
    middle = (shown.amax(dim=0) + shown.amin(dim=0)) / 2
    half = WINDOW * float((shown - middle).abs().max() or 1.0)
    if data is not None:
        axes.plot(data[:, 0], data[:, 1], ".", color=FAINT, ms=3.2, mew=0, zorder=0)
    inside = ((drawn.x[:-1] - middle).abs() <= half).all(dim=2).any(dim=1)
    latest = float(t[inside].max()) if bool(inside.any()) else float(t.max())
    lines = LineCollection(
        list(segments.flatten(0, 1).numpy()),
        array=t.expand(len(paths), -1).flatten().numpy(),
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
