"""Models of images as diffusers saves them, from the Hub or a folder.

Two layouts: a pipeline's, with model_index.json and the subfolders unet/ or transformer/,
scheduler/ and, of latent models, vae/ or vqvae/; and the old flat one, with everything at the root.
Weights are one file or shards under an index, plain or of a variant such as fp16; see `layout`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Checkpoint, Config, Data, Files, Format, Latent, Part, SolverPart
from zoo_diffusers.autoencoder import sizes
from zoo_diffusers.denoisers import DIT, READS, class_count, kind_of, shape_of
from zoo_diffusers.layout import (
    AVERAGED,
    INDEX,
    MOST_BYTES,
    SCHEDULER,
    SETTINGS,
    files_of,
    folder_of,
    read_weights,
    weights_of,
)
from zoo_diffusers.modules import NEEDS
from zoo_diffusers.parametrisation import SHORT, kept, parametrisation

# Attention as diffusers called it until 2023.
_OLD = re.compile(r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_AUTOENCODERS = ("vae", "vqvae")
_TEXT = {"text_encoder", "text_encoder_2", "tokenizer", "bert", "image_encoder", "prior"}
_SOUND = {"mel", "vocoder", "audio_encoder"}
_STEPS = 18


class DiffusersFormat(Format):
    """Models of images that diffusers saved: a UNet2DModel or a DiT, and what its scheduler says.

    Where an autoencoder, AutoencoderKL or VQModel, is saved beside the network, the model is one of
    latents, and the autoencoder decodes its samples.

    Args:
        scheduler: of a network that comes without one, or instead of its own: ddpm, ddim, flow,
            edm or ve with the defaults of its class, the name of a class, or settings as in
            scheduler_config.json.
        prediction_type: what the network predicts, instead of the scheduler's: epsilon, sample,
            v_prediction.
        null_class: whether the last class stands for "no class"; None for yes of a DiT and where
            model_index.json names all classes but the last, else no.
        variant: of the weights, such as fp16; None for those without one, else the only one.
        ema: take the average in unet_ema/ instead of unet/.

    Raises:
        ZooError: an option is none.
    """

    # The Hub gives models of classes no task; it names the pipeline of each in a tag.
    hub_tags = (
        "diffusers",
        ("unconditional-image-generation", "diffusers:DiTPipeline", "diffusers:LDMPipeline"),
    )
    edition = 3  # with latent models, without sides that a UNet2DModel cannot halve

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
        folder = folder_of(files.names, files.where, self.ema, _parts(index))
        settings = files.settings(f"{folder}{SETTINGS}")
        kind = kind_of(settings, files.where)
        encoder = _autoencoder(index, files)
        scheduler = self._scheduler(self._saved(files))
        names = _classes(index)
        config = translate(
            kind,
            settings,
            scheduler,
            files.where,
            null_class=self._has_null(kind, settings, names),
            names=names,
            autoencoder=files.settings(f"{encoder}{SETTINGS}") if encoder else None,
        )
        parts = {f"{_inner(kind)}.": weights_of(files.names, folder, files.where, self.variant)}
        if encoder:
            parts["autoencoder.model."] = weights_of(
                files.names, encoder, files.where, self.variant, or_other=True
            )

        def tensors() -> dict[str, Tensor]:
            state: dict[str, Tensor] = {}
            left = MOST_BYTES
            for prefix, weights in parts.items():
                found, left = read_weights(files, weights, left)
                state |= {f"{prefix}{_renamed(name)}": value for name, value in found.items()}
            return state

        named = [name for weights in parts.values() for name in files_of(files.names, weights)]
        return Checkpoint(config, tensors, files=tuple(named))

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

    def _has_null(self, kind: str, settings: Mapping[str, Any], names: tuple[str, ...]) -> bool:
        if self.null_class is not None or kind == DIT:
            return self.null_class is not False
        count = settings.get("num_class_embeds")
        return bool(names) and isinstance(count, int) and count == len(names) + 1


def _is_network(files: Files) -> bool:
    """Return whether there is a network of diffusers without a pipeline."""
    folders = ("", "unet/", "transformer/", AVERAGED)
    paths = [f"{folder}{SETTINGS}" for folder in folders]
    path = next((path for path in paths if path in files.names), None)
    return path is not None and "_class_name" in files.settings(path)


def _renamed(name: str) -> str:
    """Return the name that a tensor has today."""
    old = _OLD.fullmatch(name)
    return f"{old[1]}.{_NEW[old[2]]}.{old[3]}" if old else name


def _inner(kind: str) -> str:
    """Return what the zoo's network calls the one inside it."""
    return "transformer" if kind == DIT else "unet"


