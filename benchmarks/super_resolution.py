"""gravity-fashion-mnist-sr2 on test images: PSNR, coverage of the truth, distance.

    python benchmarks/super_resolution.py                     # prints the table
    python benchmarks/super_resolution.py --write-card        # and writes it into the model's card

Of each image 19 samples are drawn given its 14x14 means. The truth lies between the least and the
largest of 19 samples of its own law with probability 18/20, pixel by pixel; ties, of which the
black ground has many, are broken at random (the rank of the truth among them is uniform then).
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path

import torch
from tabulate import tabulate
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

import zoo
from zoo.data import load
from zoo.evaluation import features
from zoo.evaluation.metrics import METRICS, measure, with_features
from zoo.evaluation.reference import open_reference, round_to_bytes
from zoo.files import replacing
from zoo.models.locate import folder_of

MODEL = "gravity-fashion-mnist-sr2"
SAMPLES, IMAGES = 19, 200
_BATCH = 500
_START, _END = "<!-- measured by benchmarks/super_resolution.py -->", "<!-- end of it -->"


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Return 10 log10(4 / mean square error) of each image in [-1, 1], in dB, (n,)."""
    return 10 * (4 / (x - truth).square().flatten(1).mean(dim=1).clamp(min=1e-12)).log10()


def covered(drawn: Tensor, truth: Tensor, generator: torch.Generator) -> Tensor:
    """Return whether each pixel lies inside the range of its samples (K, n, *), as numbers.

    All are rounded to bytes, and equal ones put in a random order.
    """
    drawn, truth = (((x + 1) * 127.5).round() for x in (drawn, truth))
    below = (drawn < truth).sum(dim=0)
    equal = (drawn == truth).sum(dim=0)
    place = (torch.rand(truth.shape, generator=generator) * (equal + 1)).floor()
    rank = below + place
    return ((rank > 0) & (rank < len(drawn))).double()


def interval(values: Tensor) -> str:
    """Return the mean over images and its 95 % interval, "21.3 (21.1 to 21.5)"."""
    mean, error = float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))
    return f"{mean:.3g} ({mean - error:.3g} to {mean + error:.3g})"


def upsampled(x: Tensor, mode: str) -> Tensor:
    """Return images of twice the size, in [-1, 1]."""
    return interpolate(x, scale_factor=2, mode=mode, align_corners=False).clamp(-1, 1)


def distances(model: zoo.FieldModel, count: int) -> dict[str, float]:
    """Return garment features' Frechet distance to the test images: of samples, of upsampling."""
    extractor = features.build("garments", model.shape, model.device)
    reference = open_reference("fashion-mnist", model.shape, extractor, condition=model.condition)
    given = reference.conditions(count)
    assert given is not None
    found = {
        "one sample": model.sample(count, seed=1, condition=given),
        "bicubic": upsampled(given, "bicubic"),
        "bilinear": upsampled(given, "bilinear"),
    }
    metric = METRICS["frechet"]
    shown = {}
    for name, x in found.items():
        drawn = with_features(round_to_bytes(x, model.range), reference)
        shown[name] = measure(metric, [drawn], reference)["frechet"].value
    return shown


def measured(ref: str, images: int, distance: int) -> str:
    """Return the table of the figures."""
    model = zoo.load(ref)
    data = load("fashion-mnist", split="test", condition="downscale:2")
    chosen = torch.arange(images) * len(data) // images
    truth, given = data.batch(chosen), data.raw_conditions(chosen)
    drawn = torch.stack(
        [model.sample(images, seed=seed, condition=given) for seed in range(SAMPLES)]
    )
    inside = covered(drawn, truth, torch.Generator().manual_seed(0)).flatten(1)
    grey = ((truth > -0.99) & (truth < 0.99)).flatten(1)
    of_grey = torch.stack([row[mask].mean() for row, mask in zip(inside, grey, strict=True)])
    kept = (avg_pool2d(drawn[0], 2) - given).square().flatten(1).mean(dim=1).sqrt()
    far = distances(model, distance)
    rows = [
        ["mean of 19 samples", interval(psnr(drawn.mean(dim=0), truth)), ""],
        ["one sample", interval(psnr(drawn[0], truth)), f"{far['one sample']:.2f}"],
        ["bicubic", interval(psnr(upsampled(given, "bicubic"), truth)), f"{far['bicubic']:.2f}"],
        ["bilinear", interval(psnr(upsampled(given, "bilinear"), truth)), f"{far['bilinear']:.2f}"],
    ]
    head = ["28x28 from 14x14", "PSNR, dB", "Frechet distance"]
    table = tabulate(rows, head, tablefmt="github", disable_numparse=True)
    return (
        f"Of {images} test images; distance of {distance:,} by garment features. Means and 95 % "
        f"intervals over images.\n\n{table}\n\n"
        f"The truth lies in the pixelwise 90 % interval of {SAMPLES} samples for "
        f"{interval(inside.mean(dim=1))} of all pixels, {interval(of_grey)} of those that are "
        f"neither black nor white. Samples keep the means they were given to "
        f"{interval(kept)} (root mean square, of a range of 2)."
    )


def write_card(folder: Path, text: str) -> None:
    """Put the figures at the end of the card, in the place of earlier ones."""
    file = folder / "README.md"
    card = file.read_text(encoding="utf-8")
    block = f"{_START}\n\n## Restored detail\n\n{text}\n\n{_END}\n"
    pattern = re.compile(re.escape(_START) + ".*?" + re.escape(_END) + "\n", re.DOTALL)
    new = pattern.sub(lambda _: block, card) if pattern.search(card) else f"{card}\n{block}"
    with replacing(file) as beside:
        beside.write_text(new, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default=MODEL)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--distance", type=int, default=2_000, help="samples for the distance")
    parser.add_argument("--write-card", action="store_true")
    asked = parser.parse_args()
    text = measured(asked.model, asked.images, asked.distance)
    print(text)
    if asked.write_card:
        write_card(folder_of(asked.model), text)


if __name__ == "__main__":
    main()
