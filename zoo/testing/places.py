"""What a failed check says beside its numbers: where in the author's files to look."""

from __future__ import annotations

import inspect

from zoo.host.places import place

# Methods that give a component its law, the first that its author wrote is shown.
_LAWS = ("unit_cdf", "_radial_cdf", "radial_cdf", "_log_density", "log_density", "step", "forward")


def place_of(subject: object) -> str:
    """Return " (zoo_yukawa/kernel.py:12)", where a component's law is written; "" if by us."""
    for cls in type(subject).__mro__:
        method = next((vars(cls)[name] for name in _LAWS if name in vars(cls)), None)
        code = getattr(method, "__code__", None)
        if code is not None:
            return place(code.co_filename, code.co_firstlineno)
    try:
        file, line = inspect.getsourcefile(type(subject)), inspect.getsourcelines(type(subject))[1]
    except (OSError, TypeError):
        return ""
    return place(file or "", line)
