"""docs/training.md: what it tells to type works, and it knows every key with its default."""

import json
import re
import shlex
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.config.recipe import CardPlan, DataPlan, TrainPlan
from zoo.data import SOURCES

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.M | re.S)


def test_what_it_tells_to_type_works_in_its_order(tmp_path, monkeypatch, capsys):
    """But for torchrun, whose command line tests/training/test_train_processes.py runs."""
    monkeypatch.chdir(tmp_path)
    for language, code in BLOCKS:
        if language == "toml":
            name = re.match(r"# (\S+)\n", code)[1]
            Path(name).write_text(code)
        elif language == "python":
            exec(compile(code, "docs/training.md", "exec"), {})
        else:
            for line in code.splitlines():
                program, *words = shlex.split(line)
                if program == "zoo":
                    with pytest.raises(SystemExit) as stop:
                        main(words)
                    assert not stop.value.code, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "about " in said
    there = {path.name for path in Path("moons").iterdir()}
    assert there == {"log.jsonl", "checkpoint.pt", "samples", "model-best", "model"}
    assert there <= {word.split("/")[0] for word in re.findall(r"^\| `([^`]+)`", TEXT, flags=re.M)}
    assert Path("points.png").stat().st_size > 1000


def test_torchrun_is_told_as_the_tests_run_it():
    assert "torchrun --nproc-per-node 2 -m zoo train" in TEXT


@pytest.mark.parametrize(
    ("table", "plan"), [("data", DataPlan), ("train", TrainPlan), ("card", CardPlan)]
)
def test_every_key_is_told_with_its_default(table, plan):
    body = TEXT[TEXT.index(f"| `[{table}]`") :].split("\n\n")[0].splitlines()[2:]
    told = {}
    for row in body:
        names, defaults = (re.findall(r"`([^`]+)`", cell) for cell in row.split(" | ")[:2])
        told |= dict(zip(names, defaults or [None] * len(names), strict=True))
    assert list(told) == list(dict.fromkeys(told))
    assert set(told) == set(plan.__struct_fields__)
    optional = plan.__struct_fields__[len(plan.__struct_fields__) - len(plan.__struct_defaults__) :]
    defaults = dict(zip(optional, plan.__struct_defaults__, strict=True))
    for name, written in told.items():
        default = defaults.get(name)
        if written is None:
            assert not default, name
        else:
            assert json.loads(written) == json.loads(json.dumps(default)), name


def test_every_source_of_data_is_told():
    section = TEXT[TEXT.index("## Data") : TEXT.index("## Keys")]
    assert {name for name in SOURCES if f"`{name}" not in section} == set()
