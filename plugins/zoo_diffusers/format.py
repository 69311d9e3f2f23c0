"""Models of images as diffusers saves them, from the Hub or a folder.

Two layouts: a pipeline's, with model_index.json and the subfolders unet/ and scheduler/, and the
old flat one, with everything at the root. Weights are one file or shards under an index, plain or
of a variant such as fp16; see `layout`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo import ZooError
from zoo.formats import read_tensors
from zoo.interfaces import Checkpoint, Config, Data, Files, Format, Part, SolverPart
from zoo_diffusers.layout import (
    AVERAGED,
    INDEX,
    SCHEDULER,
    SETTINGS,
    files_of,
    folder_of,
    shards_of,
    weights_of,
)
from zoo_diffusers.network import NEEDS, class_count
from zoo_diffusers.parametrisation import SHORT, kept, parametrisation

# Attention as diffusers called it until 2023.
_OLD = re.compile(r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_LATENT = {"vae", "vqvae", "movq", "vqgan"}
_TEXT = {"text_encoder", "text_encoder_2", "tokenizer", "bert", "image_encoder", "prior"}
_SOUND = {"mel", "vocoder", "audio_encoder"}
_READS = "unconditional and class-conditional models of images (UNet2DModel) are read"
_STEPS = 18


class DiffusersFormat(Format):
    """Models of images that diffusers saved: a UNet2DModel and what its scheduler says of it.

    Args:
        scheduler: of a network that comes without one, or instead of its own: ddpm, ddim, flow,
            edm or ve with the defaults of its class, the name of a class, or settings as in
            scheduler_config.json.
        prediction_type: what the network predicts, instead of the scheduler's: epsilon, sample,
            v_prediction.
        null_class: whether the last class stands for "no class"; None for yes where
            model_index.json names all classes but the last, else no.
        variant: of the weights, such as fp16; None for those without one, else the only one.
        ema: take the average in unet_ema/ instead of unet/.

    Raises:
        ZooError: an option is none.
    """

    hub_tags = ("diffusers", "unconditional-image-generation")

    def __init__(
        self,
        *,
        scheduler: str | Mapping[str, Any] | None = None,
        prediction_type: str | None = None,
        null_class: bool | None = None,
        variant: str | None = None,
        ema: bool = False,
    ) -> None:
        if scheduler is not None and not isinstance(scheduler, str | Mapping):
            raise ZooError(f"scheduler = {scheduler!r:.60}; expected a name or settings")
        if variant is not None and not (
            isinstance(variant, str) and re.fullmatch(r"[\w-]+", variant)
        ):
            raise ZooError(f"variant = {variant!r:.60}; expected one word, such as fp16")
        for name, value in (("ema", ema), ("null_class", null_class)):
            if value is not None and not isinstance(value, bool):
                raise ZooError(f"{name} = {value!r:.60}; expected true or false")
        if isinstance(scheduler, str):
            scheduler = {"_class_name": SHORT.get(scheduler, scheduler)}
        elif scheduler is not None:
            scheduler = {"_class_name": SHORT["ddpm"], **scheduler}
        self.stated: Mapping[str, Any] | None = scheduler
        self.prediction, self.null_class = prediction_type, null_class
        self.variant, self.ema = variant, ema
        if scheduler is not None:
            parametrisation(self._scheduler({}))

    def read(self, files: Files) -> Checkpoint | None:
        """Return the model of a folder or a repository, None for those of others.

        Raises:
            ZooError: diffusers saved something else than such a model of images, or not what its
                network predicts.
        """
        index: Mapping[str, Any] = {}
        if INDEX in files.names:
            index = files.settings(INDEX)
            check_index(index, files.where)
        elif files.file or not _is_network(files):
            return None
        folder = folder_of(files.names, files.where, self.ema)
        unet = files.settings(f"{folder}{SETTINGS}")
        check_unet(unet, files.where)
        scheduler = self._scheduler(self._saved(files))
        names = _classes(index)
        config = translate(unet, scheduler, files.where, self._has_null(unet, names), names)
        weights = weights_of(files.names, folder, files.where, self.variant)

        def tensors() -> dict[str, Tensor]:
            if weights.sharded:
                paths, listed = shards_of(files, weights.name)
                found = read_tensors(*paths)
                if differ := sorted(found.keys() ^ listed.keys()):
                    raise ZooError(
                        f"{files.where}: {weights.name} and its shards differ in {differ[0]!r:.100}"
                    )
            else:
                found = read_tensors(files.path(weights.name))
            return {f"unet.{_renamed(name)}": value for name, value in found.items()}

        return Checkpoint(config, tensors, files=files_of(files.names, weights))

    def _saved(self, files: Files) -> Mapping[str, Any]:
        """Return the scheduler's settings in the files, none of them where the user states all."""
        if self.stated is not None:
            return {}
        path = next((p for p in (f"scheduler/{SCHEDULER}", SCHEDULER) if p in files.names), None)
        if path is None:
            raise ZooError(
                f"{files.where} has no {SCHEDULER} or scheduler/{SCHEDULER}, which says what its "
                f"network predicts; state it: format_options={{'scheduler': 'ddpm', "
                f"'prediction_type': 'epsilon'}}, or --set scheduler=ddpm ({', '.join(SHORT)})"
            )
        return files.settings(path)

    def _scheduler(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scheduler's settings: saved, or stated, and the prediction that is stated."""
        found = {**(saved if self.stated is None else self.stated)}
        if self.prediction is not None:
            found |= {"prediction_type": self.prediction}
        return found

    def _has_null(self, unet: Mapping[str, Any], names: tuple[str, ...]) -> bool:
        if self.null_class is not None:
            return self.null_class
        count = unet.get("num_class_embeds")
        return bool(names) and isinstance(count, int) and count == len(names) + 1


def _is_network(files: Files) -> bool:
    """Return whether there is a network of diffusers without a pipeline."""
    paths = (SETTINGS, f"unet/{SETTINGS}", f"{AVERAGED}{SETTINGS}")
    path = next((path for path in paths if path in files.names), None)
    return path is not None and "_class_name" in files.settings(path)


def _renamed(name: str) -> str:
    """Return the name that a tensor has today."""
    old = _OLD.fullmatch(name)
    return f"{old[1]}.{_NEW[old[2]]}.{old[3]}" if old else name


def _classes(index: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names in model_index.json's id2label, none where they are not 0, 1, ... named."""
    found = index.get("id2label")
    if not isinstance(found, dict) or len(found) > 100_000:
        return ()
    names = [found.get(str(i)) for i in range(len(found))]
    plain = [n for n in names if isinstance(n, str) and n.isprintable() and 0 < len(n) <= 200]
    return tuple(plain) if len({*plain}) == len(names) else ()


def check_index(index: Mapping[str, Any], where: str) -> None:
    """Raise ZooError unless model_index.json names a U-Net and a scheduler alone."""
    # A part is [library, class]; [null, null] stands for none.
    lists = {k: v for k, v in index.items() if not k.startswith("_") and isinstance(v, list)}
    parts = {k for k, names in lists.items() if any(name is not None for name in names)}
    pipeline = str(index.get("_class_name", ""))[:60]
    if text := sorted(parts & _TEXT):
        kind = "video" if "Video" in pipeline else "sound" if "Audio" in pipeline else "images"
        raise ZooError(
            f"{where} is a conditional model of {kind}, it has a {text[0]} ({pipeline}); {_READS}"
        )
    if sound := sorted(parts & _SOUND):
        raise ZooError(f"{where} is a model of sound, it has a part {sound[0]!r}; {_READS}")
    if latent := sorted(parts & _LATENT):
        raise ZooError(
            f"{where} is a latent model: its network sees what {latent[0]} makes of images, and "
            f"fields of images are not to be had from it; {_READS}"
        )
    if other := sorted(parts - {"unet", "unet_ema", "scheduler"}):
        raise ZooError(f"{where} has a part {other[0]!r:.60}; a unet and a scheduler: {_READS}")


def translate(
    unet: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    where: str,
    null_class: bool = False,
    names: tuple[str, ...] = (),
) -> Config:
    """Return the config of the model, its network under the kernel that it was trained under.

    Raises:
        ZooError: not a model of images under a scheduler that is known.
    """
    try:
        if "_class_name" not in scheduler:
            raise ZooError("it has no _class_name")
        noise = parametrisation(scheduler)
    except ZooError as error:
        raise ZooError(f"{where}: {SCHEDULER}: {error}") from error
    try:
        labels = class_count(unet, null_class)
    except ZooError as error:
        raise ZooError(f"{where}: {error}") from error
    network = {
        "unet": {k: v for k, v in unet.items() if not k.startswith("_")},
        "scheduler": kept(scheduler),
    }
    return Config(
        format=1,
        data=Data(
            _shape(unet, where), labels=labels, classes=names if len(names) == labels else ()
        ),
        kernel=noise.kernel,
        prior=Part(noise.kernel.use),
        network=Part("diffusers", network | ({"null_class": True} if null_class else {})),
        solver=SolverPart("heun", steps=_STEPS),
        requires=(NEEDS,),
    )


def check_unet(unet: Mapping[str, Any], where: str) -> None:
    """Raise ZooError unless the settings are those of a UNet2DModel that predicts images."""
    name = unet.get("_class_name")
    if name != "UNet2DModel":
        kind = "a conditional model" if "Condition" in str(name) else "another kind of model"
        raise ZooError(f"{where} is {kind}, {name!s:.60}; {_READS}")
    channels = unet.get("in_channels", 3), unet.get("out_channels", 3)
    if channels[0] != channels[1]:
        raise ZooError(
            f"{where}: the network takes {channels[0]!r:.30} channels and returns "
            f"{channels[1]!r:.30}; only those that predict an image are read, not variances too"
        )


def _shape(unet: Mapping[str, Any], where: str) -> tuple[int, ...]:
    size = unet.get("sample_size")
    sides = size if isinstance(size, list) else [size, size]
    shape = (unet.get("in_channels", 3), *sides)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    if len(shape) != 3 or not whole or math.prod(shape) > 2**31:
        raise ZooError(f"{where}: sample_size = {size!r}; expected the side of its images")
    return shape
