"""What a failed check says."""

from __future__ import annotations


class CheckFailure(AssertionError):
    """A law that a component breaks: which law, by how much, and where, in one line."""
