"""Ctrl-C, told from a KeyboardInterrupt that a plugin raises by itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def only_ctrl_c() -> Iterator[None]:
    """Let a KeyboardInterrupt out of the block where SIGINT came; make another a RuntimeError.

    Python calls handlers of signals in the main thread alone, so that in others none is Ctrl-C's.
    A handler that was installed from C cannot be asked: under one, all are taken for Ctrl-C.

    Raises:
        RuntimeError: the block raised KeyboardInterrupt by itself.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else signal.SIG_IGN
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if callable(handler):
            handler(number, frame)

    if callable(handler):
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except KeyboardInterrupt as error:
        if came or handler is None:
            raise
        raise RuntimeError("it raised KeyboardInterrupt without a Ctrl-C") from error
    finally:
        if callable(handler) and signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, handler)
