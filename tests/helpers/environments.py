"""Fresh virtual environments that see the installed dependencies, and wheels to install in them."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from fake_distributions import run_python

ROOT = Path(__file__).parents[2]
BIN = "Scripts" if sys.platform == "win32" else "bin"
# Options of pip without a network; the shell script adds them after the pip command.
OFFLINE = "--no-deps --no-index --no-build-isolation --disable-pip-version-check"
PIP = """#!/bin/sh
command=$1; shift
exec "{ours}" -m pip --python "{theirs}" "$command" {offline} "$@"
"""


def build_wheel(project: Path, out: Path) -> Path:
    done = run_python(
        "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(project)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def fieldzoo_wheel(tmp_path_factory):
    return build_wheel(ROOT, tmp_path_factory.mktemp("fieldzoo"))


class Environment:
    """A virtual environment with a `pip` that needs no network; programs run in an empty folder.

    It sees the packages of the running environment, but neither this checkout nor editable
    installs, so the wheels must contain everything else.

    Attributes:
        work: the working directory of programs.
        variables: additional environment variables of programs.
    """

    def __init__(self, folder: Path, *wheels: Path) -> None:
        self.folder = folder / "environment"
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        self.variables: dict[str, str] = {}
        venv.create(self.folder, symlinks=sys.platform != "win32")
        self.bin = self.folder / BIN
        python = self.bin / "python"
        pip = self.bin / "pip"
        pip.write_text(PIP.format(ours=sys.executable, theirs=python, offline=OFFLINE))
        pip.chmod(0o755)
        where = "import site; print(site.getsitepackages()[0])"
        self.packages = Path(self("python", "-c", where).strip())
        paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
        (self.packages / "borrowed.pth").write_text("\n".join(sorted(paths)) + "\n")
        self("pip", "install", *map(str, wheels))

    def run(self, program: str, *args: str) -> "subprocess.CompletedProcess[str]":
        system = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
        path = f"{self.bin}{os.pathsep}{system.get('PATH', '')}"
        fixed = {"PATH": path, "OMP_NUM_THREADS": "1", "HOME": str(self.folder)}
        return subprocess.run(
            [str(self.bin / program) if (self.bin / program).exists() else program, *args],
            cwd=self.work,
            env=system | fixed | self.variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, program: str, *args: str) -> str:
        """Run a program that must succeed and return its output."""
        done = self.run(program, *args)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, program: str, *args: str) -> str:
        """Run a program that must fail and return its one-line error."""
        done = self.run(program, *args)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.strip()

    def asks(self, hub, **variables: str) -> None:
        """Set the Hub of programs to a fake one, without Xet."""
        home = str(self.folder / "hf")
        settings = {"HF_ENDPOINT": hub.url, "HF_HOME": home, "HF_HUB_DISABLE_XET": "1"}
        self.variables |= settings | variables
