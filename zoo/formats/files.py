"""Files on this disk that a format may read."""

from __future__ import annotations

from pathlib import Path

from zoo.errors import ZooError
from zoo.files import reading, refuse_link, refuse_pointer
from zoo.interfaces.format import MAX_WEIGHT_BYTES, Files


class LocalFiles(Files):
    """One file, or the files of a folder and of the folders in it.

    Raises:
        ZooError: there is neither, or it cannot be read.
    """

    def __init__(self, place: Path) -> None:
        self.where = str(place)
        if place.is_dir():
            self.folder = place
            with reading(place):
                self.names = _names(place)
        elif place.is_file():
            self.folder, self.file, self.names = place.parent, place.name, {place.name}
        else:
            raise ZooError(f"there is no file {place}")
        self._found = self.state()

    def path(self, name: str, limit: int = MAX_WEIGHT_BYTES) -> Path:
        """Return where a file is; raises as described in `Files`."""
        path = self.folder / name
        if name not in self.names:
            raise ZooError(f"{self.where} has no {name}")
        if self.file is None:
            refuse_link(path, self.folder)
        with reading(path):
            if (size := path.stat().st_size) > limit:
                raise ZooError(f"{path} has {size} bytes; at most {limit} are read")
            refuse_pointer(path)
        return path

    def check_unchanged(self) -> None:
        """Raise ZooError unless the files are as they were found: a hash would be of others."""
        if self.state() != self._found:
            raise ZooError(f"{self.where} was changed while it was read; try again")

    def state(self) -> list[tuple[str, int, int]]:
        """Return name, size and time of change of every file: equal where nothing changed."""
        with reading(self.folder):
            stats = [(name, (self.folder / name).stat()) for name in sorted(self.names)]
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _names(folder: Path) -> set[str]:
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    inside += [path for part in inside if part.is_dir() for path in part.iterdir()]
    return {path.relative_to(folder).as_posix() for path in inside if path.is_file()}
