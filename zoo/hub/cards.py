"""The card that a push publishes: the prose that the Hub has, the facts of the folder."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from zoo.config.model import MAX_CONFIG_BYTES, Config, parse_config
from zoo.errors import ZooError
from zoo.folder.card import write_card
from zoo.folder.card_edit import licence_of, refresh, replace_facts, split_facts
from zoo.folder.read import CARD, CONFIG, MAX_CARD_BYTES, PICTURE, read_card, read_config
from zoo.folder.weights import untrained_parameters
from zoo.hub.client import namespace
from zoo.hub.snapshot import Snapshot


class RemoteModel(Snapshot):
    """The model, if there is one, in a repository at one commit."""

    @cached_property
    def card(self) -> str:
        """The card, its line ends those of Unix; "" if there is none, or one too large."""
        text = self._read(CARD, MAX_CARD_BYTES).decode("utf-8", errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def config(self) -> Config | None:
        """Its config.json, None if the repository holds no model of the zoo."""
        try:
            return parse_config(self._read(CONFIG, MAX_CONFIG_BYTES), CONFIG)
        except ZooError:
            return None

    @property
    def weights(self) -> set[str]:
        """The names of the weight files that its config.json lists and the repository has."""
        return {*self.config.weights.files} & self.listing.keys() if self.config else set()

    def _read(self, file: str, limit: int) -> bytes:
        entry = self.listing.get(file)
        if entry is None or not 0 < (entry.size or 0) <= limit:
            return b""
        return self.fetch(file, limit=limit).read_bytes()


def card_for(remote: RemoteModel, folder: Path) -> str:
    """Return the folder's card, or the one of the repository with its facts refreshed from it.

    Args:
        remote: the repository at the commit that the push builds upon.
        folder: the model folder.
    """
    owner, _, name = remote.repo.partition("/")
    card = _own(folder, name, licence_of(remote.card))
    card = _loaded_as(card, name if owner == namespace() else remote.repo)
    return refresh(remote.card, card) if remote.card else card


def _own(folder: Path, name: str, licence: str) -> str:
    """Return the folder's card, its block of facts written anew from config.json and weights.

    `licence` is the one of the repository's card; the folder's own goes before it.
    """
    config = read_config(folder)
    card = read_card(folder)
    picture = PICTURE if (folder / PICTURE).is_file() else ""
    own = licence_of(card)
    licence = licence if own in ("", "unknown") else own
    # Another repository's weights are counted by whoever pushes that one.
    counted = 0 if config.weights.repo else untrained_parameters(config, str(folder))
    fresh = write_card(name, config, parameters=counted, picture=picture, licence=licence)
    if not split_facts(card)[1]:
        return refresh(card, fresh) if card else fresh
    return replace_facts(card, fresh) if counted else card


def _loaded_as(card: str, ref: str) -> str:
    """Return the card with `ref` in the load lines of its facts; those of its prose stay."""
    before, facts, after = split_facts(card)
    facts = re.sub(r'zoo\.load\("[^"]*"\)', lambda _: f'zoo.load("{ref}")', facts)
    facts = re.sub(r"`zoo sample \S+", lambda _: f"`zoo sample {ref}", facts)
    return f"{before}{facts}{after}"
