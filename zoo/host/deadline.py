"""A time limit on what plugins do while they are loaded, since every command loads all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_VARIABLE = "ZOO_PLUGIN_SECONDS"
_SECONDS = 30.0
_AGAIN = 1.0  # seconds after which code that caught `Late` is interrupted again


class Late(BaseException):
    """The time is over. No Exception, so that a plugin's own handlers let it pass."""


def seconds_for_plugin() -> float:
    """Return how long a plugin may take to load: $ZOO_PLUGIN_SECONDS, or 30."""
    try:
        given = float(os.environ.get(SECONDS_VARIABLE, ""))
    except ValueError:
        return _SECONDS
    return given if 0 < given < threading.TIMEOUT_MAX else _SECONDS


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Interrupt the block with `Late` when its time is over.

    In the main thread by a timer's signal, which ends a sleep or a read of a socket too; in others,
    and on Windows, between two instructions of Python.
    """
    main = threading.current_thread() is threading.main_thread()
    with _by_signal(seconds) if main and hasattr(signal, "setitimer") else _by_thread(seconds):
        yield


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise Late

    started, handler = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if left:  # somebody else's timer, such as a test runner's
            rest = left - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 1e-3), every)


@contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    import ctypes  # takes milliseconds, and few commands load plugins in a thread

    ident, done = ctypes.c_ulong(threading.get_ident()), threading.Event()
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            interrupt(ident, ctypes.py_object(Late))
            wait = _AGAIN

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        interrupt(ident, None)  # what came too late to be raised above
