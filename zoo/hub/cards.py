"""The card that a push publishes: the prose that the Hub has, the facts of the folder."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download

from zoo.card import refresh, write_card
from zoo.folder import CARD, MAX_CARD_BYTES, read_card, read_config
from zoo.hub.client import endpoint
from zoo.hub.named import namespace


def card_for(api: HfApi, repo: str, commit: str, folder: Path) -> str:
    """Return the folder's card, or the one at `commit` with its facts refreshed from it.

    Args:
        api: the client.
        repo: "owner/name".
        commit: what the push builds upon.
        folder: the model folder.
    """
    owner, _, name = repo.partition("/")
    card = read_card(folder) or write_card(name, read_config(folder))
    card = _loaded_as(card, name if owner == namespace() else repo)
    there = api.model_info(repo, revision=commit, files_metadata=True).siblings or ()
    size = next((file.size or 0 for file in there if file.rfilename == CARD), 0)
    if not 0 < size <= MAX_CARD_BYTES:
        return card
    path = hf_hub_download(repo, CARD, revision=commit, token=api.token, endpoint=endpoint())
    return refresh(Path(path).read_text(encoding="utf-8", errors="replace"), card)


def _loaded_as(card: str, ref: str) -> str:
    """Return the card with `ref` in its load lines."""
    card = re.sub(r'zoo\.load\("[^"]*"\)', lambda _: f'zoo.load("{ref}")', card)
    return re.sub(r"`zoo sample \S+", lambda _: f"`zoo sample {ref}", card)
