"""The time of zoo.load and of diffusers' from_pretrained, for google/ddpm-cifar10-32 at full size.

    python benchmarks/load_time.py [--times 7] [--json out.json]

Writes that configuration with random weights (35.7 M parameters) by diffusers itself, as a pipeline
of safetensors and as on the Hub, a flat folder with a .bin. Loads each with both libraries in turn,
everything warm: files read before, the zoo's copy made. Times are wall-clock seconds, the smallest
of all runs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

import zoo

CIFAR10 = {
    "sample_size": 32,
    "layers_per_block": 2,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}


def write(network: UNet2DModel, folder: Path, pipeline: bool) -> None:
    if pipeline:
        DDPMPipeline(network, DDPMScheduler()).save_pretrained(folder)
    else:
        network.save_pretrained(folder, safe_serialization=False)
        DDPMScheduler().save_pretrained(folder)


def seconds(load: Callable[[], object]) -> float:
    started = time.perf_counter()
    load()
    return time.perf_counter() - started


def measure(folder: Path, pipeline: bool, times: int) -> dict[str, float]:
    """Return the least seconds of either, and their ratio."""
    unet = folder / "unet" if pipeline else folder

    def theirs() -> object:
        return UNet2DModel.from_pretrained(unet, use_safetensors=pipeline)

    def ours() -> object:
        return zoo.load(folder)

    theirs(), ours()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(times)]
    least = [min(column) for column in zip(*pairs, strict=True)]
    return {"zoo": least[0], "diffusers": least[1], "ratio": least[0] / least[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = UNet2DModel(**CIFAR10)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    rows = {}
    with tempfile.TemporaryDirectory() as place:
        os.environ["ZOO_CACHE"] = f"{place}/cache"
        for name, pipeline in (("pipeline, safetensors", True), ("flat, .bin", False)):
            folder = Path(place) / name.replace(", ", "-")
            write(network, folder, pipeline)
            row = rows[name] = measure(folder, pipeline, arguments.times)
            print(
                f"{name:22} zoo {row['zoo']:.3f} s, diffusers {row['diffusers']:.3f} s, "
                f"ratio {row['ratio']:.2f}"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
