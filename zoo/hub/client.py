"""The Hub's client, and its failures as errors of one line."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import HfApi, utils
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from zoo.__about__ import __version__
from zoo.errors import ZooError

NAMESPACE = "fieldzoo"
_TOKEN = re.compile(r"[!-~]+")
_LATER = (408, 429)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class NotOnHub(ZooError):
    """The repository does not exist, or hides from this user."""


class Unreachable(ZooError):
    """The Hub cannot be asked, and what is wanted is not on this disk.

    Attributes:
        reason: why not, in a word or two.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def endpoint() -> str | None:
    """Return $HF_ENDPOINT, None for the client's own default; read at every call."""
    return os.environ.get("HF_ENDPOINT") or None


def namespace() -> str:
    """Return the Hub namespace that zoo names live in: $ZOO_HUB_NAMESPACE or the zoo's own."""
    return os.environ.get("ZOO_HUB_NAMESPACE") or NAMESPACE


def connect(token: str | None = None) -> HfApi:
    """Return the Hub's client; its requests name this library and its version.

    Raises:
        ZooError: no token can look like this one.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        what = "has a blank or a letter that no token has" if token.strip() else "is empty"
        raise ZooError(f"the token {what}: pass another, or none for the one of `hf auth login`")
    return HfApi(
        endpoint=endpoint(), token=token, library_name="fieldzoo", library_version=__version__
    )


@contextmanager
def hub_errors(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn whatever the client raises about `repo` into a ZooError of one line.

    Raises:
        NotOnHub: no such repository.
        Unreachable: no network, or offline mode.
        ZooError: any other failure.
    """
    try:
        with bars_on_terminals_only():
            yield
    except ZooError:
        raise
    except Exception as error:
        raise _zoo_error(error, repo, revision) from error


@contextmanager
def bars_on_terminals_only(library: Any = utils) -> Iterator[None]:
    """Keep the progress bars of the client, or of `datasets`, out of pipes and logs."""
    if sys.stderr.isatty() or library.are_progress_bars_disabled():
        yield
        return
    library.disable_progress_bars()
    try:
        yield
    finally:
        library.enable_progress_bars()


def _zoo_error(error: Exception, repo: str, revision: str | None) -> ZooError:
    """Return the ZooError for an error of the client; the most particular cases come first."""
    server = endpoint() or "the Hub"
    match error:
        case GatedRepoError():
            return ZooError(
                f"{repo} is gated: accept its terms on its page at {server}, then log in with "
                "`hf auth login` or pass token="
            )
        case RepositoryNotFoundError():
            return NotOnHub(
                f"there is no repository {repo} on {server}, or it is private: check the name, log "
                "in with `hf auth login` or pass token="
            )
        case RevisionNotFoundError():
            return ZooError(f"{repo} has no branch, tag or commit {revision!r}")
        case LocalEntryNotFoundError() | RevisionResolutionError() | OfflineModeIsEnabled():
            return _unreachable(error, repo, revision)
        case EntryNotFoundError():
            return ZooError(f"{repo}@{revision}: {_first_line(error)}")
        case HfHubHTTPError() if error.response.status_code == 401:
            return ZooError(f"{repo}: {server} refused the token: log in with `hf auth login`")
        case HfHubHTTPError() if error.response.status_code == 403:
            return ZooError(f"{repo}: {server} refuses: {_answer(error)}")
        case HfHubHTTPError():
            status = error.response.status_code
            later = "; try again later" if status >= 500 or status in _LATER else ""
            return ZooError(f"{repo}: {server} answered {status}: {_answer(error)}{later}")
        case HFValidationError():
            return NotOnHub(f"{repo!r} is not a Hub repository: {_first_line(error)}")
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        # "Error while uploading ..." alone says little.
        return _zoo_error(error.__cause__, repo, revision)
    if "xet-write-token" in str(error) and "404" in str(error):
        return ZooError(
            f"{repo}: {server} has no Xet storage, which the client wants to upload to: set "
            "HF_HUB_DISABLE_XET=1 and push again"
        )
    if connection_failed(error):
        return _unreachable(error, repo, revision)
    if str(error).startswith("Invalid metadata in README.md"):
        reasons = "; ".join(line.strip("- ") for line in str(error).splitlines()[1:])
        return ZooError(f"{repo}: {server} refuses the front matter of README.md: {reasons}")
    if isinstance(error, OSError) and error.errno in _FULL:
        return ZooError(
            f"{repo}: the disk is full; make room, or point cache_dir= or HF_HOME at another disk"
        )
    if isinstance(error, OSError) and error.filename:
        return ZooError(
            f"{repo}: {error.filename}: {error.strerror}; point cache_dir= or HF_HOME at a folder "
            "that can be written"
        )
    return ZooError(f"{repo}: {_first_line(error)}; nothing of it was kept, try again")


def _unreachable(error: Exception, repo: str, revision: str | None) -> Unreachable:
    """Return the error for a Hub that is not asked or does not answer."""
    at = f"@{revision}" if revision else ""
    cause = error if connection_failed(error) else error.__cause__ or error
    reason = type(cause).__name__ if connection_failed(cause) else "offline"
    if isinstance(cause, HfHubHTTPError):
        reason = f"it answered {cause.response.status_code}"
    return Unreachable(
        f"{repo}{at} is not complete on this disk and the Hub cannot be asked ({reason}): "
        f"fetch it once with `zoo pull {repo}{at}` while online",
        reason,
    )


def connection_failed(error: BaseException) -> bool:
    """Return whether it is a transport error of whichever HTTP library the client uses."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


def _answer(error: HfHubHTTPError) -> str:
    return (error.server_message or _first_line(error)).rstrip(".")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
