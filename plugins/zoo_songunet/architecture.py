"""The architecture of a DDPM++ or NCSN++ network, read off the names and shapes of its state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo import ZooError
from zoo.interfaces import Part

_STEM = re.compile(r"enc\.(\d+)x\1_conv\.weight\Z")
_FIRST = re.compile(r"enc\.(\d+)x\1_block0\.conv0\.weight\Z")


def architecture(state: Mapping[str, Tensor], where: str) -> tuple[Part, tuple[int, int, int]]:
    """Return the network component with its options, and the shape of the images.

    Args:
        state: names as in the reference, with or without the wrapper's "model." removed.
        where: names the file in errors.

    Raises:
        ZooError: it is not the state of such a network.
    """
    stems = [match for name in state if (match := _STEM.match(name))]
    firsts = [(int(m[1]), state[m[0]]) for name in state if (m := _FIRST.match(name))]
    if len(stems) != 1 or not firsts or state[stems[0][0]].ndim != 4:
        some = ", ".join(sorted(state)[:2]) or "nothing"
        raise ZooError(
            f"{where} is not the state of a DDPM++ or NCSN++ network (SongUNet): it holds {some}"
        )
    side = int(stems[0][1])
    width, channels = state[stems[0][0]].shape[:2]
    sides = sorted(firsts, key=lambda item: -item[0])
    blocks = [n for n in state if re.match(rf"enc\.{side}x{side}_block\d+\.conv0\.weight\Z", n)]
    options: dict[str, Any] = {
        "width": width,
        "multipliers": [len(weight) // width for _, weight in sides],
        "blocks": len(blocks),
        "attention": [s for s, _ in sides if f"enc.{s}x{s}_block0.qkv.weight" in state],
    }
    for option, name in (("labels", "map_label.weight"), ("augment", "map_augment.weight")):
        if name in state and state[name].ndim == 2:
            options[option] = state[name].shape[1]
    pyramid = any("aux_residual" in name for name in state)
    return Part("ncsnpp" if pyramid else "ddpmpp", options), (channels, side, side)
