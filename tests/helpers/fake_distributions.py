"""Fake distributions: a package and its .dist-info, as an installer writes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

HEADER = "from zoo import Component, hookimpl\n"


def install(
    folder: Path,
    distribution: str,
    version: str = "1.0",
    *,
    entry: str | None = None,
    package: str | None = None,
    source: str = "",
    files: dict[str, str] | None = None,
    entry_points: str | None = None,
) -> str:
    """Put one distribution into `folder`, as if it were site-packages; return its package.

    Args:
        folder: a folder on sys.path, so that the distribution counts as installed.
        distribution: its name, "zoo-yukawa".
        version: its version.
        entry: name of its entry point, by default the distribution's without "zoo-".
        package: its import package, by default the distribution's name with "_".
        source: of the package's __init__.py, after `from zoo import Component, hookimpl`.
        files: further modules, file name -> source.
        entry_points: the whole text of entry_points.txt, instead of the one entry.
    """
    package = package or distribution.replace("-", "_")
    entry = entry or distribution.removeprefix("zoo-")
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    (info / "entry_points.txt").write_text(entry_points or f"[zoo]\n{entry} = {package}\n")
    (folder / package).mkdir(exist_ok=True)
    (folder / package / "__init__.py").write_text(HEADER + dedent(source))
    for name, text in (files or {}).items():
        (folder / package / name).write_text(dedent(text))
    return package


def brings(hook: str, name: str, target: str = "zoo_gravity.kernel:GravityKernel") -> str:
    """Return the source of a hook that brings one component."""
    return f'\n@hookimpl\ndef {hook}():\n    yield Component("{name}", "{target}")\n'


def install_model(folder: Path, distribution: str, model: str, **config: object) -> Path:
    """Install a distribution that brings one model folder; `config` changes its config.json."""
    source = "from pathlib import Path\n@hookimpl\ndef zoo_models():\n"
    source += f"    yield Path(__file__).parent / {model!r}\n"
    package = install(folder, distribution, source=source)
    whole = {
        "format": 1,
        "data": {"shape": [1, 8, 8], "labels": 10, "name": "digits"},
        "kernel": {"use": "gravity", "t_max": 40.0},
        "prior": {"use": "gravity"},
        "network": {"use": "unet", "width": 8},
        "solver": {"use": "heun", "steps": 18},
        "requires": ["fieldzoo>=0.1"],
        "training": {"images": 500000},
    }
    place = folder / package / model
    place.mkdir()
    (place / "config.json").write_text(json.dumps(whole | config))
    (place / "README.md").write_text(f"---\nlicense: cc0-1.0\n---\n\n# {model}\n\nWhat it is.\n")
    return place


def run_python(
    *args: str, path: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with `args`, with `path` at the front of sys.path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ZOO_PLUGINS", "PYTHONPATH")}
    environment |= {"OMP_NUM_THREADS": "1", **variables}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, env=environment, check=False
    )
