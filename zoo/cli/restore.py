"""`zoo restore NAME INPUT.png`: images of which a part, or what is left of them, is seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import COUNT, PATH, STEPS, device_option, option
from zoo.cli.sample import class_of

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.interfaces import Operator


@click.command()
@click.argument("ref", metavar="NAME")
@click.argument("image", metavar="INPUT.png", type=PATH)
@option("--mask", type=PATH, help="MASK.png, of the size of INPUT.png: white where it is seen.")
@option("--operator", "named", help="How INPUT.png was made: downscale:2, blur:1.5 or grey.")
@option(
    "--noise",
    type=float,
    default=0.05,
    help="Standard deviation of the noise of INPUT.png; pixels are in [-1, 1].",
)
@option("-n", "count", type=COUNT, default=8, help="Number of answers.")
@option("--method", default="mmps", help="See `zoo components posteriors`.")
@option("-o", "--out", type=PATH, default=Path("restored.png"), help="FILE.png, or FILE.npz.")
@option("--steps", type=STEPS, help="Solver steps; the model's default if not given.")
@option("--kernel", help="Another kernel, for a model trained under a Gaussian one.")
@option("--solver", help="Another solver, see `zoo components solvers`.")
@option("--seed", type=int, default=0, help="Answer i depends on it and i.")
@option("--label", help="Class of the image, where there are some: its name, or its number.")
@option("--guidance", type=float, help="How closely to follow --label.")
@device_option
def command(
    ref: str,
    image: Path,
    mask: Path | None,
    named: str | None,
    noise: float,
    count: int,
    method: str,
    out: Path,
    steps: int | None,
    kernel: str | None,
    solver: str | None,
    seed: int,
    label: str | None,
    guidance: float | None,
    device: str,
) -> None:
    """Draw images of which INPUT.png may be what is left.

    The picture shows the input, the answers, their mean and their standard deviation per pixel.
    """
    if (mask is None) == (named is None):
        raise click.UsageError("say what is seen: --mask MASK.png, or --operator downscale:2")
    import torch

    from zoo.errors import ZooError
    from zoo.folder.picture import check_target, write_samples
    from zoo.models.load import load
    from zoo.models.parts import refuse_images

    model = load(ref, kernel=kernel, device=device)
    if model.condition is not None:
        raise ZooError(
            f"zoo restore gives no conditions, and {ref} draws images given one; in Python: "
            "model.posterior(...).sample(8, condition=...)"
        )
    refuse_images(
        model, "zoo restore", "in Python: model.latents.posterior(y, A, ...), A of latents"
    )
    check_target(out, model.shape)
    for given in (image, mask):
        if given is not None and out.exists() and given.exists() and out.samefile(given):
            raise ZooError(f"{out} is what was observed; name another file with -o")
    operator, y = _observed(ref, image, mask, named, model.shape)
    posterior = model.posterior(y, operator, noise=noise, method=method)
    answers = posterior.sample(
        count,
        steps=steps,
        solver=solver,
        seed=seed,
        labels=class_of(label, model.classes),
        guidance=guidance,
        progress=True,
    )
    spread = answers.std(dim=0, correction=0)
    largest = float(spread.max())
    if out.suffix == ".png":
        shown = _shown(y, operator, model.shape)
        scaled = spread / max(largest, 1e-12) * 2 - 1
        answers = torch.cat([shown[None], answers, answers.mean(dim=0)[None], scaled[None]])
    write_samples(out, answers, model.data)
    what = f"{out}: {count} answers; their largest standard deviation is {largest:.2g}"
    if out.suffix == ".png":
        what = (
            f"{out}: the input, {count} answers, their mean and standard deviation; of that the "
            f"largest is {largest:.2g} (white)"
        )
    click.echo(what)


def _observed(
    ref: str, image: Path, mask: Path | None, named: str | None, shape: tuple[int, ...]
) -> tuple[Operator, Tensor]:
    """Return the operator, and what it left: the pixels of the file in [-1, 1]."""
    from zoo.data.decode import decode_as
    from zoo.errors import ZooError
    from zoo.posterior import Mask, named_operator

    if len(shape) != 3:
        raise ZooError(f"zoo restore is for images; the samples of {ref} have shape {shape}")
    if mask is not None:
        keep = decode_as(mask, 1) >= 128
        if tuple(keep.shape[1:]) != shape[1:]:
            sizes = [f"{w}x{h}" for h, w in (keep.shape[1:], shape[1:])]
            raise ZooError(f"{mask} is {sizes[0]}; the images are {sizes[1]}")
        if not bool(keep.any()):
            raise ZooError(f"{mask} is white nowhere: nothing is seen")
        operator: Operator = Mask(keep)
    else:
        assert named is not None, "checked"
        operator = named_operator(named)
    channels, height, width = out = operator.out_shape(shape)
    pixels = decode_as(image, channels)
    if tuple(pixels.shape) != out:
        given = f"{pixels.shape[2]}x{pixels.shape[1]}"
        raise ZooError(
            f"{image} has {given} pixels; expected {width}x{height}, which the operator leaves of "
            f"{shape[2]}x{shape[1]}: resize it"
        )
    return operator, pixels.float() / 127.5 - 1


def _shown(y: Tensor, operator: Operator, shape: tuple[int, ...]) -> Tensor:
    """Return y as an image of the model's shape: hidden pixels grey, few pixels as blocks."""
    from torch.nn.functional import interpolate

    seen = operator.seen(shape)
    visible = y if seen is None else y.where(seen, 0)
    return interpolate(visible[None], shape[1:], mode="nearest")[0].expand(shape)
