"""Xet storage for the double: files in chunks, put and fetched by hf_xet itself.

hf_xet brings a store of its own for tests: given an endpoint `local://FOLDER` it keeps xorbs and
shards in that folder instead of sending them to a server. So the whole client side is real, the
tokens are the double's, and no byte of content passes through the double.
"""

import struct
import tempfile
import time
from pathlib import Path

import hf_xet
from starlette.responses import JSONResponse

RECORD = 48
END = b"\xff" * 32


def as_hex(raw):
    """A hash as it is written: four little-endian words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


class Xet:
    """A store in a folder.

    Attributes:
        tokens: kinds of token that were asked for, "read" or "write".
    """

    def __init__(self, folder):
        self.folder, self.endpoint, self.tokens = folder, f"local://{folder}", []

    def token(self, kind):
        """Answer GET .../xet-{kind}-token/{revision}: in headers for Python, in JSON for Rust."""
        self.tokens.append(kind)
        expires = int(time.time()) + 3600
        return JSONResponse(
            {"casUrl": self.endpoint, "exp": expires, "accessToken": "t"},
            headers={
                "X-Xet-Cas-Url": self.endpoint,
                "X-Xet-Token-Expiration": str(expires),
                "X-Xet-Access-Token": "t",
            },
        )

    def name(self, sha256):
        """The Xet hash of the file with this sha256, None if it was not uploaded."""
        return next((n for s in self.shards() for n, sha in _files(s) if sha == sha256), None)

    def shards(self):
        return sorted(self.folder.rglob("shards/*.mdb"))

    def chunks(self):
        """The files that hold content."""
        return sorted(p for p in self.folder.rglob("xorbs/default.*") if p.suffix != ".tagset")

    def fetch(self, sha256, size):
        """The content of an uploaded file, None if there is none."""
        if (name := self.name(sha256)) is None:
            return None
        with tempfile.TemporaryDirectory() as passing:
            path = Path(passing) / "file"
            group = hf_xet.XetSession().new_file_download_group(
                endpoint=self.endpoint, token="t", token_expiry_unix_secs=int(time.time()) + 3600
            )
            with group as files:
                files.start_download_file(hf_xet.XetFileInfo(name, size), str(path))
            return path.read_bytes()


def _files(shard):
    """(Xet hash, sha256) of each file that a shard describes."""
    data, at = shard.read_bytes(), RECORD
    while (name := data[at : at + 32]) != END:
        flags, count = struct.unpack_from("<II", data, at + 32)
        verified, described = flags >> 31 & 1, flags >> 30 & 1
        at += RECORD * (1 + count * (1 + verified))
        if described:
            yield as_hex(name), as_hex(data[at : at + 32])
            at += RECORD
