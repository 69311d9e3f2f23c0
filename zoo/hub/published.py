"""What a repository already holds at the commit that a push builds upon."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

from zoo.__about__ import __version__
from zoo.config.model import MAX_CONFIG_BYTES, Config, parse_config
from zoo.errors import ZooError
from zoo.folder.read import CARD, CONFIG, MAX_CARD_BYTES
from zoo.hub.client import LIBRARY, endpoint


class Published:
    """One commit of a repository.

    Attributes:
        repo: "owner/name".
    """

    def __init__(self, api: HfApi, repo: str, commit: str) -> None:
        self.repo = repo
        self._api, self._commit = api, commit

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Name of each file -> its size in bytes."""
        info = self._api.model_info(self.repo, revision=self._commit, files_metadata=True)
        return {file.rfilename: file.size or 0 for file in info.siblings or ()}

    @cached_property
    def card(self) -> str:
        """The card, its line ends those of Unix; "" if there is none, or one too large."""
        text = self._read(CARD, MAX_CARD_BYTES).decode("utf-8", errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    @cached_property
    def config(self) -> Config | None:
        """Its config.json, None if what is there is no model of the zoo."""
        try:
            return parse_config(self._read(CONFIG, MAX_CONFIG_BYTES), CONFIG)
        except ZooError:
            return None

    @property
    def weights(self) -> set[str]:
        """The names of the weight files that its config.json lists."""
        return set(self.config.weights.files) if self.config else set()

    def _read(self, file: str, limit: int) -> bytes:
        if not 0 < self.sizes.get(file, 0) <= limit:
            return b""
        return Path(
            hf_hub_download(
                self.repo,
                file,
                revision=self._commit,
                token=self._api.token,
                endpoint=endpoint(),
                library_name=LIBRARY,
                library_version=__version__,
            )
        ).read_bytes()
