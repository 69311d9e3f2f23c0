"""Which files of a repository of diffusers hold its networks: folders, variants, shards."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from zoo import ZooError
from zoo.formats import read_tensors
from zoo.interfaces import Files

INDEX, SETTINGS, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
AVERAGED = "unet_ema/"
_STEM = "diffusion_pytorch_model"
# NAME[.variant].safetensors, and the index of shards: NAME.safetensors.index[.variant].json.
_WHOLE = re.compile(rf"{_STEM}(?:\.([\w-]+))?\.(safetensors|bin)")
_LIST = re.compile(rf"{_STEM}\.(safetensors|bin)\.index(?:\.([\w-]+))?\.json")
_SHARD_OF = re.compile(r"-\d+-of-\d+\Z")
# NAME[.variant]-00001-of-00002[.variant].safetensors: diffusers has written both.
_PART = re.compile(rf"{_STEM}(?:\.([\w-]+?))?-\d+-of-\d+(?:\.([\w-]+))?\.(safetensors|bin)")
_SHARD = re.compile(rf"{_STEM}[\w.-]*\.(?:safetensors|bin)")
# Of all networks together: what one file of weights may have.
_MOST_SHARDS, MOST_BYTES = 1000, 2**36


class Weights(NamedTuple):
    """The weights of one network: a file, or an index of several; the variant, "" for none."""

    name: str
    variant: str
    sharded: bool


def folder_of(
    names: Collection[str], where: str, averaged: bool, parts: Collection[str] = ()
) -> str:
    """Return the folder of the network, "unet/", "transformer/", "" or "unet_ema/".

    The pipeline's own network is in the folder that `parts`, those of model_index.json, name, else
    in unet/; its average over training, where it is kept apart, in unet_ema/, which is taken where
    it is asked for or alone.

    Raises:
        ZooError: there is no such folder.
    """
    own = ("transformer/", "unet/") if "transformer" in parts else ("unet/", "transformer/")
    order = (AVERAGED,) if averaged else (*own, "", AVERAGED)
    found = next((folder for folder in order if f"{folder}{SETTINGS}" in names), None)
    if found is None:
        wanted = " or ".join(f"{folder}{SETTINGS}" for folder in reversed(order))
        raise ZooError(f"{where} has no {wanted}; expected a network in diffusers' format")
    return found


def weights_of(
    names: Collection[str], folder: str, where: str, variant: str | None, *, or_other: bool = False
) -> Weights:
    """Return where the weights are: without a variant if they can be, safetensors before .bin.

    Args:
        names: of all files.
        folder: of the network.
        where: how errors name the files.
        variant: such as fp16; None for none, or for the only one that there is.
        or_other: where there is no such variant, take the weights as for None.

    Raises:
        ZooError: there are none, or only variants, several of them.
    """
    found: dict[tuple[str, bool, bool], Weights] = {}
    for path in names:
        inside, _, name = path.rpartition("/")
        if (f"{inside}/" if inside else "") != folder:
            continue
        if (match := _WHOLE.fullmatch(name)) and not _SHARD_OF.search(match[1] or ""):
            kind, given, sharded = match[2], match[1] or "", False
        elif match := _LIST.fullmatch(name):
            kind, given, sharded = match[1], match[2] or "", True
        else:
            continue
        found[given, kind == "bin", sharded] = Weights(path, given, sharded)
    known = sorted({key[0] for key in found})
    if variant is None or (or_other and variant not in known):
        variant = "" if "" in known or len(known) != 1 else known[0]
        if "" not in known and len(known) > 1:
            raise ZooError(
                f"{where} has its weights as the variants {', '.join(known)[:100]}; choose one by "
                f"format_options={{'variant': {known[0]!r:.40}}}"
            )
    best = min((key for key in found if key[0] == variant), default=None)
    if best is None:
        named = f"{folder}{_STEM}.bin or {folder}{_STEM}.safetensors"
        if variant:
            there = f"it has {', '.join(k or 'none' for k in known)[:100]}"
            raise ZooError(f"{where} has no weights of the variant {variant!r:.40}; {there}")
        raise ZooError(f"{where} has no {named}; expected a network in diffusers' format")
    return found[best]


def files_of(names: Collection[str], weights: Weights) -> tuple[str, ...]:
    """Return the files of weights, as far as names alone tell: an index names its shards itself."""
    if not weights.sharded:
        return (weights.name,)
    folder, _, index = weights.name.rpartition("/")
    kind = index.removeprefix(f"{_STEM}.").partition(".")[0]
    found = []
    for path in names:
        inside, _, name = path.rpartition("/")
        given = _PART.fullmatch(name) if inside == folder else None
        if given and given[3] == kind and (given[1] or given[2] or "") == weights.variant:
            found.append(path)
    return tuple(sorted(found))


def read_weights(
    files: Files, weights: Weights, most: int = MOST_BYTES
) -> tuple[dict[str, Tensor], int]:
    """Return the tensors of one network, and how many of `most` bytes of files are left.

    Raises:
        ZooError: they cannot be read; shards are not those of their index; they are larger.
    """
    if not weights.sharded:
        path = files.path(weights.name, most)
        return read_tensors(path), most - path.stat().st_size
    paths, listed = shards_of(files, weights.name, most)
    found = read_tensors(*paths)
    if differ := sorted(found.keys() ^ listed.keys()):
        raise ZooError(f"{files.where}: {weights.name} and its shards differ in {differ[0]!r:.100}")
    return found, most - sum(path.stat().st_size for path in paths)


def shards_of(
    files: Files, index: str, left: int = MOST_BYTES
) -> tuple[list[Path], Mapping[str, str]]:
    """Return the shards that an index names, each held to the rules of any file, and the index.

    Raises:
        ZooError: the index is none, names a file elsewhere or one that is not there, or all
            together are larger than `left` bytes.
    """
    listed = files.settings(index).get("weight_map")
    where = f"{files.where}: {index}"
    if not isinstance(listed, dict) or not listed:
        raise ZooError(f"{where} has no weight_map; expected tensors with the shards they are in")
    if not all(isinstance(shard, str) for shard in listed.values()):
        raise ZooError(f"{where}: weight_map holds more than names of files")
    shards = sorted({*listed.values()})
    if len(shards) > _MOST_SHARDS:
        raise ZooError(f"{where} names {len(shards)} shards; at most {_MOST_SHARDS} are read")
    folder, paths = index.rpartition("/")[0], []
    for shard in shards:
        path = f"{folder}/{shard}" if folder else shard
        if not _SHARD.fullmatch(shard) or path not in files.names:
            raise ZooError(f"{where} names the shard {shard!r:.100}, which is not beside it")
    for shard in shards:
        paths.append(files.path(f"{folder}/{shard}" if folder else shard, left))
        left -= paths[-1].stat().st_size
    return paths, listed
