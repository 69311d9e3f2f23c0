"""Publish a model folder in its Hub repository, in one commit or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from zoo.errors import ZooError, one_line
from zoo.folder.read import CARD, CONFIG, PICTURE, check_weights, read_config, refuse_links
from zoo.hub.access import REPOSITORY, Access
from zoo.hub.cards import RemoteModel, card_for
from zoo.hub.client import Unreachable, connect, hub_errors

_EXISTS = 409
# Who may not make a repository there may still write to the one that there is, or propose to.
_MAY_NOT_MAKE = (401, 402, 403)


def check_repository(repo_id: str, revision: str | None, create_pr: bool) -> None:
    """Raise ZooError unless `repo_id` is "owner/name", and revision and create_pr go together."""
    if not isinstance(repo_id, str) or not REPOSITORY.fullmatch(repo_id):
        is_pinned = isinstance(repo_id, str) and REPOSITORY.match(repo_id.partition("@")[0])
        hint = ", and a branch as the revision" if is_pinned else ""
        raise ZooError(f"{repo_id!r} is not a repository; expected owner/name{hint}")
    if create_pr and revision is not None:
        raise ZooError("a pull request goes to main; give revision or create_pr, not both")


def publish(
    folder: Path,
    repo_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    keep_picture: bool = False,
) -> str:
    """Publish a model folder in one commit and return the commit's URL.

    Args:
        folder: of the model.
        repo_id: "owner/name".
        private: of a repository that this makes; True refuses one that exists and is public.
        token: with the right to write; None for the one of `hf auth login`.
        revision: branch to commit to; None for main.
        create_pr: open a pull request instead.
        keep_picture: leave the picture that is there if config.json is the same: a picture that
            is drawn anew differs by rounding.

    Raises:
        ZooError: as for zoo.push.
    """
    check_repository(repo_id, revision, create_pr)
    with _online(repo_id), hub_errors(repo_id, revision):
        files = _files(folder)
        api = connect(token)
        with _base_commit(api, repo_id, revision, private) as head:
            remote = RemoteModel(repo_id, head, Access(token))
            if keep_picture and PICTURE in remote.listing and remote.config == read_config(folder):
                files = [path for path in files if path.name != PICTURE]
            card = card_for(remote, folder)
            operations = [CommitOperationAdd(CARD, card.encode())]
            operations += [CommitOperationAdd(path.name, path) for path in files]
            gone = sorted(remote.weights - {path.name for path in files})
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
def _online(repo: str) -> Iterator[None]:
    """Reword the error about a Hub that cannot be asked for a push."""
    try:
        yield
    except Unreachable as error:
        raise Unreachable(
            f"{repo}: the push was broken off, the Hub cannot be asked ({error.reason}): push "
            "again while online",
            error.reason,
        ) from error


def _files(folder: Path) -> list[Path]:
    """Return the files to publish besides the card: checked, and none of them a link outside."""
    refuse_links(folder)
    config = read_config(folder)
    own = [] if config.weights.repo else check_weights(folder, config.weights)
    picture = folder / PICTURE
    return [folder / CONFIG, *own, *([picture] if picture.is_file() else [])]


@contextmanager
def _base_commit(api: HfApi, repo: str, revision: str | None, private: bool) -> Iterator[str]:
    """Yield the commit to build upon; a repository or branch made for it goes if the body fails."""
    made = _make_repository(api, repo, private)
    branched = False
    try:
        try:
            info = api.model_info(repo, revision=revision)
        except RevisionNotFoundError:
            api.create_branch(repo, branch=str(revision))
            branched = True
            info = api.model_info(repo, revision=revision)
        if private and info.private is False:
            raise ZooError(
                f"{repo} is there already, and public: what you want private would be published; "
                "make it private on the Hub first, or push to another name"
            )
        yield str(info.sha)
    except BaseException as error:
        with _report_leftover(repo, error):
            if made:
                api.delete_repo(repo)
            elif branched:
                api.delete_branch(repo, branch=str(revision))
        raise


@contextmanager
def _report_leftover(repo: str, cause: BaseException) -> Iterator[None]:
    """Raise one error for the first failure and for the clean-up that failed after it."""
    try:
        yield
    except Exception as error:
        raise ZooError(
            f"{repo}: {one_line(cause)}; what was made for the push, still empty, could not be "
            f"taken back: delete it by hand ({one_line(error)})"
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
