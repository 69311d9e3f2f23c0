"""What the Hub's client raises and logs, as lines that tell what to do."""

from __future__ import annotations

import errno
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any
from urllib.parse import unquote

from huggingface_hub import constants, get_token, utils
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

from zoo.errors import ZooError, shown
from zoo.hub.client import endpoint, server

_LATER = (408, 429)
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What the client raises at an answer that it does not understand.
_ODD = (AssertionError, AttributeError, JSONDecodeError, LookupError, TypeError)
_PASSWORD = re.compile(r"://[^/\s:]*:([^/\s]*)@")


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


@contextmanager
def hub_errors(
    repo: str, revision: str | None = None, token: str | None = None, *, quiet: bool = False
) -> Iterator[None]:
    """Turn whatever the client raises about `repo` into a ZooError of one line.

    What a server says is bounded, and neither `token` nor a password of $HF_ENDPOINT is in it; so
    are the lines that the client logs meanwhile, of which `quiet` shows none.

    Raises:
        NotOnHub: no such repository.
        Unreachable: no network, or offline mode.
        ZooError: any other failure.
    """
    try:
        with bars_on_terminals_only(), _harmless_log(confidential(token), quiet):
            yield
    except ZooError:
        raise
    except Exception as error:
        raise _zoo_error(error, repo, revision, confidential(token)) from error


def confidential(token: str | None = None) -> list[str | None]:
    """Return what no line may show: the tokens in use and the password of the endpoint."""
    found = _PASSWORD.search(endpoint() or "")
    password = found[1] if found else ""
    return [token, get_token(), password, unquote(password)]


@contextmanager
def _harmless_log(secrets: list[str | None], quiet: bool) -> Iterator[None]:
    """Let the client's warnings, which quote servers and URLs, be lines without secrets or none."""

    def clean(record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage(), 500, secrets), ()
        return not quiet

    handlers = logging.getLogger("huggingface_hub").handlers
    for handler in handlers:
        handler.addFilter(clean)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(clean)


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


def _zoo_error(
    error: Exception, repo: str, revision: str | None, secrets: list[str | None]
) -> ZooError:
    """Return the ZooError for an error of the client; the most particular cases come first."""
    at = f"{repo}@{revision}" if revision else repo
    text = shown(_said(error), secrets=secrets).rstrip(".")
    match error:
        case GatedRepoError():
            return ZooError(
                f"{repo} is gated: accept its terms on its page at {server()}, then log in with "
                "`hf auth login` or pass token="
            )
        case RepositoryNotFoundError():
            return NotOnHub(
                f"there is no repository {repo} on {server()}, or it is private: check the name, "
                "log in with `hf auth login` or pass token="
            )
        case RevisionNotFoundError():
            return ZooError(f"{repo} has no branch, tag or commit {revision!r}")
        case LocalEntryNotFoundError() | RevisionResolutionError() | OfflineModeIsEnabled():
            return _unreachable(error, at, secrets)
        case EntryNotFoundError():
            return ZooError(f"{at}: {server()} does not have a file that it lists: {text}")
        case HfHubHTTPError() if error.response.status_code == 401:
            return ZooError(f"{repo}: {server()} refused the token: log in with `hf auth login`")
        case HfHubHTTPError() if error.response.status_code == 403:
            return ZooError(f"{repo}: {server()} refuses: {text}")
        case HfHubHTTPError():
            status = error.response.status_code
            later = "; try again later" if status >= 500 or status in _LATER else ""
            return ZooError(f"{repo}: {server()} answered {status}: {text}{later}")
        case HFValidationError():
            return NotOnHub(f"{repo!r} is not a Hub repository: {text}")
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        # "Error while uploading ..." alone says little.
        return _zoo_error(error.__cause__, repo, revision, secrets)
    if "xet-write-token" in str(error) and "404" in str(error):
        return ZooError(
            f"{repo}: {server()} has no Xet storage, which the client wants to upload to: set "
            "HF_HUB_DISABLE_XET=1 and push again"
        )
    if connection_failed(error):
        return _unreachable(error, at, secrets)
    if str(error).startswith("Invalid metadata in README.md"):
        reasons = "; ".join(line.strip("- ") for line in str(error).splitlines()[1:])
        return ZooError(
            f"{repo}: {server()} refuses the front matter of README.md: "
            f"{shown(reasons, secrets=secrets)}"
        )
    if isinstance(error, OSError) and error.errno in _FULL:
        return ZooError(
            f"{repo}: the disk is full; make room, or point cache_dir= or HF_HOME at another disk"
        )
    if isinstance(error, OSError) and error.filename:
        return ZooError(
            f"{repo}: {error.filename}: {error.strerror}; point cache_dir= or HF_HOME at a folder "
            "that can be written"
        )
    if isinstance(error, _ODD):
        kind = type(error).__name__
        return ZooError(f"{repo}: {server()} gave an answer that no Hub gives ({kind}: {text})")
    return ZooError(f"{repo}: {text}; nothing of it was kept, try again")


def _unreachable(error: Exception, at: str, secrets: list[str | None]) -> Unreachable:
    """Return the error for a Hub that is not asked or does not answer."""
    cause = error if connection_failed(error) else error.__cause__ or error
    fetch = f"`zoo pull {at}` while online"
    if isinstance(cause, HfHubHTTPError):
        reason = f"it answered {cause.response.status_code}"
        remedy = f"{shown(_said(cause), secrets=secrets)}; try {fetch} again later"
    elif connection_failed(cause):
        reason = type(cause).__name__
        said = shown(cause, secrets=secrets) or "no reason given"
        remedy = f"{said}; check network, proxy and HF_ENDPOINT, then {fetch}"
    else:
        asked = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else "local_files_only"
        reason, remedy = asked, f"fetch it once with {fetch}"
    return Unreachable(
        f"{at} is not complete on this disk and {server()} cannot be asked ({reason}): {remedy}",
        reason,
    )


def connection_failed(error: BaseException) -> bool:
    """Return whether it is a transport error of whichever HTTP library the client uses."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)


def is_cut_off(error: BaseException) -> bool:
    """Return whether an error of the client says that the Hub is not asked or does not answer."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    return connection_failed(error) or isinstance(
        error, LocalEntryNotFoundError | RevisionResolutionError | OfflineModeIsEnabled
    )


def _said(error: Exception) -> str:
    """Return what the server says, else the first line of the error."""
    lines = (line.strip() for line in str(error).splitlines())
    return getattr(error, "server_message", None) or next(filter(None, lines), repr(error))
