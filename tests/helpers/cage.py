"""Hostile files are read in a process of its own, whose time, memory and writes are measured."""

import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hypothesis import Phase, settings

# A fault is told as it is found: to make it smaller may take hours where each answer takes long.
AS_FOUND = tuple(set(Phase) - {Phase.shrink, Phase.explain})

SECONDS, BYTES, PATIENCE = 2.0, 10**9, 60
INSIDE = Path(__file__).with_name("cage_inside.py")


def hostile(count):
    """Return the settings of a test of so many examples, more where each run has other ones."""
    return settings(max_examples=count if settings().derandomize else 20 * count, phases=AS_FOUND)


class Cage:
    """Runs tasks of `cage_inside` on paths; `check` raises AssertionError for a fault."""

    def __init__(self, home):
        self.home = home
        self.out = home / "out"
        self.process = None

    def start(self):
        environment = {**os.environ, "ZOO_CACHE": str(self.home / "cache"), "OMP_NUM_THREADS": "1"}
        # Which torch makes when some of its modules are imported.
        environment["TORCHINDUCTOR_CACHE_DIR"] = str(self.home / "inductor")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self.process = subprocess.Popen(
            [sys.executable, INSIDE, self.home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.home,
            env=environment,
        )

    def stop(self):
        if self.process is not None:
            self.process.kill()
            for end in (self.process.stdin, self.process.stdout):
                with suppress(OSError):
                    end.close()
            with suppress(subprocess.TimeoutExpired):  # the system waits for a disk
                self.process.wait(PATIENCE)
            self.process = None

    def ask(self, task, path, options):
        if self.process is None:
            self.start()
        self.process.stdin.write(json.dumps([task, str(path), options or {}]).encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.stop()
            raise AssertionError("no answer: it hangs, or the process died")
        return json.loads(line)

    def check(self, task, path, options=None):
        """Return the answer, which is a result or a ZooError within all limits.

        `options` are those of the format of another library.
        """
        for _ in range(2):  # the second time nothing is imported
            if task == "convert":
                shutil.rmtree(self.out, ignore_errors=True)
            found = self.ask(task, path, options)
            if found["seconds"] < SECONDS and found["memory"] < BYTES:
                break
        assert found["told"], found["trace"]
        assert found["seconds"] < SECONDS, found
        assert found["memory"] < BYTES, found
        assert found["outside"] == [], found
        assert len(found["error"]) <= 500, found
        assert found["error"].isprintable(), found
        if found["kind"] and task == "convert":
            assert found["kind"] != "PluginError", found["trace"]  # a mistake of the zoo's own
            assert not self.out.exists()
        return found
