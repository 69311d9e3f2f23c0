"""How far the skip connection alone is from clean images: detail that is taken for noise.

    python benchmarks/read_levels.py

Patches of the photographs that come with scikit-learn, and smooth images with white detail, at four
noise levels, before the network has seen data and after `fit` on half of them. The root mean square
of D(x_t, t) - x_0, where the network itself says 0.
"""

from __future__ import annotations

from typing import Any

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

import zoo
from zoo.networks import Preconditioned

KERNELS = ("gaussian", "pfgmpp", "tanh", "exp", "gravity")
LEVELS = (0.002, 0.01, 0.05, 0.2)
SIDE = 32


class Zero(nn.Module):
    """A network before its first step."""

    def forward(self, x: Tensor, features: Tensor, labels: Any = None) -> Tensor:
        """Return 0, shape of x."""
        del features, labels
        return torch.zeros_like(x)


def photographs() -> Tensor:
    """Return patches (n, 3, 32, 32) of two photographs, in an order of their own."""
    patches = []
    for image in load_sample_images().images:
        x = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 127.5 - 1
        x = x[:, : x.shape[1] // SIDE * SIDE, : x.shape[2] // SIDE * SIDE]
        cut = x.unfold(1, SIDE, SIDE).unfold(2, SIDE, SIDE).permute(1, 2, 0, 3, 4)
        patches.append(cut.reshape(-1, 3, SIDE, SIDE))
    found = torch.cat(patches)
    return found[torch.randperm(len(found), generator=torch.Generator().manual_seed(0))]


def textures(n: int = 2000) -> Tensor:
    """Return smooth images (n, 1, 16, 16) with white detail of a standard deviation up to 0.2."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(n, 1, 4, 4, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=16, mode="bilinear") / 2
    scale = 0.2 * torch.rand(n, 1, 1, 1, generator=generator)
    return smooth + scale * torch.randn(n, 1, 16, 16, generator=generator)


def errors(network: Preconditioned, x: Tensor) -> list[float]:
    """Return the root mean square error at each level."""
    found = []
    for level in LEVELS:
        t = network.kernel.time_at(torch.tensor(level, dtype=torch.float64))
        x_t = network.kernel.sample(x, t, torch.Generator().manual_seed(5))
        found.append(float((network(x_t, t) - x).square().mean().sqrt()))
    return found


def main() -> None:
    for name, x in (("photographs", photographs()), ("textures", textures())):
        print(f"\n| {name} | " + " | ".join(f"{level:g}" for level in LEVELS) + " |")
        print("|---" * (1 + len(LEVELS)) + "|")
        for kind in KERNELS:
            shape = tuple(x.shape[1:])
            network = Preconditioned(Zero(), shape, zoo.kernel(kind, dim=x[0].numel()))
            before = errors(network, x[1::2])
            network.fit(x[::2])
            pairs = zip(before, errors(network, x[1::2]), strict=True)
            print(f"| {kind} | " + " | ".join(f"{b:.4f} -> {a:.4f}" for b, a in pairs) + " |")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
