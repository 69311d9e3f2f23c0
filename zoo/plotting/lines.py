"""Field lines in the half-plane (t, x): how a few points of the line spread into noise.

    u = (p, f p),   div_(t,x) u = 0,   dx/dt = f_t(x) = u_{>1} / u_1

The field is the exact one of the points. Lines leave each point at equal quantiles of
p_t(x_t | x_0), so that the same probability 1/L flows between neighbours: where lines are dense,
the field is strong. For gravity that means equal angles. Source: kexue.fm/archives/9370,
sections "Green's function" and "universal gravitation".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from zoo.errors import ZooError
from zoo.host.build import solver
from zoo.interfaces import FieldKernel, over
from zoo.models.exact import exact
from zoo.models.exact.network import SourceSum
from zoo.plotting.style import INK, MIST, PALETTE, tidy
from zoo.sampling.progress import bar

# The picture ends where noise is this many times as wide as the data, or at t_max.
REACH = 2.0
STEPS = 96
_NODES, _FAR = 4001, 16.0
# It shows this many times the width of the data.
WINDOW = 2.5
_PIXELS = 220


@dataclass(frozen=True)
class FieldLines:
    """Field lines of a data set on the line.

    Attributes:
        t: times (S,), increasing from kernel.t_min.
        x: positions (S, L), where each of the L lines is at each time.
        source: (L,), number of the point that each line comes from.
    """

    t: Tensor
    x: Tensor
    source: Tensor


def trace(
    kernel: FieldKernel,
    data: Tensor,
    *,
    per_point: int = 8,
    steps: int = STEPS,
    progress: bool = False,
) -> FieldLines:
    """Return the field lines of the points `data`, (N, 1), under a kernel of dim 1.

    They start at t_min and go, by Runge and Kutta's method in log t, to the time where noise is
    REACH times as wide as the data. `per_point` lines of equal flux leave each point. An even
    number leaves out the one that starts at the point itself, where the density of some kernels
    vanishes. `steps` are the solver's.

    Raises:
        ZooError: kernel or data are not of dimension 1; per_point or steps below 1.
    """
    if kernel.dim != 1 or data.ndim != 2 or data.shape[1] != 1:
        raise ZooError(
            f"field lines in the (t, x) plane need data (N, 1) and a kernel of dim 1, not "
            f"{tuple(data.shape)} and {kernel.dim}"
        )
    if per_point < 1 or steps < 1:
        raise ZooError(f"per_point = {per_point}, steps = {steps}; expected at least 1 of each")
    data = data.double()
    model = exact(kernel, data, solver=solver("rk4", grid="log-time"))
    start = torch.cat([_quantiles(kernel, point, per_point) for point in data])
    times, states = [kernel.t_min], [start]
    with bar(total=steps, desc="field lines", leave=False, shown=progress) as shown:

        def after(_i: int, t: float, x: Tensor) -> None:
            times.append(t)
            states.append(x)
            shown.update()

        with torch.no_grad():
            end = last_time(kernel, data)
            model.solver.integrate(
                model.flow(), start, kernel.t_min, end, steps=steps, callback=after
            )
    return FieldLines(
        t=torch.tensor(times, dtype=torch.float64),
        x=torch.stack(states).squeeze(2),
        source=torch.arange(len(data)).repeat_interleave(per_point),
    )


def last_time(kernel: FieldKernel, data: Tensor) -> float:
    """Return the time where noise is REACH times as wide as the data, at most t_max."""
    width = REACH * float((data - data.mean(dim=0)).abs().max() or 1.0)
    _, sigma = kernel.marginal(kernel.t_max)
    return kernel.t_max if float(sigma) <= width else float(kernel.time_at(width))


def density(
    kernel: FieldKernel, data: Tensor, t: Tensor, x: Tensor, *, chunk: int = 4096
) -> Tensor:
    """Return p_t(x) of the points `data`, (N, 1), on the grid t (S,) times x (X,): (S, X)."""
    network = exact(kernel, data.double()).network
    assert isinstance(network, SourceSum)
    at, where = (g.reshape(-1) for g in torch.meshgrid(t.double(), x.double(), indexing="ij"))
    with torch.no_grad():
        parts = [
            network.log_density(where[i : i + chunk, None], at[i : i + chunk])
            for i in range(0, len(at), chunk)
        ]
    return torch.cat(parts).exp().reshape(len(t), len(x))


def _quantiles(kernel: FieldKernel, point: Tensor, count: int) -> Tensor:
    """Return the quantiles (k + 1/2) / count of p_{t_min}(x_t | point), shape (count, 1).

    The density is summed over nodes spaced like sinh, out to e^16 noise levels on either side.
    """
    t = kernel.t_min
    alpha, sigma = (float(v) for v in kernel.marginal(t))
    step = torch.linspace(-_FAR, _FAR, _NODES, dtype=torch.float64)
    x = alpha * point + sigma * step.sinh()[:, None] * math.exp(-2)
    mass = kernel.log_density(x, point.expand(_NODES, 1), t).exp() * step.cosh()
    total = mass.cumsum(0) - mass / 2
    q = (torch.arange(count, dtype=torch.float64) + 0.5) / count * mass.sum()
    right = torch.searchsorted(total, q).clamp(1, _NODES - 1)
    fraction = (q - total[right - 1]) / (total[right] - total[right - 1])
    return torch.lerp(x[right - 1], x[right], over(fraction, x[right]))


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
