"""Errors that a user can act on: one line that says what was asked, what is there, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from reprlib import Repr

_short = Repr()
_short.maxstring = _short.maxother = 80

# Characters of an error: a path, and what to do about it.
_MOST = 500


class ZooError(Exception):
    """A failure described in one line of at most 500 characters, without a traceback on screen."""

    def __str__(self) -> str:
        """Return the line: the middle of a longer one is left out, control characters are shown."""
        return _bounded(super().__str__())


class PluginError(ZooError):
    """A plugin is broken or absent; raised only to whoever asks for what it brings."""


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


def _bounded(text: str) -> str:
    """Return text in one line of at most 500 characters."""
    if len(text) > 20 * _MOST:
        text = f"{text[: 10 * _MOST]} {text[-10 * _MOST :]}"
    text = " ".join(text.split())
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(text) <= _MOST:
        return text
    end = _MOST // 3
    return f"{text[: _MOST - end - 5]} ... {text[-end:]}"


def brief(value: object, most: int = 80) -> str:
    """Return the repr of a value in one line of at most `most` characters."""
    try:
        text = " ".join(_short.repr(value).split())
    except Exception:  # a number of thousands of digits, or whatever a class of the user's raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the closest known names, else the valid names themselves."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return there_are(names)


def there_are(names: Sequence[str]) -> str:
    """Return "there is none", "there is a", or "there are a, b and c"."""
    if len(names) > 1:
        return f"there are {', '.join(names[:-1])} and {names[-1]}"
    return f"there is {names[0] if names else 'none'}"
