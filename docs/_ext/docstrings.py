"""The package's docstrings are plain text with `code` in backticks; Sphinx reads them as that."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(?<![`:])`([^`\n]+)`(?!`)")
_MARKUP = re.compile(r"(?<!\\)([*|@]|(?<=\w)_(?!\w))")


def as_restructured_text(line: str) -> str:
    """Return a line in which `code` is code, and *, |, @ and a final _ look like that."""
    pieces = re.split(r"(``.+?``|:\w+:`[^`]+`)", _CODE.sub(r"``\1``", line))
    return "".join(
        piece if i % 2 else _MARKUP.sub(r"\\\1", piece) for i, piece in enumerate(pieces)
    )


def _process(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    lines[:] = [as_restructured_text(line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Come after napoleon has made fields of Args, Raises and Attributes."""
    app.connect("autodoc-process-docstring", _process, priority=900)
    return {"parallel_read_safe": True}
