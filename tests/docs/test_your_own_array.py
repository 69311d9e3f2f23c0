"""docs/your-own-array.md: its code runs, and every choice that it names is an argument."""

import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import zoo
from zoo.cli import main

TEXT = (Path(__file__).parents[2] / "docs" / "your-own-array.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.M | re.S)


def test_its_code_and_its_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 2))
    pd.DataFrame(x, columns=["a", "b"]).to_csv("table.csv")
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "docs/your-own-array.md", "exec"), {})
            continue
        for line in code.splitlines():
            with pytest.raises(SystemExit) as stop:
                main(shlex.split(line)[1:])
            assert not stop.value.code
    assert list(pd.read_csv("more.csv").columns) == ["Unnamed: 0", "a", "b"]
    assert list(zoo.load("./visits").sample_frame(1).columns) == ["height", "visits"]


def test_every_argument_is_named():
    named = inspect.signature(zoo.fit).parameters.keys() - {"kernel_options", "device"}
    assert {name for name in named if f"{name}=" not in TEXT and f"`{name}`" not in TEXT} == set()
