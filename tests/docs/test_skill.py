"""The page for coding agents: its commands and its Python run, without a network."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
SKILL = (ROOT / "SKILL.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    return re.search(rf"^```{language}\n(.*?)^```$", SKILL, flags=re.M | re.S)[1]


@pytest.mark.parametrize("line", block("sh").splitlines())
def test_its_commands_run(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _, *arguments = shlex.split(line)
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for name in re.findall(r"-o (\S+)", line):
        assert (tmp_path / name).stat().st_size > 100


def test_its_python_runs():
    found: dict[str, object] = {}
    exec(compile(block("python"), "SKILL.md", "exec"), found)
    assert found["images"].shape == found["field"].shape == (4, 1, 8, 8)
    assert found["rows"].shape == (10, 2)


def test_what_it_names_exists():
    assert set(re.findall(r"`zoo ([a-z-]+)", SKILL)) <= {*COMMANDS}
    links = re.findall(r"\]\(([^)]+)\)", SKILL)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert re.match(r"---\nname: fieldzoo\ndescription: .{1,1024}\n", SKILL)
