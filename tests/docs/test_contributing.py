"""docs/contributing.md: the paths, links and names in it exist, and every package is in it."""

import re

from environments import ROOT

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


def test_the_names_it_points_at_are_there():
    for name, place in re.findall(r"`([\w.]+)` (?:in|below) `(zoo/[\w/]+\.py)`", PAGE):
        assert name.rpartition(".")[2] in (ROOT / place).read_text(encoding="utf-8"), (name, place)
