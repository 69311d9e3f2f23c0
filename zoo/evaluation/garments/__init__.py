"""Garment features: a small classifier of 28x28 grey images, trained for evaluation alone.

Distances measured on these features are no FID: FID is by definition measured on Inception.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from safetensors.torch import load
from torch import Tensor, nn

from zoo.errors import ZooError

WEIGHTS = "garments.safetensors"
ABOUT = "garments.json"
CLASSES = 10
WIDTH = 64


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class GarmentNet(nn.Module):
    """Five convolutions, a spatial mean (the features) and one linear layer (the classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(1, 32),
            _block(32, 32, stride=2),
            _block(32, 64),
            _block(64, 64, stride=2),
            _block(64, WIDTH),
        )
        self.head = nn.Linear(WIDTH, CLASSES)

    def features(self, x: Tensor) -> Tensor:
        """Return the penultimate layer of images x, (B, 1, 28, 28) in [-1, 1]: (B, 64), >= 0."""
        mean: Tensor = self.body(x).mean(dim=(2, 3))
        return mean

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the ten classes, (B, 10)."""
        logits: Tensor = self.head(self.features(x))
        return logits


@cache
def about() -> dict[str, Any]:
    """Return the content of garments.json: sha256, accuracy, parameters, license, training."""
    text = (files(__package__) / ABOUT).read_text(encoding="utf-8")
    facts: dict[str, Any] = json.loads(text)
    return facts


def load_garment_net() -> GarmentNet:
    """Return the shipped classifier, in evaluation mode, float32.

    Raises:
        ZooError: the weights do not have the sha256 of garments.json.
    """
    raw = (files(__package__) / WEIGHTS).read_bytes()
    if hashlib.sha256(raw).hexdigest() != about()["sha256"]:
        raise ZooError(f"{WEIGHTS} is not what {ABOUT} says; install fieldzoo again")
    net = GarmentNet()
    net.load_state_dict(load(raw))
    return net.eval().requires_grad_(False)
