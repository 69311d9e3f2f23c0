"""docs/export.md: its code and its commands run."""

import re
import shlex
from pathlib import Path

import pytest

from zoo.cli import main

TEXT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.M | re.S)

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)


@pytest.mark.slow
def test_its_code_and_its_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "docs/export.md", "exec"), {})
            continue
        for line in code.splitlines():
            with pytest.raises(SystemExit) as stop:
                main(shlex.split(line, comments=True)[1:])
            assert not stop.value.code
    folders = {path.parent.name for path in tmp_path.glob("*/manifest.json")}
    assert folders == {"digits-denoiser", "digits-sampler", "digits-torch", "digits"}
