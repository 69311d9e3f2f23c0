"""A part of a model: a component by name, with its options."""

from __future__ import annotations

import re
from typing import Any

from zoo.errors import brief

# A component's, plugin's or model's name; a component may stand behind its plugin's, "plugin:name".
PLAIN_NAME = r"[a-z0-9][a-z0-9._-]*"
NAME = re.compile(rf"^(?:[a-z0-9][a-z0-9_-]*:)?{PLAIN_NAME}\Z")

Options = dict[str, Any]


class Part:
    """A component by name with its options: {"use": "gravity", "t_max": 40.0}.

    Args:
        use: the name, "gravity" or "plugin:gravity".
        options: of the component; none by default.

    Raises:
        ValueError: `use` is no name; readers of files say where it stands.
    """

    __slots__ = ("options", "use")

    def __init__(self, use: str, options: Options | None = None) -> None:
        if not NAME.match(use):
            raise ValueError(f"use = {use!r}; expected a component name, never an import path")
        self.use, self.options = use, dict(options or {})

    @classmethod
    def decode(cls, value: Any) -> Part:
        """Return the part written as `value`.

        Raises:
            ValueError: what is wrong with it.
        """
        if not isinstance(value, dict) or not isinstance(value.get("use"), str):
            raise ValueError('expected {"use": "a component name", ...options}')
        return cls(value["use"], {k: v for k, v in value.items() if k != "use"})

    def encode(self) -> Options:
        """Return the mapping that `decode` reads."""
        return {"use": self.use, **self.options}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.use)

    def __repr__(self) -> str:
        return f"Part({self.encode()!r})"


class SolverPart(Part):
    """A solver with the model's number of steps, written among its options.

    {"use": "heun", "steps": 18, "grid": "log"}: `options` are the solver's own, without "steps".

    Attributes:
        steps: number of steps, as `FieldModel.sample` counts them; None if none is written.
    """

    __slots__ = ("_written", "steps")

    def __init__(self, use: str, options: Options | None = None, steps: int | None = None) -> None:
        # In the order in which they were written, so that they are written so again.
        self._written = dict(options or {}) | ({} if steps is None else {"steps": steps})
        self.steps: int | None = self._written.get("steps")
        super().__init__(use, {k: v for k, v in self._written.items() if k != "steps"})

    def encode(self) -> Options:
        """Return the mapping that `decode` reads."""
        return {"use": self.use, **self._written}

    @classmethod
    def of(cls, solver: Part, steps: int | None = None) -> SolverPart:
        """Return a solver's part with a number of steps."""
        return cls(solver.use, solver.options, steps)


def called(built: Any) -> str:
    """Return what a part is called in messages: the name it was built by, else its class."""
    part: Part | None = built.part
    return part.use if part else type(built).__name__


def described(built: Any, **facts: Any) -> str:
    """Return the repr of a part: its class, its name and options, and some facts; a line or two.

    GravityKernel('gravity', dim=784, t_min=0.00202, t_max=80.7)
    """
    part: Part | None = built.part
    shown = {} if part is None else {**part.options}
    shown |= {name: value for name, value in facts.items() if value is not None}
    values = (f"{v:.6g}" if isinstance(v, float) else brief(v) for v in shown.values())
    pairs = [f"{name}={value}" for name, value in zip(shown, values, strict=True)]
    return f"{type(built).__name__}({', '.join([*([repr(part.use)] if part else []), *pairs])})"
