"""docs/plugins.md and docs/publishing.md: what they tell to type works, in their order.

Against the Hub's double.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from environments import ROOT, Environment
from tiny_models import points

import zoo
import zoo.formats
from zoo.cli import main
from zoo.interfaces import Network

# A block of Python or TOML that opens so is a file to be written.
FILE = re.compile(r"# (\S+\.(?:py|toml))\n")


def blocks(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.M | re.S)
    assert {language for language, _ in found} <= {"sh", "python", "toml", "ts", "json"}
    assert len(found) == text.count("```") // 2
    return found


def typed(page):
    return [
        line for language, code in blocks(page) if language == "sh" for line in code.splitlines()
    ]


def say_what_it_is(kernel):
    """Follow the page's words beside a kernel's file: summary and formula in its __init__.py."""
    if kernel.name != "kernel.py":
        return None
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    told = re.search(r'summary to `"(.+?)"`, the formula to\s+`"(.+?)"`', page)
    init = kernel.with_name("__init__.py")
    code = init.read_text(encoding="utf-8")
    for old, new in zip((r'"Rayleigh radius"', r'"ψ_t\(r\) = .+?"'), told.groups(), strict=True):
        code, count = re.subn(old, f'"{new}"', code)
        assert count == 1
    init.write_text(code, encoding="utf-8")
    return told[2]


def test_the_page_on_plugins_leads_to_a_model_on_the_hub(tmp_path, fieldzoo_wheel, hub):
    """In a fresh environment with fieldzoo's wheel and pip."""
    fresh = Environment(tmp_path, fieldzoo_wheel)
    fresh.asks(hub, HF_TOKEN="hf_ada")
    formula = ""
    for language, code in blocks("plugins.md"):
        if named := FILE.match(code):
            (fresh.work / named[1]).write_text(code[named.end() :])
            formula = say_what_it_is(fresh.work / named[1]) or formula
        else:
            assert language == "sh"
            for line in code.splitlines():
                fresh("sh", "-c", line)
    for command in ("new-plugin", "check", "train", "push"):
        assert any(line.startswith(f"zoo {command} ") for line in typed("plugins.md"))
    picture, again = ((fresh.work / f"{name}.png").read_bytes() for name in ("moons", "again"))
    assert picture == again
    assert picture.startswith(b"\x89PNG")
    files = hub.store.repositories["ada/yukawa2-moons"].files
    assert {"config.json", "README.md", "model.safetensors"} <= set(files)
    assert formula
    assert formula in files["README.md"].content.decode()


def test_it_fits_on_a_screen():
    lines = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 70
    assert max(map(len, lines)) <= 145


def test_it_builds_a_network_by_name():
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    (call,) = re.findall(r"`(zoo\.network\(.*?)`", text)
    assert isinstance(eval(call.replace("yukawa2", "gravity"), {"zoo": zoo}), Network)


def test_the_page_on_checkpoints_names_every_reader():
    text = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    table = text.split("| reader | gives |")[1]
    named = {name for name in re.findall(r"`(\w+)[`(]", table) if hasattr(zoo.formats, name)}
    assert named == {*zoo.formats.__all__} - {"Inert"}


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own
def test_the_page_on_publishing_does_what_it_says(hub, tmp_path, monkeypatch):
    """In this process: Python's blocks go on from each other, commands are those of `zoo`."""
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    hub.store.organisations["fieldzoo"] = {"owner"}
    model = points().save_pretrained(tmp_path / "name")
    commit = hub.store.add_folder("owner/name", model)
    hub.store.add_folder("ada/gravity-points", model)
    hub.store.add("fieldzoo/plugins", {"plugins.json": b"[]"})
    hub.store.repositories["owner/name"].refs["v1"] = commit.oid
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, tmp_path / "runs" / "mine" / "model")
    names = {}
    for language, code in blocks("publishing.md"):
        if language == "python":
            exec(compile(code, "docs/publishing.md", "exec"), names)
        if language != "sh":
            continue
        for line in code.splitlines():
            command, *words = shlex.split(line)
            assert command == "zoo"
            with pytest.raises(SystemExit) as stopped:
                main(words)
            assert stopped.value.code == 0, line
    made = hub.store.repositories
    assert made["owner/mine"].private
    assert "wip" in made["owner/mine"].refs
    assert "refs/pr/1" in made["owner/digits"].refs
    assert "samples.png" in made["owner/copy"].files
    assert (tmp_path / "four.png").is_file()
    cards = {f.parent.name for f in (ROOT / "model_cards").glob("*/config.json")}
    pushed = {name.partition("/")[2] for name in made if name.startswith("fieldzoo/")}
    assert pushed == cards | {"plugins"}
    assert names["url"].startswith(hub.url)


@pytest.mark.parametrize("page", ["plugins.md", "publishing.md", "solvers.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not Path(ROOT, "docs", link).exists()] == []
