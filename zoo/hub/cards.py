"""The card that a push publishes: the prose that the Hub has, the facts of the folder."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.folder.card import write_card
from zoo.folder.card_edit import cut, licence_of, refresh, replace_facts
from zoo.folder.read import PICTURE, read_card, read_config
from zoo.folder.weights import untrained_parameters
from zoo.hub.client import namespace
from zoo.hub.published import Published


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
    counted = 0 if config.weights.repo else untrained_parameters(config, str(folder))
    fresh = write_card(name, config, parameters=counted, picture=picture, licence=licence)
    if not cut(card)[1]:
        return refresh(card, fresh) if card else fresh
    return replace_facts(card, fresh) if counted else card


def _loaded_as(card: str, ref: str) -> str:
    """Return the card with `ref` in the load lines of its facts; what prose loads is its own."""
    before, facts, after = cut(card)
    facts = re.sub(r'zoo\.load\("[^"]*"\)', lambda _: f'zoo.load("{ref}")', facts)
    facts = re.sub(r"`zoo sample \S+", lambda _: f"`zoo sample {ref}", facts)
    return f"{before}{facts}{after}"
