"""`zoo plugins --available`: what others publish is listed, nothing of it trusted or installed."""

import json
import logging
import re
import subprocess
import time
from io import StringIO
from pathlib import Path

import pytest
from fake_distributions import install
from starlette.responses import Response

from zoo.errors import ZooError
from zoo.hub import plugins
from zoo.hub.plugins import MAX_BYTES, parse_plugins

ROOT = Path(__file__).parents[2]
ENTRY = {"distribution": "zoo-yukawa2", "brings": "kernel yukawa2", "summary": "r ~ Gamma(2)"}


@pytest.fixture
def listed(hub):
    return lambda value: hub.store.add(
        "fieldzoo/plugins",
        {"plugins.json": value if isinstance(value, bytes) else json.dumps(value).encode()},
    )


def test_each_has_what_it_brings_and_its_line(listed, command, site, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)  # nothing is run
    install(site, "zoo-breeze")
    listed([ENTRY, {"distribution": "zoo-breeze", "brings": "prior breeze"}])
    status, out, err = command("plugins", "--available")
    assert (status, err) == (0, "")
    rows = out.splitlines()
    assert rows[1].split()[0] == "zoo-breeze"
    assert rows[1].endswith("installed")
    assert rows[2].endswith("pip install zoo-yukawa2")
    assert "kernel yukawa2" in rows[2]
    told = json.loads(command("plugins", "--available", "--json")[1])
    assert told[1] == {**ENTRY, "install": "pip install zoo-yukawa2"}


def test_the_list_changes_with_its_repository(listed, command, monkeypatch, hub):
    listed([ENTRY])
    assert "zoo-yukawa2" in command("plugins", "--available")[1]
    listed([{**ENTRY, "distribution": "zoo-newer"}])
    assert "zoo-newer" in command("plugins", "--available")[1]
    monkeypatch.setenv("ZOO_HUB_NAMESPACE", "ada")
    status, out, err = command("plugins", "--available")
    assert (status, out) == (1, "")
    assert "ada/plugins" in err


@pytest.mark.parametrize("trouble", ["offline", "500", "broken"])
def test_without_an_answer_it_is_the_last_list_with_its_age(
    listed, command, hub, monkeypatch, trouble
):
    listed([ENTRY])
    first = command("plugins", "--available")[1]
    now = time.time()
    monkeypatch.setattr(plugins.time, "time", lambda: now + 3 * 3600 + 5)
    if trouble == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    elif trouble == "500":
        hub.failing.append(("GET", "^/api/models/", lambda: Response(status_code=500)))
    else:
        listed(b"{")
    logged = StringIO()
    for handler in logging.getLogger("huggingface_hub").handlers:
        monkeypatch.setattr(handler, "stream", logged)
    status, out, err = command("plugins", "--available")
    assert (status, out, err.count("\n")) == (0, first, 1)
    assert err.startswith("zoo: as of 3 hours ago: ")
    assert "zoo pull" not in err
    assert logged.getvalue() == ""


def test_offline_without_a_memory_is_one_line(hub, command, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    status, out, err = command("plugins", "--available")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "HF_HUB_OFFLINE" in err
    assert "zoo pull" not in err


NAMES = ["Zoo_Yukawa", "zoo--x", "-r", "--index-url=x", "zoo x", "zoo;x", "zoo\n", "", "z" * 81]
HOSTILE = [
    b"{}",
    b"\xff",
    b"[" * 100_000,
    [1],
    [ENTRY | {"command": "rm"}],
    [ENTRY, ENTRY],
    [{"distribution": "zoo-x"}],
    [ENTRY | {"url": "javascript:x"}],
    [ENTRY | {"summary": "x" * 201}],
    [ENTRY | {"distribution": f"zoo-{i}"} for i in range(501)],
    *([ENTRY | {"distribution": name}] for name in NAMES),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: repr(v)[:40])
def test_another_form_is_one_line(value):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(ZooError) as error:
        parse_plugins(content)
    assert len(str(error.value)) <= 500
    assert str(error.value).isprintable()


def test_a_file_too_large_is_not_fetched_and_texts_are_shown(listed, command, hub):
    listed(b" " * (MAX_BYTES + 1))
    status, out, err = command("plugins", "--available")
    assert (status, out) == (1, "")
    assert "at most" in err
    listed([ENTRY | {"brings": "kernel\x1b[31m\nred"}])
    out = command("plugins", "--available")[1]
    assert "\x1b" not in out
    assert "kernel\\x1b[31m red" in out


def test_the_entry_of_the_page_is_one():
    page = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    (entry,) = re.findall(r"^```json\n(.*?)^```$", page, flags=re.M | re.S)
    assert parse_plugins(entry.encode())[0].brings == "kernel yukawa2"
