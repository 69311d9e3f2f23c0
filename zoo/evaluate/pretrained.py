"""Features of networks trained elsewhere: timm's by name, Inception through torch-fidelity."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.errors import ZooError, did_you_mean
from zoo.evaluate.features import Features

INSTALL = "pip install 'fieldzoo[eval]'"


def colour(x: Tensor) -> Tensor:
    """Return images (B, C, H, W) as (B, 3, H, W); grey ones three times, a fourth channel gone."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]


def _check_images(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] not in (1, 3, 4):
        raise ZooError(
            f"features {name!r} are of grey or colour images, not of shape "
            f"{'x'.join(map(str, shape))}; take 'pixels'"
        )


def timm_features(model: str, shape: tuple[int, ...], device: torch.device) -> Features:
    """Return the pooled features of a timm model, images resized and normalised as it expects.

    Raises:
        ZooError: no such model, or its weights are not to be had.
    """
    import timm

    name = f"timm:{model}"
    _check_images(name, shape)
    if not timm.is_model(model):
        short = model.partition(".")[0]
        close = did_you_mean(short, timm.list_models())
        hint = close if close.startswith("did") else "timm.list_models() names them"
        raise ZooError(f"features {name!r}: timm has no such model; {hint}")
    try:
        net = timm.create_model(model, pretrained=True, num_classes=0)
    except Exception as error:  # timm, the Hub's client and the network raise all sorts
        raise _no_weights(name, error) from error
    net = net.to(device).eval()
    config: Any = net.pretrained_cfg
    mean, deviation = (
        torch.tensor(config[key], device=device).view(1, -1, 1, 1) for key in ("mean", "std")
    )

    def compute(x: Tensor) -> Tensor:
        image = interpolate(
            colour(x.to(device)), config["input_size"][1:], mode="bicubic", antialias=True
        )
        found: Tensor = net(((image + 1) / 2 - mean) / deviation)
        return found.flatten(1).cpu()

    return Features(name, f"timm {model} features", compute)


def inception_features(shape: tuple[int, ...], device: torch.device) -> Features:
    """Return FID's own features: Inception v3's 2,048, by torch-fidelity.

    Raises:
        ZooError: torch-fidelity is not installed, or its weights are not to be had.
    """
    _check_images("inception", shape)
    try:
        module: Any = import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        raise ZooError(f"features 'inception' need torch-fidelity: {INSTALL}") from error
    try:
        net = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except Exception as error:  # a download fails in many ways
        raise _no_weights("inception", error) from error
    net = net.to(device).eval()

    def compute(x: Tensor) -> Tensor:
        levels = ((colour(x) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        found: Tensor = net(levels.to(device))[0]
        return found.cpu()

    return Features("inception", "Inception features (FID)", compute)


def _no_weights(name: str, error: Exception) -> ZooError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ZooError(f"features {name!r}: their weights are not to be had here: {reason}")
