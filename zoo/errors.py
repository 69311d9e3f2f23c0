"""Errors that a user can act on: one line that says what was asked, what is there, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class ZooError(Exception):
    """A failure described in one line, without a traceback on the command line."""


class PluginError(ZooError):
    """A plugin is broken or absent; raised only to whoever asks for what it brings."""


class ZooWarning(UserWarning):
    """What a user should know before it costs hours: one line, as of a ZooError."""


class CheckFailure(AssertionError):
    """A component breaks a law: one line says which law, by how much, and where."""


@contextmanager
def error_context(where: object) -> Iterator[None]:
    """Begin the line of a ZooError from inside the block with what it is of, such as a file."""
    try:
        yield
    except ZooError as error:
        kind = PluginError if isinstance(error, PluginError) else ZooError
        raise kind(f"{where}: {error}") from error


def one_line(error: BaseException) -> str:
    """Return an error's text in one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the closest known names, else the valid names themselves."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "there is " + (", ".join(names) if names else "none")
