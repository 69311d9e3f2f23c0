"""Pushing: a model folder to its Hub repository, in one commit or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from zoo.errors import ZooError
from zoo.folder import CARD, CONFIG, PICTURE, read_config, refuse_links
from zoo.hub.cards import card_for, with_picture
from zoo.hub.client import Unreachable, connect, one_line
from zoo.hub.published import Published
from zoo.locate import folder_of, weight_paths
from zoo.refs import Access, Hub, parse_ref

if TYPE_CHECKING:
    from zoo.model import FieldModel

_EXISTS = 409
# Who may not make a repository there may still write to the one that there is, or propose to.
_MAY_NOT_MAKE = (401, 402, 403)
# What the picture of a model in memory shows.
_SEED, _IMAGES, _POINTS = 0, 16, 500


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
    try:
        parsed = parse_ref(f"hub:{repo_id}")
    except ZooError as error:
        raise ZooError(f"{repo_id!r} is not a repository; expected owner/name") from error
    if not isinstance(parsed, Hub) or parsed.revision is not None:
        raise ZooError(
            f"{repo_id!r} is not a repository; expected owner/name, and a branch as the revision"
        )
    if create_pr and revision is not None:
        raise ZooError("a pull request goes to main; give revision or create_pr, not both")
    drawn = not isinstance(model, str | Path)
    with _folder(model, repo_id, token) as folder, _online(repo_id), one_line(repo_id, revision):
        files = _files(folder)
        api = connect(token)
        with _place(api, repo_id, revision, private) as head:
            there = Published(api, repo_id, head)
            if drawn and there.config == read_config(folder) and PICTURE in there.sizes:
                files = [path for path in files if path.name != PICTURE]  # the same to rounding
            card = card_for(there, folder)
            operations = [CommitOperationAdd(CARD, card.encode())]
            operations += [CommitOperationAdd(path.name, path) for path in files]
            kept = {path.name for path in files}
            gone = sorted(there.weights & there.sizes.keys() - kept)
            commit = api.create_commit(
                repo_id,
                [*operations, *map(CommitOperationDelete, gone)],
                commit_message=f"Publish {repo_id.partition('/')[2]} with fieldzoo",
                revision=revision,
                create_pr=create_pr,
                parent_commit=head,
            )
    return str(commit.commit_url)


@contextmanager
def _folder(model: FieldModel | str | Path, repo_id: str, token: str | None) -> Iterator[Path]:
    """Give the model's folder, a passing one with a picture for a model in memory."""
    if isinstance(model, str | Path):
        yield folder_of(model, access=Access(token))
        return
    from zoo.picture import drawable
    from zoo.saving import save_folder

    count = _IMAGES if len(model.shape) == 3 else _POINTS
    samples = model.sample(count, seed=_SEED) if drawable(model.shape) else None
    with tempfile.TemporaryDirectory() as passing:
        folder = save_folder(model, Path(passing) / repo_id.partition("/")[2], samples=samples)
        if samples is not None:
            card = folder / CARD
            told = with_picture(card.read_text(encoding="utf-8"), f"{count} samples, seed {_SEED}")
            card.write_text(told, encoding="utf-8")
        yield folder


@contextmanager
def _online(repo: str) -> Iterator[None]:
    """Say of a Hub that cannot be asked what that means for a push."""
    try:
        yield
    except Unreachable as error:
        raise Unreachable(
            f"{repo}: the push was broken off, the Hub cannot be asked ({error.reason}): push "
            "again while online",
            error.reason,
        ) from error


def _files(folder: Path) -> list[Path]:
    """Return what is to be published besides the card: sound, and nothing from elsewhere."""
    refuse_links(folder)
    config = read_config(folder)
    own = [] if config.weights.repo else weight_paths(folder, config.weights)
    picture = folder / PICTURE
    return [folder / CONFIG, *own, *([picture] if picture.is_file() else [])]


@contextmanager
def _place(api: HfApi, repo: str, revision: str | None, private: bool) -> Iterator[str]:
    """Give the commit to build upon; what this made to have one goes if the body fails."""
    made = _make_repository(api, repo, private)
    branched = False
    try:
        try:
            there = api.model_info(repo, revision=revision)
        except RevisionNotFoundError:
            api.create_branch(repo, branch=str(revision))
            branched = True
            there = api.model_info(repo, revision=revision)
        if private and there.private is False:
            raise ZooError(
                f"{repo} is there already, and public: what you want private would be published; "
                "make it private on the Hub first, or push to another name"
            )
        yield str(there.sha)
    except BaseException as error:
        with _told_if_left(repo, error):
            if made:
                api.delete_repo(repo)
            elif branched:
                api.delete_branch(repo, branch=str(revision))
        raise


@contextmanager
def _told_if_left(repo: str, cause: BaseException) -> Iterator[None]:
    """Say in one line what failed first and that it could not be taken back either."""
    try:
        yield
    except Exception as error:
        first = " ".join(str(cause).split())
        raise ZooError(
            f"{repo}: {first}; what was made for the push, still empty, could not be taken back: "
            f"delete it by hand ({' '.join(str(error).split())})"
        ) from cause


def _make_repository(api: HfApi, repo: str, private: bool) -> bool:
    """Return whether the repository had to be made."""
    try:
        api.create_repo(repo, private=private or None)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status != _EXISTS and not (status in _MAY_NOT_MAKE and api.repo_exists(repo)):
            raise
        return False
    return True
