"""Draw the pictures of docs/posterior.md: test garments whose left third is hidden.

python benchmarks/posterior_pictures.py

A row is one garment: it, what is seen of it, four answers, and the mean and the standard deviation
of sixteen (white where it is 1, half of the range).
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

import zoo
from zoo.data.sources import load
from zoo.files import replacing
from zoo.folder.picture import grid
from zoo.posterior import Mask

DOCS = Path(__file__).parent.parent / "docs"
MODELS = {"gravity": "gravity-fashion-mnist", "gaussian": "gaussian-fashion-mnist"}
# A boot, a pullover, a shirt with short sleeves, a bag.
GARMENTS = (0, 1, 7, 18)
NOISE, ANSWERS, SHOWN = 0.05, 16, 4
KEEP = torch.arange(28) >= 28 // 3


def main() -> None:
    torch.set_num_threads(1)
    truth = load("fashion-mnist", split="test").batch(torch.tensor(GARMENTS))
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    y = truth + NOISE * noise
    for kernel, name in MODELS.items():
        rows = y.repeat_interleave(ANSWERS, dim=0)
        posterior = zoo.load(name).posterior(rows, Mask(KEEP), noise=NOISE)
        answers = posterior.sample(len(rows), seed=0).unflatten(0, (len(y), ANSWERS))
        spread = answers.std(dim=1, correction=0) * 2 - 1
        shown = [truth, y.where(KEEP, 0), *answers.unbind(1)[:SHOWN], answers.mean(dim=1), spread]
        sheet = grid(torch.stack(shown, dim=1).flatten(0, 1), columns=len(shown))
        with replacing(DOCS / f"posterior-{kernel}.png") as beside:
            Image.fromarray(sheet).save(beside, format="png", optimize=True)


if __name__ == "__main__":
    main()
