"""What images are compared by: networks' features by name, or the pixels themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from zoo.errors import ZooError, did_you_mean

GREY = (1, 28, 28)
# Of the garment features, so that distances are of a handy size: tens, not hundredths.
SCALE = 10.0
_COORDINATES = 400_000  # of the images that a network sees at a time


@dataclass(frozen=True)
class Features:
    """Numbers that stand for an image.

    Attributes:
        name: as the user says it: "garments", "pixels", "inception", "timm:resnet18".
        title: what the figures are called, for tables and cards.
        compute: images (B, *shape) in [-1, 1] -> (B, d).
        classify: images -> class numbers (B,), where the network is a classifier of them.
    """

    name: str
    title: str
    compute: Callable[[Tensor], Tensor]
    classify: Callable[[Tensor], Tensor] | None = None

    def of(self, x: Tensor) -> Tensor:
        """Return the features of x, (n, *shape) -> (n, d), float64."""
        return in_batches(self.compute, x, f"features {self.name}").double()


@torch.inference_mode()
def in_batches(compute: Callable[[Tensor], Tensor], x: Tensor, label: str) -> Tensor:
    """Return `compute` of x, (n, ...), a batch at a time, under a progress bar."""
    size = max(1, _COORDINATES // max(1, x[0].numel()))
    with tqdm(total=len(x), desc=label, unit="img", disable=None, leave=False) as bar:
        parts = []
        for part in torch.split(x, size):
            parts.append(compute(part))
            bar.update(len(part))
    return torch.cat(parts)


def garments(shape: tuple[int, ...], device: torch.device) -> Features:
    """Return ten times the penultimate layer of the shipped classifier of 28x28 garments.

    Raises:
        ZooError: images of another shape.
    """
    if shape != GREY:
        raise ZooError(
            f"features 'garments' are of 1x28x28 images, not {'x'.join(map(str, shape))}; "
            "take 'pixels' or 'timm:NAME'"
        )
    from zoo.evaluate.garments import load_garment_net

    net = load_garment_net().to(device)
    return Features(
        "garments",
        "garment features",
        lambda x: SCALE * net.features(x.to(device)).cpu(),
        lambda x: net(x.to(device)).argmax(dim=1).cpu(),
    )


def pixels(shape: tuple[int, ...], device: torch.device) -> Features:
    """Return the coordinates themselves, (n, d)."""
    del shape, device
    return Features("pixels", "pixels", lambda x: x.flatten(1))


def default(shape: tuple[int, ...]) -> str:
    """Return the features that suit data of `shape`."""
    return "garments" if shape == GREY else "pixels"


def build(name: str, shape: tuple[int, ...], device: torch.device) -> Features:
    """Return the features called `name` of data of `shape`.

    Raises:
        ZooError: no such features, they do not fit, or their package or weights are not to be had.
    """
    kind, colon, rest = name.partition(":")
    if kind == "timm" and rest:
        from zoo.evaluate.pretrained import timm_features

        return timm_features(rest, shape, device)
    if kind == "inception" and not colon:
        from zoo.evaluate.pretrained import inception_features

        return inception_features(shape, device)
    plain = {"garments": garments, "pixels": pixels}
    if name not in plain:
        known = did_you_mean(name, [*plain, "inception", "timm:NAME"])
        raise ZooError(f"no features {name!r}; {known}")
    return plain[name](shape, device)
