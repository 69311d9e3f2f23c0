"""Progress bars: a widget or a line of text in a notebook, a line of text on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from tqdm import tqdm


def bar(iterable: Iterable[Any] | None = None, *, shown: bool = True, **options: Any) -> tqdm[Any]:
    """Return a bar of tqdm, with its options; where nobody looks, in a file or a pipe, a quiet one.

    In a notebook it is a widget where ipywidgets is installed, and text elsewhere.
    """
    notebook = _in_notebook()
    kind: Any = tqdm
    if notebook and find_spec("ipywidgets") is not None:
        from tqdm.auto import tqdm as kind
    disable = not shown or (False if notebook else None)
    found: tqdm[Any] = kind(iterable, disable=disable, **options)
    return found


def _in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this code."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return "IPKernelApp" in getattr(shell, "config", {})
