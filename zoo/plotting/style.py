"""One style for all pictures: colours that the colour-blind can distinguish, light axes.

Figures are matplotlib.figure.Figure, never pyplot's: no global state, no window.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# Okabe and Ito's palette without yellow, which vanishes on white; black last.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#222222")
INK, QUIET, FAINT = "#222222", "#6b6b6b", "#b8b8b8"
# White to a warm grey: strong enough to see, weak enough to draw on.
MIST = LinearSegmentedColormap.from_list("mist", ["#ffffff", "#f3f1ed", "#e3dfd7", "#d2ccc1"])
# For times, noise dark and data bright: viridis without its yellow end.
TIMES = LinearSegmentedColormap.from_list("times", ["#56b87a", "#21908d", "#31688e", "#440154"])
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, 150 dots each."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def tidy(axes: Axes, title: str, x: str, y: str) -> None:
    """Give axes their title and labels; leave them two spines and small grey ticks."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(which="both", labelsize=8, colors=QUIET, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each of up to eight names, in their order."""
    return dict(zip(names, PALETTE, strict=False))
