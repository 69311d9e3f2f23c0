"""Features by which images are compared: those of a network, by name, or the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.errors import ZooError, did_you_mean, one_line
from zoo.evaluation.garments import load_garment_net
from zoo.sampling.progress import bar

GREY = (1, 28, 28)
# The garment features are multiplied by this, so that distances are tens, not hundredths.
SCALE = 10.0
STANDARDISED = "standardised"
INSTALL = "pip install 'fieldzoo[eval]'"
_COORDINATES = 400_000  # in one batch of images


@dataclass(frozen=True)
class FeatureExtractor:
    """A function from images to features.

    Attributes:
        name: as the user writes it: "garments", "pixels", "inception", "timm:resnet18".
        title: the name of the features in tables and cards.
        compute: images (B, *shape) in [-1, 1] -> (B, d).
        classify: images -> class numbers (B,); None if the network is no classifier.
    """

    name: str
    title: str
    compute: Callable[[Tensor], Tensor]
    classify: Callable[[Tensor], Tensor] | None = None

    def extract(self, x: Tensor) -> Tensor:
        """Return the features of x, (n, *shape) -> (n, d), float64."""
        return in_batches(self.compute, x, f"features {self.name}").double()


@torch.inference_mode()
def in_batches(compute: Callable[[Tensor], Tensor], x: Tensor, label: str) -> Tensor:
    """Return compute(x), x (n, ...), computed in batches under a progress bar."""
    size = max(1, _COORDINATES // max(1, x[0].numel()))
    with bar(total=len(x), desc=label, unit="img", leave=False) as shown:
        parts = []
        for part in torch.split(x, size):
            parts.append(compute(part))
            shown.update(len(part))
    return torch.cat(parts)


def garments(shape: tuple[int, ...], device: torch.device) -> FeatureExtractor:
    """Return ten times the penultimate layer of the shipped classifier of 28x28 garments.

    Raises:
        ZooError: images of another shape.
    """
    if shape != GREY:
        raise ZooError(
            f"features 'garments' take 1x28x28 images, not {'x'.join(map(str, shape))}; "
            "take 'pixels' or 'timm:NAME'"
        )
    net = load_garment_net().to(device)
    return FeatureExtractor(
        "garments",
        "garment features",
        lambda x: SCALE * net.features(x.to(device)).cpu(),
        lambda x: net(x.to(device)).argmax(dim=1).cpu(),
    )


def pixels(_shape: tuple[int, ...], _device: torch.device) -> FeatureExtractor:
    """Return the coordinates themselves, (n, d)."""
    return FeatureExtractor("pixels", "pixels", lambda x: x.flatten(1))


def standardised(_shape: tuple[int, ...], _device: torch.device) -> FeatureExtractor:
    """Return the coordinates of data without a unit: `Reference.extract` standardises them."""
    return FeatureExtractor(STANDARDISED, "standardised columns", lambda x: x.flatten(1))


def default(shape: tuple[int, ...], *, standardise: bool = False) -> str:
    """Return the name of the default features: for data of `shape`, in range or standardised."""
    if standardise:
        return STANDARDISED
    return "garments" if shape == GREY else "pixels"


def build(name: str, shape: tuple[int, ...], device: torch.device) -> FeatureExtractor:
    """Return the extractor of the features called `name`, for data of `shape`.

    Raises:
        ZooError: no such features, they do not fit, or their package or weights are missing.
    """
    kind, _, rest = name.partition(":")
    if kind == "timm" and rest:
        return timm_features(rest, shape, device)
    named = {
        "garments": garments,
        "inception": inception_features,
        "pixels": pixels,
        STANDARDISED: standardised,
    }
    if name not in named:
        raise ZooError(f"no features {name!r}; {did_you_mean(name, [*named, 'timm:NAME'])}")
    return named[name](shape, device)


def colour(x: Tensor) -> Tensor:
    """Return images (B, C, H, W) as (B, 3, H, W): grey is repeated, a fourth channel dropped."""
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x[:, :3]


def _check_images(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] not in (1, 3, 4):
        raise ZooError(
            f"features {name!r} take grey or colour images, not shape "
            f"{'x'.join(map(str, shape))}; take 'pixels'"
        )


def timm_features(model: str, shape: tuple[int, ...], device: torch.device) -> FeatureExtractor:
    """Return the pooled features of a timm model, images resized and normalised as it expects.

    Raises:
        ZooError: no such model, or its weights cannot be loaded.
    """
    import timm

    name = f"timm:{model}"
    _check_images(name, shape)
    if not timm.is_model(model):
        short = model.partition(".")[0]
        close = did_you_mean(short, timm.list_models())
        hint = close if close.startswith("did") else "timm.list_models() names them"
        raise ZooError(f"features {name!r}: timm has no such model; {hint}")
    net = _loaded(name, lambda: timm.create_model(model, pretrained=True, num_classes=0), device)
    config: Any = net.pretrained_cfg
    mean, deviation = (
        torch.tensor(config[key], device=device).view(1, -1, 1, 1) for key in ("mean", "std")
    )

    def compute(x: Tensor) -> Tensor:
        image = interpolate(
            colour(x.to(device)), config["input_size"][1:], mode="bicubic", antialias=True
        )
        features: Tensor = net(((image + 1) / 2 - mean) / deviation)
        return features.flatten(1).cpu()

    return FeatureExtractor(name, f"timm {model} features", compute)


def inception_features(shape: tuple[int, ...], device: torch.device) -> FeatureExtractor:
    """Return the features of FID, the 2,048 of Inception v3, by torch-fidelity.

    Raises:
        ZooError: torch-fidelity is not installed, or its weights cannot be loaded.
    """
    _check_images("inception", shape)
    try:
        module: Any = import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        raise ZooError(f"features 'inception' need torch-fidelity: {INSTALL}") from error
    extractor = module.FeatureExtractorInceptionV3
    net = _loaded("inception", lambda: extractor("inception-v3-compat", ["2048"]), device)

    def compute(x: Tensor) -> Tensor:
        levels = ((colour(x) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        features: Tensor = net(levels.to(device))[0]
        return features.cpu()

    return FeatureExtractor("inception", "Inception features (FID)", compute)


def _loaded(name: str, make: Callable[[], Any], device: torch.device) -> Any:
    """Return the network that `make` loads, on the device, in evaluation mode."""
    try:
        return make().to(device).eval()
    except Exception as error:  # timm, the Hub's client and the network raise many types
        reason = one_line(error)[:200]
        raise ZooError(f"features {name!r}: their weights cannot be loaded: {reason}") from error
