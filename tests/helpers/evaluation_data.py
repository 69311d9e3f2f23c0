"""Small data for tests of evaluation: noise around a few 8x8 patterns, in npz files."""

import numpy as np
import torch


def patterns(n, seed, side=8):
    """Return n images (n, 1, side, side), uint8: one of four patterns and noise; their labels."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randint(0, 256, (4, 1, side, side), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % 4
    noise = torch.randint(-30, 31, (n, 1, side, side), generator=generator)
    return (base[labels] + noise).clamp(0, 255).to(torch.uint8), labels


def write_npz(path, n=120, seed=1, side=8):
    """Write patterns to an .npz file; return its reference."""
    images, labels = patterns(n, seed, side)
    np.savez(path, x=images.numpy(), y=labels.numpy())
    return f"npz:{path}"
