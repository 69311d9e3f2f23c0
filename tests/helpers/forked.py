"""Processes of their own that import no torch: forked from one that has, for all of a session."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import connection, forkserver, get_all_start_methods, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

CONTEXT = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
# What takes trainings long to import; plugins are imported by the processes that ask for them.
CONTEXT.set_forkserver_preload(
    ["pandas", "pytest", "scipy.stats", "sklearn.datasets", "zoo.cli.train", "zoo.training.run"]
)
Function = Callable[..., object]


def zoo_command(*args: object) -> None:
    """Run `zoo ARGS`; to be given to `fork` and `run`."""
    from zoo.cli import main

    main([*map(str, args)])


def fork(
    function: Function, *args: object, told: Path | None = None, **variables: object
) -> BaseProcess:
    """Start function(*args) in this working directory, with this environment and `variables`.

    What it says is appended to the files out and err in the folder `told`, by default nowhere.
    """
    if CONTEXT.get_start_method() == "forkserver":
        # Python 3.11 does not tell it of sys.path.
        with patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path))):
            forkserver.ensure_running()
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    process = CONTEXT.Process(target=_call, args=(told, Path.cwd(), environment, function, args))
    process.start()
    return process


def _call(
    told: Path | None,
    folder: Path,
    environment: dict[str, str],
    function: Function,
    args: tuple[object, ...],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        path = os.devnull if told is None else told / name
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    function(*args)


def run(function: Function, *args: object, processes: int = 1) -> CompletedProcess[str]:
    """Run function(*args), in several processes in the environment that torchrun gives each.

    Where one fails the others are ended, as by torchrun.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    address = {"WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder)
        running = {}
        for rank in range(processes):
            process = fork(function, *args, told=told, RANK=rank, LOCAL_RANK=rank, **address)
            running[process.sentinel] = process
        status = 0
        while running:
            for ended in connection.wait([*running]):
                process = running.pop(ended)
                process.join()
                status = status or process.exitcode or 0
            if status:
                for process in running.values():
                    process.terminate()
        said = [(told / name).read_text(encoding="utf-8") for name in ("out", "err")]
    return CompletedProcess(args, status, *said)