def _autoencoder(index: Mapping[str, Any], files: Files) -> str:
    """Return the folder of the autoencoder, "" for none: as model_index.json says, if there is one.

    Raises:
        ZooError: it names one that is not there.
    """
    found = [f"{n}/" for n in _AUTOENCODERS if n in _parts(index)]
    there = [f"{n}/" for n in _AUTOENCODERS if f"{n}/{SETTINGS}" in files.names]
    folder = next(iter(found if index else there), "")
    if folder and folder not in there:
        raise ZooError(f"{files.where} has no {folder}{SETTINGS}, which {INDEX} names")
    return folder


def _parts(index: Mapping[str, Any]) -> set[str]:
    """Return the parts that model_index.json names: [library, class]; [null, null] is none."""
    lists = {k: v for k, v in index.items() if not k.startswith("_") and isinstance(v, list)}
    return {k for k, names in lists.items() if any(name is not None for name in names)}


def _classes(index: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names in model_index.json's id2label, none where they are not 0, 1, ... named.

    What two classes are called, as two of ImageNet are, is followed by their numbers.
    """
    found = index.get("id2label")
    if not isinstance(found, dict) or len(found) > 100_000:
        return ()
    names = [found.get(str(i)) for i in range(len(found))]
    plain = [n for n in names if isinstance(n, str) and n.isprintable() and 0 < len(n) <= 200]
    if len(plain) != len(names):
        return ()
    often = Counter(plain)
    one = tuple(n if often[n] == 1 else f"{n[:180]} ({i})" for i, n in enumerate(plain))
    return one if len({*one}) == len(one) else ()


def check_index(index: Mapping[str, Any], where: str) -> None:
    """Raise ZooError unless model_index.json names a network, its scheduler, an autoencoder."""
    parts = _parts(index)
    pipeline = str(index.get("_class_name", ""))[:60]
    kind = _makes(pipeline, index)
    if text := sorted(parts & _TEXT):
        raise ZooError(
            f"{where} is a conditional model of {kind}, it has a {text[0]} ({pipeline}); {READS}"
        )
    other = sorted(parts - {"unet", "unet_ema", "transformer", "scheduler", *_AUTOENCODERS})
    if other and kind != "images":
        raise ZooError(f"{where} is a model of {kind}, it has a part {other[0]!r:.60}; {READS}")
    if other:
        raise ZooError(f"{where} has a part {other[0]!r:.60}; {READS}")
    for pair in ({"unet", "transformer"}, {*_AUTOENCODERS}):
        if pair <= parts:
            raise ZooError(f"{where} has both a {' and a '.join(sorted(pair))}; {READS}")


def _makes(pipeline: str, index: Mapping[str, Any]) -> str:
    """Return what a pipeline makes, by its name and its classes: video, sound or else images."""
    parts = _parts(index)
    classes = " ".join(f"{index[part]}"[:200] for part in sorted(parts - {"scheduler"}))
    if re.search("Video|[A-Z]2V", pipeline):
        return "video"
    if re.search("3DModel|3DCondition|Video|Motion|SpatioTemporal", classes):
        return "images" if re.search("Image|[TI]2I", pipeline) else "video"
    sound = parts & _SOUND or re.search("Audio|Music|Oobleck", f"{pipeline} {classes}")
    return "sound" if sound else "images"


def translate(
    kind: str,
    settings: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    where: str,
    *,
    null_class: bool = False,
    names: tuple[str, ...] = (),
    autoencoder: Mapping[str, Any] | None = None,
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
    shape = shape_of(kind, settings, where)
    try:
        labels = class_count(kind, settings, null_class)
        known = None if autoencoder is None else sizes(autoencoder)
        image = shape if known is None else known.image_shape(shape)
    except ZooError as error:
        raise ZooError(f"{where}: {error}") from error
    network: dict[str, Any] = {_inner(kind): _plain(settings), "scheduler": kept(scheduler)}
    network |= {"null_class": True} if null_class else {}
    if known is not None and autoencoder is not None:
        network["autoencoder"] = {"_class_name": known.name, **_plain(autoencoder)}
    return Config(
        format=1,
        data=Data(
            image,
            labels=labels,
            classes=names if len(names) == labels else (),
            latent=None if known is None else Latent(shape, known.name),
        ),
        kernel=noise.kernel,
        prior=Part(noise.kernel.use),
        network=Part("diffusers", network),
        solver=SolverPart("heun", steps=_STEPS),
        requires=(NEEDS,),
    )


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if not k.startswith("_")}
