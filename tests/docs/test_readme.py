"""The README: its code runs, its commands exist, its picture is what the command draws."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
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


def test_every_command_it_names_exists_and_every_command_is_named():
    named = set(re.findall(r"^    zoo ([a-z-]+)", README, flags=re.M))
    assert named == set(COMMANDS)


def test_toml_blocks_parse():
    for text in blocks("toml"):
        assert "zoo" in tomllib.loads(text)["project"]["entry-points"]


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_picture_is_what_the_command_draws():
    """To the grey level or nearly so: kernels of other processors round otherwise."""
    (line,) = [b for b in blocks("sh") if "zoo sample" in b]
    words = shlex.split(line[line.index("zoo sample") :])
    name, count = words[2], int(words[words.index("-n") + 1])
    shown = np.asarray(Image.open(ROOT / "docs" / "garments.png"), dtype=float)
    drawn = grid(zoo.load(name).sample(count, seed=0)).astype(float)
    assert shown.shape == drawn.shape
    assert np.abs(shown - drawn).mean() < 1
