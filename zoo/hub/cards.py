"""The card that a push publishes: the prose that the Hub has, the facts of the folder."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.card import FACTS, write_card
from zoo.card_edit import cut, licence_of, refresh, renew
from zoo.folder import PICTURE, read_card, read_config
from zoo.hub.named import namespace
from zoo.hub.published import Published
from zoo.loading import load


def card_for(there: Published, folder: Path) -> str:
    """Return the folder's card, or the one that is there with its facts refreshed from it.

    Args:
        there: what the push builds upon.
        folder: the model folder.
    """
    owner, _, name = there.repo.partition("/")
    card = _own(folder, name, licence_of(there.card))
    card = _loaded_as(card, name if owner == namespace() else there.repo)
    return refresh(there.card, card) if there.card else card


def _own(folder: Path, name: str, licence: str) -> str:
    """Return the folder's card, its block of facts written anew from config.json and weights.

    `licence` is what the repository's card says; the folder's own goes before it.
    """
    config, card = read_config(folder), read_card(folder)
    picture = PICTURE if (folder / PICTURE).is_file() else ""
    if licence_of(card) not in ("", "unknown"):
        licence = licence_of(card)
    # Weights elsewhere are not fetched only to be counted.
    network = None if config.weights.repo else load(f"path:{folder}").network
    fresh = write_card(name, config, network=network, picture=picture, licence=licence)
    if not cut(card)[1]:
        return refresh(card, fresh) if card else fresh
    return renew(card, fresh) if network else card


def with_picture(card: str, caption: str) -> str:
    """Return the card with the picture above its facts, captioned; as it is if it shows one."""
    shown = f"![{caption}]({PICTURE})"
    if f"]({PICTURE})" in card or FACTS not in card:
        return card.replace(f"![samples]({PICTURE})", shown)
    return card.replace(FACTS, f"{shown}\n\n{FACTS}", 1)


def _loaded_as(card: str, ref: str) -> str:
    """Return the card with `ref` in the load lines of its facts; what prose loads is its own."""
    before, facts, after = cut(card)
    facts = re.sub(r'zoo\.load\("[^"]*"\)', lambda _: f'zoo.load("{ref}")', facts)
    facts = re.sub(r"`zoo sample \S+", lambda _: f"`zoo sample {ref}", facts)
    return f"{before}{facts}{after}"
