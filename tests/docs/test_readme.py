"""The README: its code runs, its commands exist, its picture is what the command draws."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import zoo
from zoo.cli import COMMANDS
from zoo.folder.picture import grid

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code):
    exec(compile(code, "README.md", "exec"), {})


def test_the_listing_that_it_shows_is_the_listing():
    shown = re.search(r'list_models\("(.*)"\)\s+# (\[.*\])', README)
    assert shown is not None
    assert shown[2] == repr(zoo.list_models(shown[1]))


def test_every_command_has_a_line_on_the_page_of_commands_and_no_other():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^    zoo ([a-z-]+)", page, flags=re.M)) == set(COMMANDS)


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_both_pages_lead_to_the_same_ones():
    english, chinese = (
        set(re.findall(r"\]\((docs/[^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")))
        for page in ("README.md", "README.zh.md")
    )
    assert english == chinese


def test_the_chinese_page_has_the_same_code():
    """But for comments, and the marks by which the tests find the commands."""
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    for language in ("python", "sh"):
        found = re.findall(rf"^```{language}\n(.*?)^```$", chinese, flags=re.M | re.S)
        assert [without_comments(c) for c in found] == [
            without_comments(c) for c in blocks(language)
        ]


def without_comments(code: str) -> str:
    return re.sub(r"  # .*", "", code)


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == zoo.__version__
    assert cited["license"] == "Apache-2.0"


def test_the_picture_is_what_the_command_draws():
    """To the grey level or nearly so: kernels of other processors round otherwise."""
    (line,) = [b for b in blocks("sh") if "zoo sample" in b]
    words = shlex.split(line[line.index("zoo sample") :])
    name, count = words[2], int(words[words.index("-n") + 1])
    shown = np.asarray(Image.open(ROOT / "docs" / "garments.png"), dtype=float)
    drawn = grid(zoo.load(name).sample(count, seed=0)).astype(float)
    assert shown.shape == drawn.shape
    assert np.abs(shown - drawn).mean() < 1
