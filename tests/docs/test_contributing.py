"""docs/contributing.md: the paths, links and names in it exist, and every package is in it."""

import re

from environments import ROOT
from test_levels import LEVEL, module_name

PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
PLACEHOLDERS = ("NAME", "PLUGIN")


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_path_exists():
    named = re.findall(r"`((?:zoo|plugins|tests|docs|benchmarks|model_cards)/[\w/.*]*)`", PAGE)
    paths = [path for path in named if not any(word in path for word in PLACEHOLDERS)]
    assert len(paths) > 30
    assert [path for path in paths if not any(ROOT.glob(path.rstrip("/")))] == []


def test_every_package_is_on_the_map():
    packages = {p.parent.name for p in (ROOT / "zoo").glob("*/__init__.py")}
    assert {p for p in packages if f"`zoo/{p}/`" not in PAGE} == set()


def test_the_levels_of_the_map_are_those_that_are_tested():
    rows = re.findall(r"^\| (\d+) \| `([\w/.*]+)` \|", PAGE, re.MULTILINE)
    shown = {}
    for level, path in rows:
        plugins = (p.parent for p in ROOT.glob(f"{path}__init__.py"))
        for file in plugins if "*" in path else [ROOT / path]:
            assert file.exists(), path
            module = module_name(file, ROOT / "plugins" if "*" in path else ROOT)
            shown[module] = int(level)
    assert shown == LEVEL


def test_the_names_it_points_at_are_there():
    found = re.findall(r"`([\w.]+)` (?:in|below) `(zoo/[\w/]+\.py)`", PAGE)
    assert len(found) >= 10
    for name, place in found:
        assert name.rpartition(".")[2] in (ROOT / place).read_text(encoding="utf-8"), (name, place)
