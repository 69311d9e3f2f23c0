"""Publish a model folder in its Hub repository, in one commit or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from zoo.config.model import MAX_CONFIG_BYTES, Config, parse_config
from zoo.errors import ZooError, check_flag, one_line, shown
from zoo.folder.card import write_card
from zoo.folder.card_edit import license_of, loaded_as, refresh, replace_facts, split_facts
from zoo.folder.eval_results import EVAL_RESULTS, eval_yaml
from zoo.folder.read import (
    CARD,
    CONFIG,
    MAX_CARD_BYTES,
    PICTURE,
    check_weights,
    read_card,
    read_config,
    refuse_links,
)
from zoo.folder.results import measured
from zoo.folder.weights import untrained_parameters
from zoo.hub import REPOSITORY, Access, check_token
from zoo.hub.client import connect, namespace, server
from zoo.hub.errors import Unreachable, hub_errors
from zoo.hub.snapshot import Snapshot

_EXISTS = 409
# Who may not make a repository there may still write to the one that there is, or propose to.
_MAY_NOT_MAKE = (401, 402, 403)


def check_repository(repo_id: str, revision: str | None, create_pr: bool) -> None:
    """Raise ZooError unless `repo_id` is "owner/name", and revision and create_pr go together."""
    if not isinstance(repo_id, str) or not REPOSITORY.fullmatch(repo_id):
        is_pinned = isinstance(repo_id, str) and REPOSITORY.match(repo_id.partition("@")[0])
        hint = ", and a branch as the revision" if is_pinned else ""
        raise ZooError(f"{repo_id!r} is not a repository; expected owner/name{hint}")
    if check_flag("create_pr", create_pr) and revision is not None:
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
    check_token(token)
    check_flag("private", private)
    with _broken_off(repo_id), hub_errors(repo_id, revision, token):
        files = _files(folder)
        api = connect(token)
        with _base_commit(api, repo_id, revision, private) as head:
            remote = RemoteModel(repo_id, head, Access(token))
            if keep_picture and PICTURE in remote.listing and remote.config == read_config(folder):
                files = [path for path in files if path.name != PICTURE]
            card = _card_for(remote, folder)
            operations = [CommitOperationAdd(CARD, card.encode()), *_added(folder, files)]
            gone = sorted(remote.weights - {path.name for path in files})
            config = read_config(folder)
            figures = config.training.replace(evaluation=measured(config))
            if results := eval_yaml(figures):
                operations.append(CommitOperationAdd(EVAL_RESULTS, results))
            elif EVAL_RESULTS in remote.listing:
                gone.append(EVAL_RESULTS)
            commit = api.create_commit(
                repo_id,
                [*operations, *map(CommitOperationDelete, gone)],
                commit_message=f"Publish {repo_id.partition('/')[2]} with fieldzoo",
                revision=revision,
                create_pr=create_pr,
                parent_commit=head,
            )
    return shown(commit.commit_url, 500)


@contextmanager
def _broken_off(repo: str) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        raise Unreachable(
            f"{repo}: the push was broken off, {server()} cannot be asked ({error.reason}): push "
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


def _added(folder: Path, files: list[Path]) -> list[CommitOperationAdd]:
    """Return the additions of files, whose hashes they hold: those of weights are config.json's."""
    listed = read_config(folder).weights.files
    found = [CommitOperationAdd(path.name, path) for path in files]
    for path, added in zip(files, found, strict=True):
        if path.name in listed and added.upload_info.sha256.hex() != listed[path.name].sha256:
            raise ZooError(f"{path} was changed while it was pushed; push again")
    return found


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
        if entry is None or not 0 < entry.size <= limit:
            return b""
        return self.fetch(file, limit=limit).read_bytes()


def _card_for(remote: RemoteModel, folder: Path) -> str:
    """Return the folder's card, or the one of the repository with its facts refreshed from it."""
    owner, _, name = remote.repo.partition("/")
    card = _own(folder, name, license_of(remote.card))
    card = loaded_as(card, name if owner == namespace() else remote.repo)
    return refresh(remote.card, card) if remote.card else card


def _own(folder: Path, name: str, license: str) -> str:
    """Return the folder's card, its block of facts written anew from config.json and weights.

    `license` is the one of the repository's card; the folder's own goes before it.
    """
    config = read_config(folder)
    card = read_card(folder)
    picture = PICTURE if (folder / PICTURE).is_file() else ""
    own = license_of(card)
    license = license if own in ("", "unknown") else own
    # Another repository's weights are counted by whoever pushes that one.
    counted = 0 if config.weights.repo else untrained_parameters(config, str(folder))
    fresh = write_card(name, config, parameters=counted, picture=picture, license=license)
    if not split_facts(card)[1]:
        return refresh(card, fresh) if card else fresh
    return replace_facts(card, fresh) if counted else card
