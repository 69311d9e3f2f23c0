"""Listing the components of a plugin imports none of the heavy packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from zoo.errors import CheckFailure
from zoo.host.plugins import LIMIT_VARIABLE, PluginRecord

HEAVY = ("torch", "timm", "diffusers", "huggingface_hub", "scipy", "numpy", "matplotlib")
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from zoo.host.plugins import plugins
broken = [record.cause for record in plugins() if record.error is not None]
print(json.dumps([broken, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]))
"""


def torch_line(record: PluginRecord) -> None:
    """In a fresh process that loads this plugin alone, nothing heavy has been imported."""
    environment = {**os.environ, LIMIT_VARIABLE: record.name}
    arguments = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), json.dumps(HEAVY)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise CheckFailure(f"listing fails: {done.stderr.strip().splitlines()[-1:]}")
    broken, heavy = json.loads(done.stdout.splitlines()[-1])
    if broken:
        raise CheckFailure(f"it is broken in a fresh process: {broken[0]}")
    if heavy:
        raise CheckFailure(
            f"listing its components imports {', '.join(heavy)}; import them inside the targets' "
            "modules, not in the package's __init__"
        )
