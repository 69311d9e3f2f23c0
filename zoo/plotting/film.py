"""Walks of images: strips of x_t and of E[x_0 | x_t] along the steps, and how large x_t is."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor

from zoo.folder.picture import grid
from zoo.interfaces import FieldKernel
from zoo.plotting.style import INK, PALETTE, QUIET, tidy
from zoo.plotting.walks import Walk

# States shown of each sample; the sample itself follows.
COLUMNS = 9
# Images as wide as this are made smaller in the strips, and blurred for it; others stay pixels.
_LARGE = 64


def chosen(count: int, columns: int = COLUMNS) -> Tensor:
    """Return which of `count` states are shown: at most `columns`, evenly, both ends among them."""
    return torch.linspace(0, count - 1, min(columns, count)).round().long()


def film(walked: Walk, denoised: Tensor | None, columns: int = COLUMNS) -> Tensor:
    """Return the tiles of the strips, (rows, columns + 1, C, H, W) in [-1, 1].

    Sample i has row 2 i, its states x_t, and row 2 i + 1, E[x_0 | x_t]; one row where there is no
    `denoised`, (S, n, C, H, W). States with a root mean square above that of the sample are
    scaled down to it, so that noise shows as noise. The last column is the sample.
    """
    at = chosen(len(walked.t), columns)
    ends = walked.samples.double()
    size = walked.rms[at] / ends.flatten(1).square().mean(dim=1).sqrt().clamp(min=1e-3)
    states = walked.x[at] / size.clamp(min=1)[:, :, None, None, None]
    strips = [states] if denoised is None else [states, denoised[at]]
    tiles = torch.stack([torch.cat([strip, ends[None]]) for strip in strips], dim=2)
    return tiles.transpose(0, 1).transpose(1, 2).flatten(0, 1).float().clamp(-1, 1)


def sample_colour(i: int) -> str:
    """Return the colour of sample i: of its rows' labels, and of its line below."""
    return PALETTE[i % len(PALETTE)]


def draw_film(axes: Axes, walked: Walk, denoised: Tensor | None, title: str) -> None:
    """Draw the strips of a walk of images; arguments as for `film`."""
    tiles = film(walked, denoised)
    rows, columns = tiles.shape[:2]
    axes.imshow(
        grid(tiles.flatten(0, 1), columns=columns),
        extent=(0, columns, rows, 0),
        interpolation="nearest" if tiles.shape[4] < _LARGE else "antialiased",
        aspect=tiles.shape[3] / tiles.shape[4],
    )
    times = [f"{t:.2g}" for t in walked.t[chosen(len(walked.t))].tolist()]
    axes.set_xticks([i + 0.5 for i in range(columns)], [*times, "sample"])
    kinds = ["$x_t$"] if denoised is None else ["$x_t$", r"$E[x_0 \mid x_t]$"]
    axes.set_yticks([i + 0.5 for i in range(rows)], kinds * (rows // len(kinds)))
    tidy(axes, title, "", "")
    axes.set_xlabel("time $t$", fontsize=9, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, label in enumerate(axes.get_yticklabels()):
        label.set_color(sample_colour(row // len(kinds)))


def draw_size(axes: Axes, walked: Walk, kernel: FieldKernel) -> None:
    """Draw the root mean square of each sample's x_t over t; dotted, the kernel's typical one."""
    t = walked.t
    alpha, sigma = kernel.marginal(t)
    data = walked.samples.double().square().mean().sqrt()
    typical = ((alpha * data).square() + sigma.square()).sqrt()
    axes.plot(t, typical, color=QUIET, lw=1.2, ls=":", label="typical of the kernel")
    for i, one in enumerate(walked.rms.T):
        axes.plot(t, one, color=sample_colour(i), lw=1.2)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if len(t) > 1:
        axes.set_xlim(float(t.max()), float(t.min()))
    tidy(axes, "", "time $t$", r"$|x_t| / \sqrt{d}$ (data units)")
