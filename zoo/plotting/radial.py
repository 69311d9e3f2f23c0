"""Radial densities: how far noise carries a point, for several kernels at equal median radius.

    density of ln r = r d_r psi_t(r),   r = |x_t - x_0|

Isotropic kernels give it themselves; of any other, draws around x_0 = 0 are smoothed, each to a
bell of ln r with Silverman's width. Kernels differ in scale (r ~ t sqrt d for gravity, r ~ t for
tanh), so times are matched and radii divided by their median. Source: kexue.fm/archives/9370,
section "reverse construction".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces import FieldKernel, IsotropicKernel
from zoo.plotting.style import QUIET, colours, tidy

# The first kernel is shown at this noise level, the others at its median radius.
LEVEL = 1.0
DRAWS = 20_000
# The picture shows densities from FLOOR up, and radii as far as 300 medians either way.
WINDOW, FLOOR = 300.0, 2e-3
# Quantiles from 1e-6 to 1 - 1e-6.
_LOGIT, _NODES = 13.8, 401
_CHUNK_NUMBERS, _MOST_NUMBERS = 2**20, 2**24


@dataclass(frozen=True)
class RadialLaw:
    """The law of the radius at one time.

    Attributes:
        t: the time.
        median: of the radius, in data units.
        radius: radii over the median, (K,), increasing.
        density: of ln r there, (K,).
        drawn: it is an estimate from draws, not computed.
    """

    t: float
    median: float
    radius: Tensor
    density: Tensor
    drawn: bool


def radial_laws(kernels: Mapping[str, FieldKernel]) -> dict[str, RadialLaw]:
    """Return the laws of the radius of kernels by name, at times of equal median radius.

    The first one's time is that of noise level 1; for a kernel that is not isotropic, the time of
    equal noise level stands in (`FieldKernel.match_time`).

    Raises:
        ZooError: no kernels, or kernels of different dim.
    """
    dims = sorted({kernel.dim for kernel in kernels.values()})
    if len(dims) != 1:
        raise ZooError(f"kernels of dim {dims}; expected at least one, all of the same dim")
    first = next(iter(kernels.values()))
    t = first.time_at(LEVEL)
    times = {n: t if k is first else k.match_time(first, t) for n, k in kernels.items()}
    return {name: radial_law(kernel, float(times[name])) for name, kernel in kernels.items()}


def radial_law(kernel: FieldKernel, t: float) -> RadialLaw:
    """Return the law of the radius at t; raise ZooError where t is not a time of the kernel."""
    kernel.check_time(t)
    with torch.no_grad():
        return _computed(kernel, t) if isinstance(kernel, IsotropicKernel) else _drawn(kernel, t)


def _computed(kernel: IsotropicKernel, t: float) -> RadialLaw:
    median = float(kernel.radial_icdf(torch.tensor(0.5, dtype=torch.float64), t))
    # Nodes at quantiles follow a peak however narrow, nodes even in ln r the tails around it.
    even = torch.linspace(-1, 1, _NODES, dtype=torch.float64)
    q, far = (_LOGIT * even).sigmoid(), math.log(WINDOW) * even
    r = torch.cat([kernel.radial_icdf(q, t) / median, far.exp()]).sort().values
    density = (kernel.radius_log_density(r * median, t) + (r * median).log()).exp()
    return RadialLaw(t, median, r, density, drawn=False)


def _drawn(kernel: FieldKernel, t: float) -> RadialLaw:
    generator, size = torch.Generator().manual_seed(0), max(1, _CHUNK_NUMBERS // kernel.dim)
    draws = max(2000, min(DRAWS, _MOST_NUMBERS // kernel.dim))
    counts = [min(size, draws - first) for first in range(0, draws, size)]
    zeros = (torch.zeros(count, kernel.dim, dtype=torch.float64) for count in counts)
    r = torch.cat([kernel.sample(zero, t, generator).norm(dim=1) for zero in zeros])
    median = float(r.quantile(0.5))
    log_r = (r / median).log()
    quarters = log_r.quantile(torch.tensor([0.25, 0.75], dtype=torch.float64))
    # Silverman, Density Estimation (1986), eq. 3.31.
    spread = torch.minimum(log_r.std(), quarters.diff() / 1.34)
    width = float(0.9 * spread * draws**-0.2)
    at = torch.linspace(
        float(log_r.min()) - 3 * width, float(log_r.max()) + 3 * width, _NODES, dtype=torch.float64
    )
    bells = torch.stack([(-((log_r - u) / width).square() / 2).exp().mean() for u in at])
    return RadialLaw(t, median, at.exp(), bells / (width * math.sqrt(2 * math.pi)), drawn=True)


def draw_radial_densities(axes: Axes, kernels: Mapping[str, FieldKernel]) -> dict[str, RadialLaw]:
    """Draw the radial densities of kernels by name, all of one dim; return what was drawn.

    Raises:
        ZooError: no kernels, or kernels of different dim.
    """
    laws = radial_laws(kernels)
    palette, dim = colours([*laws]), next(iter(kernels.values())).dim
    for i, (name, law) in enumerate(laws.items()):
        # The later the thinner: where two coincide, both can be seen.
        width, shown = max(1.0, 3.6 * 0.67**i), law.density > FLOOR / 10
        label = f"{name}, $t$ = {law.t:.3g}"
        axes.plot(law.radius[shown], law.density[shown], color=palette[name], lw=width, label=label)
    axes.axvline(1, color=QUIET, lw=0.8, ls=":", zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    # Densities above the floor lie within this factor of the median.
    far = (law.radius[law.density > FLOOR].log().abs().max().exp() for law in laws.values())
    reach = max(2.0, *(min(WINDOW, 1.1 * float(factor)) for factor in far))
    axes.set_xlim(1 / reach, reach)
    axes.xaxis.set_major_formatter(lambda r, _: f"{r:g}")
    # Between powers of ten, 2 and 5 of each decade get a label.
    minor = "25" if reach < 30 else ""
    axes.xaxis.set_minor_formatter(lambda r, _: f"{r:g}" if f"{r:.0e}"[0] in minor else "")
    # Room for the legend above the curves.
    room = 10 ** (0.3 * len(laws) + 0.2)
    axes.set_ylim(FLOOR, room * max(float(law.density.max()) for law in laws.values()))
    axes.legend(loc="upper right", frameon=False, fontsize=8, handlelength=1.5)
    title = f"how far noise carries a point, $d$ = {dim:,}"
    tidy(axes, title, "radius $r$ / median of $r$", r"density of $\ln r$")
    return laws
