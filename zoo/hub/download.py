"""One file, from the Hub into a place that is named beforehand.

The client's own download names files by headers of the answer, and ends when the server does. Here
the place, the size and the digest are those of the listing; no header decides anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.file_download import get_hf_file_metadata, http_get, xet_get
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._runtime import is_xet_available

from zoo.__about__ import __version__
from zoo.errors import ZooError
from zoo.files import reading
from zoo.hub.client import LIBRARY, endpoint
from zoo.hub.listing import Entry


class _AtMost(BufferedWriter):
    """A new file that takes no more than `limit` bytes."""

    def __init__(self, path: Path, limit: int, where: str) -> None:
        super().__init__(FileIO(path, "xb"))
        self.limit, self.where = limit, where

    def write(self, data: Any) -> int:
        """Write all of `data`; raise ZooError where it is more than the file may hold."""
        if self.tell() + len(data) > self.limit:
            raise ZooError(
                f"{self.where}: the server sends more than the {self.limit} bytes it lists; "
                "nothing was kept"
            )
        return super().write(data)


def download(
    repo: str, commit: str, name: str, entry: Entry, blob: Path, *, token: str | None, where: str
) -> None:
    """Write a file of a commit to `blob`, whole and as it is listed, or not at all.

    Args:
        repo: "owner/name".
        commit: its 40 digits.
        name: of the file.
        entry: its size and digest.
        blob: where to; a file that is there is replaced.
        token: for a private or gated repository.
        where: what errors begin with.

    Raises:
        ZooError: what arrives is not as listed, or more.
        Exception: as the client raises it; see `hub_errors`.
    """
    url = hf_hub_url(repo, name, revision=commit, endpoint=endpoint())
    headers = build_hf_headers(token=token, library_name=LIBRARY, library_version=__version__)
    # As the Hub counts the downloads of a model.
    headers[constants.X_HF_DOWNLOAD_COUNTER] = "1"
    with _replacing(blob) as part:
        xet = None
        if entry.sha256 and is_xet_available():
            answer = get_hf_file_metadata(url, token=token, headers=headers, endpoint=endpoint())
            xet = answer.xet_file_data
        if xet is None:
            with _AtMost(part, entry.size, where) as file:
                http_get(
                    url, file, headers=headers, expected_size=entry.size, displayed_filename=name
                )
        else:
            part.touch(exist_ok=False)
            xet_get(
                incomplete_path=part,
                xet_file_data=xet,
                headers=headers,
                expected_size=entry.size,
                displayed_filename=name,
            )
        with reading(part):
            found = entry.measured(part)
        if found != entry:
            raise ZooError(f"{where}: {entry.difference(found)}; it was not kept")


@contextmanager
def _replacing(blob: Path) -> Iterator[Path]:
    """Yield a new path beside `blob`, which takes its place at the end."""
    blob.parent.mkdir(parents=True, exist_ok=True)
    part = blob.with_name(f"{blob.name}.{uuid4().hex[:8]}.incomplete")
    try:
        yield part
        part.replace(blob)
    finally:
        part.unlink(missing_ok=True)
