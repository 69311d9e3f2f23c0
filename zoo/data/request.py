"""A request to a data source: reference, split and size."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError, did_you_mean
from zoo.files import as_path

SPLITS = ("train", "test")


class NoSplit(ZooError):
    """The data has no split of this name."""


@dataclass(frozen=True)
class Request:
    """A reference such as "folder:photos", parsed, with the split and the size.

    Attributes:
        ref: the reference as the user wrote it, for errors.
        argument: the text after the colon, "" if there is none.
        split: "train" or "test".
        size: side of the square images to return; None keeps their size. A source may ignore it:
            `load` resizes images of another size.
        condition: name of the array of conditions in an archive; None for none.
    """

    ref: str
    argument: str
    split: str
    size: int | None = None
    condition: str | None = None

    @property
    def path(self) -> Path:
        """The argument as a path; errors as for `as_path`."""
        return as_path(self.argument, f"data {self.ref!r}")

    def only_train(self) -> None:
        """Raise NoSplit unless the split is "train", for data that has no other."""
        if self.split != "train":
            raise NoSplit(f"{self.ref}: there is no {self.split} split, only train")

    def missing(self, what: str) -> ZooError:
        """Return the error that `path` is no such `what`, with the closest name in its folder."""
        if self.path.exists():
            kind = "folder" if self.path.is_dir() else "file"
            return ZooError(f"{self.ref}: {self.path} is a {kind}, expected a {what}")
        siblings: list[str] = []
        with suppress(OSError):
            siblings = [p.name for p in self.path.parent.iterdir() if not p.name.startswith(".")]
        close = did_you_mean(self.path.name, siblings)
        there = close if close.startswith("did") else f"{self.path.parent} holds no such name"
        return ZooError(f"{self.ref}: no such {what}; {there}")
