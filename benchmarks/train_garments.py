"""Train the garment classifier again: `python benchmarks/train_garments.py FOLDER`.

Writes garments.safetensors (half precision) and garments.json into FOLDER; those that ship are in
zoo/evaluation/garments.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from zoo.data import Images, load
from zoo.data.augment import flip
from zoo.evaluation.garments import ABOUT, WEIGHTS, GarmentNet
from zoo.folder.read import describe

EPOCHS = 6
BATCH = 128
PEAK = 6e-3
DECAY = 2e-2
SEED = 0


@torch.inference_mode()
def accuracy(net: GarmentNet, data: Images) -> float:
    """Return the fraction of `data` that `net` classifies correctly."""
    assert data.labels is not None
    parts = torch.split(torch.arange(len(data)), 500)
    found = torch.cat([net(data.batch(part)).argmax(dim=1) for part in parts])
    return float(found.eq(data.labels).double().mean())


def train(data: Images, epochs: int = EPOCHS) -> GarmentNet:
    """Return a classifier of `data`: AdamW, one cycle of the learning rate, flips, bf16."""
    assert data.labels is not None
    torch.manual_seed(SEED)
    net = GarmentNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), PEAK, weight_decay=DECAY)
    steps = len(data) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK, total_steps=epochs * steps)
    for epoch in range(epochs):
        order = torch.split(torch.randperm(len(data))[: steps * BATCH], BATCH)
        for indices in tqdm(order, desc=f"epoch {epoch + 1}/{epochs}", disable=None):
            x = flip(data.batch(indices)).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits: Tensor = net(x)
            loss = cross_entropy(logits.float(), data.labels[indices], label_smoothing=0.05)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    return net.to(memory_format=torch.contiguous_format).eval()


def export(net: GarmentNet, test: Images, folder: Path, minutes: float) -> None:
    """Write the weights in half precision, and garments.json about them, into `folder`."""
    halves = {
        key: value.half() if value.is_floating_point() else value
        for key, value in net.state_dict().items()
    }
    net.load_state_dict(halves)  # so that the accuracy is that of the weights on disk
    (folder / WEIGHTS).write_bytes(save(halves))
    file = describe(folder / WEIGHTS)
    facts = {
        "name": "garment features",
        "what": "classifier of 28x28 grey garments; its penultimate layer, 64 numbers, "
        "measures distances between sets of images. Not Inception, so not FID.",
        "sha256": file.sha256,
        "size": file.size,
        "parameters": sum(p.numel() for p in net.parameters()),
        "test_accuracy": round(accuracy(net, test), 4),
        "license": "Apache-2.0",
        "data": test.name,
        "data_license": test.license,
        "training": {
            "epochs": EPOCHS,
            "batch": BATCH,
            "peak_learning_rate": PEAK,
            "weight_decay": DECAY,
            "seed": SEED,
            "minutes": round(minutes, 1),
        },
    }
    (folder / ABOUT).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Train on the training images of Fashion-MNIST and write the result into `folder`."""
    torch.set_num_threads(1)
    started = time.monotonic()
    net = train(load("fashion-mnist"))
    export(net, load("fashion-mnist", split="test"), folder, (time.monotonic() - started) / 60)
    print((folder / ABOUT).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
