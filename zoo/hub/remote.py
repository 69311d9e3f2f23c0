"""What a repository already holds at the commit that a push builds upon."""

from __future__ import annotations

from functools import cached_property

from zoo.config.model import MAX_CONFIG_BYTES, Config, parse_config
from zoo.errors import ZooError
from zoo.folder.read import CARD, CONFIG, MAX_CARD_BYTES
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
