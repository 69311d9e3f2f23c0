"""`zoo plot NAME|KERNEL ...`: field lines, radial densities, trajectories, into a PNG file."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import COUNT, PATH, STEPS, key_value, option
from zoo.cli.output import stem
from zoo.errors import ZooError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.interfaces import FieldKernel

_KIND = click.Choice(["kernel", "model"])
# What every picture of one kernel is compared with, where it is at hand.
_REFERENCE = "gaussian"
# Option -> what it goes with: one kernel, several kernels, a model.
_ONE, _SEVERAL, _MODEL = "one kernel", "several kernels", "a model"
_GOES_WITH = {
    "--dim": (_ONE, _SEVERAL),
    "--data": (_ONE,),
    "--set": (_ONE,),
    "-n": (_ONE, _MODEL),
    "--seed": (_ONE, _MODEL),
    "--steps": (_ONE, _MODEL),
    "--device": (_MODEL,),
}


@click.command()
@click.argument("names", metavar="NAME|KERNEL...", nargs=-1, required=True)
@option("-o", "--out", type=PATH, help="FILE.png [NAME.png, KERNEL-KERNEL.png].")
@option("--dim", type=COUNT, help="Kernels: dimension of the radial densities [784].")
@option("--set", "options", multiple=True, help="One kernel: KEY=VALUE, an option of it.")
@option("--data", help="One kernel: points of the plane, such as swiss-roll [two-moons].")
@option("-n", "count", type=COUNT, help="Trajectories [24; a model: 4 images, 64 points].")
@option("--seed", type=int, help="Trajectory i depends on it and i [0].")
@option("--steps", type=STEPS, help="Solver steps [64; a model: its default].")
@option("--device", help="A model: cpu, cuda, cuda:1, ... [cpu].")
@option("--as", "kind", type=_KIND, help="What a name of both stands for.")
def command(
    names: tuple[str, ...],
    out: Path | None,
    dim: int | None,
    options: tuple[str, ...],
    data: str | None,
    count: int | None,
    seed: int | None,
    steps: int | None,
    device: str | None,
    kind: str | None,
) -> None:
    """Draw a KERNEL, several kernels side by side, or what a model NAME does to its samples.

    A kernel: field lines of three points in the (t, x) plane, the density of its radius, and
    trajectories of the exact ODE onto a data set. Options that it needs are those of its example
    unless --set gives any; values are JSON or plain text.
    """
    models = [name for name in names if _is_model(name, kind)]
    if models and len(names) > 1:
        raise click.UsageError(f"{models[0]!r} is a model; several names have to be kernels")
    if double := next((name for name in names if names.count(name) > 1), None):
        raise click.UsageError(f"{double!r} is named twice")
    subject = _MODEL if models else _ONE if len(names) == 1 else _SEVERAL
    given = {
        **{"--dim": dim, "--data": data, "--set": options or None, "-n": count},
        **{"--seed": seed, "--steps": steps, "--device": device},
    }
    for flag, value in given.items():
        if value is not None and subject not in _GOES_WITH[flag]:
            raise click.UsageError(f"{flag} does not go with {subject}")
    # Not the name of a model's samples, by `zoo sample`.
    ending = "-plot.png" if models else ".png"
    target = out or Path("-".join(stem(name) for name in names) + ending)

    from zoo.plotting import check_png, comparison, write_png

    check_png(target)
    if subject is _MODEL:
        figure = _model(names[0], device or "cpu", n=count, seed=seed or 0, steps=steps)
    elif subject is _SEVERAL:
        kernels = {name: _builder(name) for name in names}
        figure = comparison(kernels, dim=dim or 784, progress=True)
    else:
        asked = {"n": count, "seed": seed, "steps": steps, "dim": dim}
        figure = _one(names[0], options, data, {k: v for k, v in asked.items() if v is not None})
    write_png(figure, target)
    click.echo(f"{target}: {', '.join(names)}")


def _model(name: str, device: str, **asked: Any) -> Figure:
    from zoo.models.load import load
    from zoo.models.parts import refuse_images
    from zoo.plotting import trajectories
    from zoo.sampling.distributed import parse_device

    model = load(name, device=parse_device(device))
    refuse_images(
        model, "a walk", "in Python: zoo.plotting.trajectories(model.latents) draws that of latents"
    )
    return trajectories(model, name=name, progress=True, **asked)


def _one(name: str, options: tuple[str, ...], data: str | None, asked: dict[str, int]) -> Figure:
    from zoo.host.registry import components
    from zoo.plotting import kernel_page, plane_points

    builders = {name: _builder(name, dict(map(key_value, options)))}
    if _REFERENCE in components("kernels"):
        builders.setdefault(_REFERENCE, _builder(_REFERENCE))
    return kernel_page(builders, plane_points(data or "two-moons"), progress=True, **asked)


def _builder(name: str, options: dict[str, Any] | None = None) -> Callable[[int], FieldKernel]:
    """Return the kernel as a function of dim, with `options`, or else those of its example."""
    from zoo.host.build import kernel
    from zoo.host.registry import find

    chosen = options or dict(find("kernels", name).component.example)
    return lambda dim: kernel(name, dim=dim, **chosen)


def _is_model(name: str, kind: str | None) -> bool:
    """Return whether `name` is to be plotted as a model, else as a kernel.

    Raises:
        ZooError: it is both and `kind` does not say which, or it is close to a kernel's alone.
    """
    from zoo.host.registry import catalogue
    from zoo.models.names import entries, folder_hint, list_models

    if kind is not None:
        return kind == "model"
    found = catalogue("kernels")
    kernels = {spelling for f in found.values() for spelling in (f.component.name, f.qualified)}
    models = {spelling for e in entries() for spelling in (e.name, f"{e.source}:{e.name}")}
    if name in kernels and name in models:
        raise ZooError(f"{name!r} is a kernel and a model; add --as kernel or --as model")
    if name in kernels or name in models:
        return name in models
    if "/" in name or name.startswith((".", "~", "path:", "hub:")):  # no kernel is called so
        return True
    # Names of models read kernel-data; the Hub is asked for those that are not here.
    if get_close_matches(name, kernels, cutoff=0.8) or not set(name) & set("-.:~"):
        known = [*found, *list_models()]
        close = did_you_mean(name, known)
        raise ZooError(f"no kernel or model {name!r}{folder_hint(name)}; {close}")
    return True
