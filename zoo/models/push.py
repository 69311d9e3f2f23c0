"""zoo.push: publish a model in memory, a model folder, or a model by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.hub import Access
from zoo.hub.publish import check_repository, publish
from zoo.models.locate import folder_of
from zoo.models.model import FieldModel


def push(
    model: FieldModel | str | Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> str:
    """Publish a model and return the URL of the commit.

    One commit with the card, config.json, the weights and the picture, which is drawn for a model
    in memory; weight files that the model there had under other names go. The repository and the
    branch are made where they do not exist, and taken back if the commit then fails. Where nothing
    changed there is no new commit, and the last one's URL is returned. A card that is there
    already keeps its prose; its facts are refreshed.

    Args:
        model: a model, a model folder, or the name of one at hand.
        repo_id: "owner/name".
        private: of a repository that this makes; True refuses one that exists and is public.
        token: with the right to write; None for the one of `hf auth login`.
        revision: branch to commit to; None for main.
        create_pr: open a pull request instead.

    Raises:
        ZooError: the folder is not sound, the repository is public where a private one is wanted,
            or the Hub refuses.
    """
    options: dict[str, Any] = {"private": private, "token": token}
    options |= {"revision": revision, "create_pr": create_pr}
    if isinstance(model, FieldModel):
        return model.push_to_hub(repo_id, **options)
    check_repository(repo_id, revision, create_pr)
    return publish(folder_of(model, access=Access(token)), repo_id, **options)
