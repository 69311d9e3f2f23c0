"""Weights of other code bases, from a user's own file, as model folders of the zoo.

Nothing that a file asks for is run: see zoo.convert.unpickler.
"""

from __future__ import annotations

from zoo.convert.run import convert

__all__ = ["convert"]
