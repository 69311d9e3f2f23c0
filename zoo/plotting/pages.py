"""Whole pictures: of one kernel, of several side by side, and of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo.data import load
from zoo.data.toy import TOYS
from zoo.errors import ZooError, did_you_mean
from zoo.folder.picture import drawable
from zoo.interfaces import FieldKernel
from zoo.models.exact import exact
from zoo.models.model import FieldModel
from zoo.plotting.film import denoise_along, draw_film, draw_size, draw_trajectories
from zoo.plotting.lines import draw_field_lines
from zoo.plotting.radial import draw_radial_densities
from zoo.plotting.style import PALETTE, new_figure

# dim -> the kernel at that dim.
Build = Callable[[int], FieldKernel]

_KERNEL_STEPS = 64
MOST_KERNELS, MOST_IMAGES, MOST_POINTS = len(PALETTE), 16, 2000
_THREE = "three-points"
# Of a toy law: enough to see it, few enough for an exact field that is quick.
_COUNT = 200


def line_points() -> Tensor:
    """Return the sources of the (t, x) pictures: three points of the line, (3, 1), float64."""
    return torch.tensor([[-1.0], [0.4], [1.0]], dtype=torch.float64)


def plane_points(name: str) -> Tensor:
    """Return points of the plane, (N, 2), float64: a triangle, or 200 of a toy law.

    Raises:
        ZooError: no data set of that name.
    """
    if name == _THREE:
        angle = math.pi * (0.5 + torch.arange(3, dtype=torch.float64) * 2 / 3)
        return torch.stack([angle.cos(), angle.sin()], dim=1)
    if name not in TOYS:
        raise ZooError(f"no data set {name!r} to plot; {did_you_mean(name, (_THREE, *TOYS))}")
    return load(f"toy:{name}").images[:_COUNT].double()


def field_lines(
    kernel: FieldKernel, data: Tensor | None = None, *, name: str = "", progress: bool = False
) -> Figure:
    """Return the picture of a kernel's field lines in the half-plane (t, x), over p_t(x).

    Lines come from the points `data`, (N, 1), by default three; `name` is for the title.

    Raises:
        ZooError: kernel or data are not of dimension 1.
    """
    figure = new_figure(5.2, 3.9)
    points = line_points() if data is None else data
    draw_field_lines(figure.add_subplot(), kernel, points, title=_lines_of(name), progress=progress)
    return figure


def radial_densities(kernels: Mapping[str, FieldKernel]) -> Figure:
    """Return the picture of the radial densities of kernels by name, at equal median radius.

    Raises:
        ZooError: no kernels, more than eight, or kernels of different dim.
    """
    _check_kernels(len(kernels))
    figure = new_figure(5.2, 3.9)
    draw_radial_densities(figure.add_subplot(), kernels)
    return figure


def kernel_page(
    builds: Mapping[str, Build],
    data: Tensor,
    *,
    dim: int = 784,
    n: int = 24,
    seed: int = 0,
    steps: int = _KERNEL_STEPS,
    progress: bool = False,
) -> Figure:
    """Return the picture of a kernel: field lines, radial densities, trajectories in the plane.

    Field lines are those of three points of the line, trajectories those of the exact field of
    `data` from the kernel's prior; there is no network anywhere.

    Args:
        builds: the kernel by name as a function of dim, then those that its radius is compared
            with.
        data: points of the plane, (N, 2).
        dim: of the radial densities.
        n: number of trajectories; trajectory i depends on (seed, i) alone.
        seed: of the trajectories.
        steps: of the trajectories' solver, Heun's.
        progress: show progress bars, where there is a terminal.

    Raises:
        ZooError: data that are not points of the plane, n or steps below 1, a kernel that cannot
            be built at dim 1, 2 or `dim`.
    """
    if data.ndim != 2 or data.shape[1] != 2:
        raise ZooError(f"data has shape {tuple(data.shape)}; expected points of the plane, (N, 2)")
    _check_count(n, MOST_POINTS)
    name, build = next(iter(builds.items()))
    model = exact(build(2), data.double())
    drawn = model.trajectory(n, steps=steps, seed=seed, progress=progress)
    figure = new_figure(12.4, 3.9)
    lines, radial, plane = figure.subplots(1, 3, width_ratios=(1.15, 1.0, 1.12))
    draw_field_lines(lines, build(1), line_points(), title=_lines_of(name), progress=progress)
    draw_radial_densities(radial, {key: each(dim) for key, each in builds.items()})
    draw_trajectories(plane, drawn, "exact ODE from the prior to data", data)
    return figure


def comparison(builds: Mapping[str, Build], *, dim: int = 784, progress: bool = False) -> Figure:
    """Return the picture of several kernels: radial densities at equal median radius, field lines.

    `builds` are at most eight kernels by name as functions of dim, `dim` that of the densities.

    Raises:
        ZooError: no or too many kernels, or one that cannot be built at dim 1 or `dim`.
    """
    _check_kernels(len(builds))
    rows = min(2, 1 + len(builds) // 3)
    columns = -(-len(builds) // rows)
    figure = new_figure(4.4 + 2.7 * columns, 3.9 if rows == 1 else 5.2)
    ratios = (4.4, 2.7 * columns)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=ratios)[0]
    draw_radial_densities(left.subplots(), {name: build(dim) for name, build in builds.items()})
    axes = right.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for place, (name, build) in zip(axes, builds.items(), strict=False):
        draw_field_lines(place, build(1), line_points(), title=name, progress=progress)
        place.set_ylabel(place.get_ylabel() if place in axes[::columns] else "")
    for place in axes[len(builds) :]:
        place.set_visible(False)
    return figure


def trajectories(
    model: FieldModel,
    n: int | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    name: str = "",
    progress: bool = False,
) -> Figure:
    """Return the picture of a model: what happens to n samples from the prior to data.

    Images are shown as strips, x_t above E[x_0 | x_t], over the size of x_t; points of the plane
    as curves coloured by t.

    By default 4 images or 64 points, with the model's own steps; sample i depends on (seed, i)
    alone, and is that of `FieldModel.sample`. `name` is for the title.

    Raises:
        ZooError: data of another shape, too many samples for one picture, n or steps below 1.
    """
    if not drawable(model.shape):
        raise ZooError(
            f"samples of shape {model.shape} have no picture; zoo plot draws images of 1 or 3 "
            "channels and points of the plane"
        )
    images = len(model.shape) == 3
    usual, most = (4, MOST_IMAGES) if images else (64, MOST_POINTS)
    n = usual if n is None else n
    _check_count(n, most)
    drawn = model.trajectory(n, steps=steps, seed=seed, progress=progress)
    title = f"{name}: from the prior to data, seed {seed}".removeprefix(": ")
    if not images:
        figure = new_figure(5.6, 4.6)
        draw_trajectories(figure.add_subplot(), drawn, title)
        return figure
    has_denoiser = model.kernel.affine and model.distilled is None
    denoised = denoise_along(model, drawn) if has_denoiser else None
    rows = n if denoised is None else 2 * n
    figure = new_figure(8.0, 0.6 + 0.66 * rows + 2.0)
    strips, size = figure.subplots(2, 1, height_ratios=(0.6 + 0.66 * rows, 2.0))
    draw_film(strips, drawn, denoised, title)
    draw_size(size, drawn, model)
    return figure


def _lines_of(name: str) -> str:
    return f"{name}: field lines of $u = (p, f p)$ over $p_t(x)$".removeprefix(": ")


def _check_kernels(count: int) -> None:
    if not 1 <= count <= MOST_KERNELS:
        raise ZooError(f"{count} kernels; one picture shows 1 to {MOST_KERNELS}")


def _check_count(n: int, most: int) -> None:
    if n > most:
        raise ZooError(f"n = {n}; one picture shows at most {most}")
