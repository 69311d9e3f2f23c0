"""Standard streams and a home folder on machines that lack some of them."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from zoo.files import has_home, user_cache

# What a full disk, a quota or a device says of a write.
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)}


def prepare() -> None:
    r"""Open streams that are closed, and let no character end a command.

    A closed stream is the null device; else the next file that is opened would get its number, and
    what is written to the stream. A character that the encoding of output lacks is shown as
    \u03c8. A user without a home folder gets one in the temporary folder, so that no library
    makes a folder called "~".
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not has_home():
        os.environ["HOME"] = str(user_cache())
        os.environ.setdefault("LOGNAME", "user")


def reason_of_output(error: OSError) -> str:
    """Return why standard output cannot be written, "" if the error is of something else."""
    if error.filename is not None or error.errno not in _FULL:
        return ""
    # What is still buffered would fail again at the end of the process.
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return error.strerror or str(error)
