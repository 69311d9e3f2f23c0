"""Pictures: field lines in the (t, x) half-plane, radial densities, trajectories of samples.

Functions return matplotlib.figure.Figure and touch no global state; `write_png` puts one on disk.

    import zoo
    from zoo.plotting import trajectories, write_png

    write_png(trajectories(zoo.load("gravity-fashion-mnist")), Path("trajectories.png"))

What is drawn can be had as numbers: `trace`, `density`, `radial_laws`, `FieldModel.trajectory`.
"""

from zoo.plotting.film import denoise_along, draw_trajectories
from zoo.plotting.lines import FieldLines, density, draw_field_lines, trace
from zoo.plotting.pages import (
    comparison,
    field_lines,
    kernel_page,
    line_points,
    plane_points,
    radial_densities,
    trajectories,
)
from zoo.plotting.radial import RadialLaw, draw_radial_densities, radial_law, radial_laws
from zoo.plotting.style import check_png, write_png

__all__ = [
    "FieldLines",
    "RadialLaw",
    "check_png",
    "comparison",
    "denoise_along",
    "density",
    "draw_field_lines",
    "draw_radial_densities",
    "draw_trajectories",
    "field_lines",
    "kernel_page",
    "line_points",
    "plane_points",
    "radial_densities",
    "radial_law",
    "radial_laws",
    "trace",
    "trajectories",
    "write_png",
]
