"""Fashion-MNIST for tests: the real files if they are available, else a small substitute."""

import os
import struct
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
SPLITS = {"train": ("train", 200), "test": ("t10k", 100)}


def write_idx(path, array):
    """Write a uint8 array as a plain idx file."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + bytes(array.flatten().tolist()))


def write_fashion_mnist(root):
    """Write a substitute for Fashion-MNIST's four files below `root`; return `root`."""
    folder = root / "fashion-mnist"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for prefix, n in SPLITS.values():
        labels = torch.arange(n, dtype=torch.uint8) % 10
        noise = torch.randint(0, 256, (n, 28, 28), generator=generator, dtype=torch.uint8)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", noise)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return root


def data_root(spare):
    """Return a value for ZOO_DATA: the current one, `shared/data` near the checkout, or `spare`."""
    chosen = os.environ.get("ZOO_DATA")
    near = [ROOT / "shared" / "data", ROOT.parent / "shared" / "data"]
    for root in [Path(chosen)] if chosen else near:
        if (root / "fashion-mnist").is_dir():
            return root
    return write_fashion_mnist(spare)
