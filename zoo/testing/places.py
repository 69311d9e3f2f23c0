"""What a failed check says beside its numbers: where in the author's files to look."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path

from zoo.errors import shown

# Methods that give a component its law, the first that its author wrote is shown.
_LAWS = ("unit_cdf", "_radial_cdf", "radial_cdf", "_log_density", "log_density", "step", "forward")
_OURS = Path(__file__).parents[1]


def place_of(subject: object) -> str:
    """Return " (zoo_yukawa/kernel.py:12)", where a component's law is written; "" if by us."""
    for cls in type(subject).__mro__:
        method = next((vars(cls)[name] for name in _LAWS if name in vars(cls)), None)
        code = getattr(method, "__code__", None)
        if code is not None:
            return _place(code.co_filename, code.co_firstlineno)
    try:
        file, line = inspect.getsourcefile(type(subject)), inspect.getsourcelines(type(subject))[1]
    except (OSError, TypeError):
        return ""
    return _place(file or "", line)


def place_in(error: BaseException) -> str:
    """Return the same of the last line outside zoo and libraries that an error passed through."""
    while error.__cause__ is not None:
        error = error.__cause__
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if found := _place(frame.filename, frame.lineno or 0):
            return found
    return ""


def _place(file: str, line: int) -> str:
    path = Path(file)
    if not path.is_file() or path.is_relative_to(_OURS) or _is_library(path):
        return ""
    return f" ({shown('/'.join(path.parts[-2:]))}:{line})"


def _is_library(path: Path) -> bool:
    """Return whether a file is of torch, numpy, scipy or Python itself."""
    names = {"torch", "numpy", "scipy"}
    parts = path.parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1] in names
    return path.is_relative_to(Path(inspect.__file__).parent)
