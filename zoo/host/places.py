"""Where in an author's files an error came about, for the one line that tells it."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Container
from pathlib import Path
from types import FrameType

from zoo.errors import shown
from zoo.files import is_file

_OURS = Path(__file__).parents[1]
_PYTHON = Path(traceback.__file__).parent
# Of other people: an error that passes through them came about in who called them.
_LIBRARIES = {"numpy", "pluggy", "scipy", "torch"}
# A longer chain of causes may be one that never ends.
_MOST_CAUSES = 100


def place_in(
    error: BaseException, others: Container[str] = (), *, only: Collection[str] | None = None
) -> str:
    """Return " (zoo_yukawa/kernel.py:12)", the last line outside zoo that an error passed through.

    Libraries, and packages of the names `others`, are left out, and all but those of the names
    `only` where these are given; "" if there is no such line.
    """
    for frame, line in reversed(_frames(error)):
        file = frame.f_code.co_filename
        if only is not None and not set(only) & {*Path(file).parts, Path(file).stem}:
            continue
        if Path(file).parent.name not in others and (found := place(file, line)):
            return found
    return ""


def function_in(error: BaseException, names: Container[str]) -> str:
    """Return the first function of one of these names that an error passed through, else ""."""
    passed = (frame.f_code.co_name for frame, _ in _frames(error))
    return next((name for name in passed if name in names), "")


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    """Return the frames, with lines, of what caused an error, outermost first."""
    for _ in range(_MOST_CAUSES):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return [*traceback.walk_tb(error.__traceback__)]


def place(file: str, line: int) -> str:
    """Return " (zoo_yukawa/kernel.py:12)"; "" for a file of zoo, of a library, or that is none."""
    path = Path(file)
    if not is_file(path) or path.is_relative_to(_OURS) or _is_library(path):
        return ""
    return f" ({shown('/'.join(path.parts[-2:]))}:{line})"


def _is_library(path: Path) -> bool:
    parts = path.parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1] in _LIBRARIES
    return path.is_relative_to(_PYTHON)
