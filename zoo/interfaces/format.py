"""The format: recognises another library's checkpoint and says which model of the zoo it is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from zoo.config.model import MAX_CONFIG_BYTES, Config
from zoo.config.part import Part
from zoo.errors import ZooError

MAX_WEIGHT_BYTES = 2**36


class Files(ABC):
    """A checkpoint before it is read: one file, a folder, or a Hub repository at one commit.

    Attributes:
        where: how errors name it.
        names: of its files, "config.json" or "unet/config.json".
        file: the name of the one file that the user asked for, None for a folder or a repository.
    """

    where: str
    names: Collection[str]
    file: str | None = None

    @abstractmethod
    def path(self, name: str, limit: int = MAX_WEIGHT_BYTES) -> Path:
        """Return where a file is on this disk; one of the Hub is fetched first.

        Raises:
            ZooError: there is no such file, it has more than `limit` bytes, it is a link out of the
                folder or a git LFS pointer, or it cannot be fetched.
        """

    def settings(self, name: str) -> dict[str, Any]:
        """Return a JSON file that holds one object.

        Raises:
            ZooError: it is too large or no such file; and what `path` raises.
        """
        path = self.path(name, MAX_CONFIG_BYTES)
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise ZooError(f"{self.where}: {name} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise ZooError(f"{self.where}: {name} is no JSON object")
        return found


@dataclass(frozen=True)
class Checkpoint:
    """What a format makes of files.

    Attributes:
        config: data, kernel, prior, network and solver of the model; in `requires`, what has to be
            installed beside the plugins of these parts. The zoo itself fills in `weights`.
        tensors: the state of that network by name, or a function that reads it. The function is
            called when all that `config` requires has been found installed.
        license: of the weights, an identifier of the Hub; "unknown" where the files do not say.
        files: names of the files that the function reads, where that is known before.
        by: how errors name the format; the zoo fills it in.
    """

    config: Config
    tensors: Mapping[str, Tensor] | Callable[[], Mapping[str, Tensor]]
    license: str = "unknown"
    files: tuple[str, ...] = ()
    by: str = ""

    def load(self) -> Mapping[str, Tensor]:
        """Return the tensors by name, each of its own shape; read first where they are not."""
        return self.tensors() if callable(self.tensors) else self.tensors


class Format(ABC):
    """A checkpoint format of another library. A component is called as component(**options).

    Every option needs a default, since `zoo.load` gives none. `zoo convert --set KEY=VALUE` does.

    Attributes:
        hub_tags: tags that its repositories have on the Hub, all of them and one of each tuple, by
            which `zoo list --hub --format NAME` searches; none where it should not.
        edition: of `read`. What it said of a repository's commit is kept until the commit, the
            plugin's version or this changes: count up where it says otherwise of the same files.
    """

    hub_tags: ClassVar[tuple[str | tuple[str, ...], ...]] = ()
    edition: ClassVar[int] = 1
    part: Part | None = None

    @abstractmethod
    def read(self, files: Files) -> Checkpoint | None:
        """Return the model in `files`, None where they are not of this format.

        Names and JSON files should decide that: weights are best left to `Checkpoint.tensors`.
        Read files as data; `zoo.formats` has readers that run nothing.

        Raises:
            ZooError: the files look like this format and cannot be read. One line says what they
                are and what is read.
        """
