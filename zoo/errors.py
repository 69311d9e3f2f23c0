"""Errors that a user can act on: one line that says what was asked, what is there, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from reprlib import Repr

_short = Repr()
_short.maxstring = _short.maxother = 80

# A user and a password in a URL, an access token, and what follows the name of a scheme of HTTP.
_CREDENTIALS = re.compile(
    r"(?<=://)[^/\s]*(?=@)|\b(?:hf_|api_org_)\w{16,}|(?<=\bBearer )\S+|(?<=\bBasic )\S+"
)
# Characters of an error, which is for a user; and of a cause, which is for whoever mends it.
_MOST, _MOST_OF_CAUSE = 500, 5000
_LONGEST_NAME = 1000


class ZooError(Exception):
    """A failure described in one line of at most 500 characters, without a traceback on screen."""

    def __str__(self) -> str:
        """Return the line: the middle of a longer one is left out, control characters are shown."""
        return _bounded(super().__str__(), _MOST)


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
    """Return an error's text in one bounded line; its type where it has none, or cannot say."""
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # of a plugin's own class
        text = ""
    return _bounded(text, _MOST_OF_CAUSE) or type(error).__name__


def _bounded(text: str, most: int) -> str:
    """Return text in one line of at most `most` characters, control characters shown."""
    if len(text) > 20 * most:  # of which no more is looked at
        text = f"{text[: 10 * most]} {text[-10 * most :]}"
    text = _printable(" ".join(text.split()))
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 5]} ... {text[-end:]}"


def _printable(text: str) -> str:
    """Return text with control characters as their escapes in Python."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(text: object, limit: int = 200, secrets: Iterable[str | None] = ()) -> str:
    """Return text from outside as it may stand in an error, in one line.

    Credentials and `secrets` become "...", control characters their escapes in Python; what is
    longer than `limit` characters is cut.
    """
    found = " ".join(str(text)[: 20 * limit].split())
    for secret in filter(None, secrets):
        found = found.replace(secret, "...")
    found = _CREDENTIALS.sub("...", found)
    found = _printable(found)
    return found if len(found) <= limit else f"{found[: limit - 3]}..."


def brief(value: object, most: int = 80) -> str:
    """Return the repr of a value in one line of at most `most` characters."""
    try:
        text = " ".join(_short.repr(value).split())
    except Exception:  # a number of thousands of digits, or whatever a class of the user's raises
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def check_flag(name: str, value: bool) -> bool:
    """Return True or False as a bool; numpy's are taken too.

    Raises:
        ZooError: it is neither.
    """
    if type(value).__name__ not in ("bool", "bool_"):  # numpy's, which is not imported here
        raise ZooError(f"{name} = {brief(value)}; expected True or False")
    return bool(value)


def closest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are nearly `name`, the closest first; a long one is like none."""
    return get_close_matches(name, known, n=most) if len(name) <= _LONGEST_NAME else []


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the closest known names, else the valid names themselves."""
    names = sorted(known)
    if close := closest(name, names):
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return there_are(names)


def there_are(names: Sequence[str]) -> str:
    """Return "there is none", "there is a", or "there are a, b and c"."""
    if len(names) > 1:
        return f"there are {', '.join(names[:-1])} and {names[-1]}"
    return f"there is {names[0] if names else 'none'}"
