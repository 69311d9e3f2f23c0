"""zoo.load against the shortest ways to the same network: meta device, load_file, assign.

    python benchmarks/load_folder.py [--rounds 15] [--json out.json]

A U-Net of 35.7 M parameters in float32 under gravity, saved and read again while the file is in
memory. All ways end with a network ready to run; zoo.load finds, reads and checks the folder too.
load_file maps the file, whose pages are read when they are used, and change when the file does; or
it reads it, as zoo.load does: a copy is the price of weights that stay as they were checked.
If diffusers is installed, its UNet2DModel of the size of ddpm-cifar10-32 is loaded too.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from timing import Part, Run, arguments, report, side_by_side

import zoo
from zoo.interfaces import Network

SHAPE = (3, 32, 32)
OPTIONS = {"width": 120, "multipliers": [2, 2, 2, 2], "blocks": 2}


def diffusers_run(folder: Path) -> dict[str, Run]:
    try:
        from diffusers import UNet2DModel
    except ImportError:
        return {}
    down = ("DownBlock2D", "AttnDownBlock2D")
    up = ("UpBlock2D", "AttnUpBlock2D")
    unet = UNet2DModel(
        sample_size=32,
        block_out_channels=(128, 256, 256, 256),
        layers_per_block=2,
        down_block_types=(down[0], down[1], down[0], down[0]),
        up_block_types=(up[0], up[0], up[1], up[0]),
    )
    unet.save_pretrained(folder)
    count = sum(p.numel() for p in unet.parameters()) / 1e6

    def run() -> None:
        UNet2DModel.from_pretrained(folder)

    return {f"diffusers UNet2DModel, {count:.1f} M": run}


def main() -> None:
    given = arguments(__doc__, rounds=15)
    kernel = zoo.kernel("gravity", dim=3 * 32 * 32)

    def build() -> Network:
        return zoo.network("unet", shape=SHAPE, kernel=kernel, **OPTIONS)

    network = build()
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        parts = (kernel, zoo.prior("gravity", kernel), network, zoo.solver("heun"), SHAPE)
        folder = zoo.FieldModel(*parts).save_pretrained(Path(scratch) / "model")
        weights = folder / "model.safetensors"

        def bare(backend: str) -> None:
            with torch.device("meta"):
                empty = build()
            empty.load_state_dict(load_file(weights, backend=backend), assign=True)

        def loaded() -> None:
            zoo.load(folder)

        runs: dict[str, Run] = {
            "meta + load_file + assign": partial(bare, "pread"),
            "meta + mapped file + assign": partial(bare, "mmap"),
            "zoo.load": loaded,
        }
        runs |= diffusers_run(Path(scratch) / "diffusers")
        rows = side_by_side(runs, given.rounds, scale=1e3)
    part = Part(
        "Loading",
        f"A U-Net of {parameters:.1f} M parameters, warm.",
        "ms",
        rows,
        "zoo.load at most 1.2 times",
    )
    report([part], given.json)


if __name__ == "__main__":
    main()
