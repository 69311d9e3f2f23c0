"""`zoo list --hub`: models of others are found, in bounded time, and remembered."""

import json
import time

import pytest
from fake_hub.replies import TROUBLES, in_trouble
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

import zoo
from zoo.errors import ZooError
from zoo.hub import catalogue, search
from zoo.hub.search import parse

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
CARD = b"---\nlibrary_name: fieldzoo\n---\n# A model\n"


@pytest.fixture
def published(hub, saved):
    zoo.push(saved, "ada/tiny", token="hf_ada")
    hub.store.add("bob/empty", {"README.md": CARD})
    hub.store.add("eve/other", {"README.md": b"---\nlibrary_name: timm\n---\n"})
    hub.downloads["ada/tiny"] = 7
    return hub


def test_a_push_is_found_by_its_tag_with_its_facts(published, command):
    status, out, err = command("list", "--hub")
    assert (status, err) == (0, "")
    rows = out.splitlines()[1:]
    assert rows[0].split()[:3] == ["ada/tiny", "gravity", "2"]
    assert rows[0].split()[-1] == "7"
    assert rows[1].startswith("bob/empty")
    assert "broken: " in rows[1]
    assert "eve/other" not in out
    assert zoo.list_models(hub=True) == ["ada/tiny", "bob/empty"]


def test_offline_it_lists_what_it_knew_and_how_old_that_is(published, command, monkeypatch):
    command("list", "--hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    now = time.time()
    monkeypatch.setattr(catalogue.time, "time", lambda: now + 3 * 3600 + 5)
    status, out, err = command("list", "--hub", "ti*")
    assert status == 0
    assert err.startswith("zoo: as of 3 hours ago: ")
    assert "HF_HUB_OFFLINE" in err
    assert "ada/tiny" in out
    assert "gravity" in out
    assert "bob/empty" not in out


def test_offline_without_a_memory_is_one_line(hub, command, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    status, out, err = command("list", "--hub")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "HF_HUB_OFFLINE" in err


def test_a_known_commit_costs_one_request(published, command):
    command("list", "--hub")
    published.requests.clear()
    command("list", "--hub")
    assert [path for _, path, _ in published.requests] == ["/api/models"]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_may_pass_is_not_kept_by_commit(published, command, trouble):
    with in_trouble(published, "ada/tiny", "/config.json", trouble):
        _, out, err = command("list", "--hub", "ada/*")
    assert "gravity" not in out
    assert "not read now: " in out or "1 not looked into yet" in err
    assert "broken" not in out
    _, out, err = command("list", "--hub", "ada/*")
    assert err == ""
    assert out.splitlines()[1].split()[:2] == ["ada/tiny", "gravity"]


def test_one_that_always_fails_holds_up_no_other(published, monkeypatch):
    monkeypatch.setattr("zoo.hub.memory.LOOKS", 1)
    published.store.repositories["ada/tiny"].gated = True  # the most downloaded one
    seen = [{m.repo: m.looked for m in catalogue.catalogue().models} for _ in range(2)]
    assert seen == [
        {"ada/tiny": False, "bob/empty": False},
        {"ada/tiny": False, "bob/empty": True},
    ]


def test_pages_are_followed_and_the_pattern_goes_along(hub):
    hub.page = 2
    for i in range(5):
        hub.store.add(f"ada/gravity-{i}", {"README.md": CARD})
    hub.store.add("bob/flow", {"README.md": CARD})
    assert zoo.list_models("gravity-*", hub=True) == [f"ada/gravity-{i}" for i in range(5)]
    assert len(hub.asked("GET", "/api/models")) == 3
    assert zoo.list_models("bob/*", hub=True) == ["bob/flow"]


HOSTILE = {
    "500": lambda: Response(status_code=500),
    "html": lambda: Response("<html>\x1b[31m"),
    "no list": lambda: JSONResponse({"error": "x" * 10_000}),
    "no names": lambda: JSONResponse([1, None, {"id": "../../etc"}, {"id": "a/b\x1b[31m"}]),
    "deep": lambda: Response("[" * 100_000),
    "too much": lambda: Response(b" " * 3_000_000),
}


@pytest.mark.parametrize("answer", HOSTILE)
def test_a_hostile_answer_is_one_line(hub, command, answer, monkeypatch):
    monkeypatch.setattr(search, "BYTES", 2_000_000)
    hub.failing.append(("GET", "^/api/models$", HOSTILE[answer]))
    status, out, err = command("list", "--hub")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert len(err) <= 506
    assert "\x1b" not in err
    assert "internal" not in err


def test_ten_thousand_results_and_an_endless_chain_are_bounded(hub):
    item = {"sha": "0" * 40, "downloads": 1}
    many = [{"id": f"ada/m{i}"} | item for i in range(10_000)]
    hub.failing.append(("GET", "^/api/models$", lambda: JSONResponse(many)))
    assert len(zoo.list_models(hub=True)) == search.MOST
    hub.failing.clear()
    chain = {"Link": f'<{hub.url}/api/models?cursor=1>; rel="next"'}
    hub.failing.append(("GET", "^/api/models$", lambda: JSONResponse([], headers=chain)))
    hub.requests.clear()
    assert zoo.list_models(hub=True) == []
    assert len(hub.requests) == search.PAGES


@pytest.mark.parametrize("second", ["500", "html", "elsewhere"])
def test_a_list_that_breaks_off_leaves_what_was_known_of_the_rest(hub, command, second):
    hub.page = 2
    for i in range(5):
        hub.store.add(f"ada/gravity-{i}", {"README.md": CARD})
    every = [f"ada/gravity-{i}" for i in range(5)]
    assert zoo.list_models(hub=True) == every
    url = "https://example.com" if second == "elsewhere" else hub.url
    item = {"id": every[0], "sha": hub.store.repositories[every[0]].at("main").oid}
    chain = {"Link": f'<{url}/api/models?cursor=1>; rel="next"'}
    replies = [lambda: JSONResponse([item], headers=chain)]
    replies += [HOSTILE[second]] if second in HOSTILE else []
    hub.failing.append(("GET", "^/api/models$", lambda: replies.pop(0)()))
    _, out, err = command("list", "--hub", "--json")
    assert [model["repo"] for model in json.loads(out)] == every
    assert "breaks off after 1 models" in err
    assert err.count("\n") == 1
    hub.failing.clear()
    hub.failing.append(("GET", "^/api/models$", HOSTILE["500"]))
    assert zoo.list_models(hub=True) == every


def test_a_link_to_another_server_is_not_followed(hub):
    away = {"Link": f'<{hub.url.replace("127.0.0.1", "localhost")}/api/models?c=1>; rel="next"'}
    hub.failing.append(("GET", "^/api/models$", lambda: JSONResponse([], headers=away)))
    assert zoo.list_models(hub=True) == []
    assert len(hub.requests) == 1


def test_a_slow_hub_costs_bounded_time(hub, monkeypatch):
    def slow():
        time.sleep(1.5)
        return JSONResponse([])

    monkeypatch.setattr(search, "SECONDS", 0.3)
    hub.failing.append(("GET", "^/api/models$", slow))
    start = time.monotonic()
    with pytest.raises(ZooError, match="cannot be asked"):
        zoo.list_models(hub=True)
    assert time.monotonic() - start < 1.4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "sha", "x"]), inner),
)
ITEM = st.fixed_dictionaries(
    {
        "id": JSON | st.from_regex(r"[\w][\w.-]*/[\w][\w.-]*", fullmatch=True),
        "sha": JSON | st.just("a" * 40),
        "downloads": JSON,
        "tags": JSON,
    }
)


@given(st.binary() | st.lists(JSON | ITEM).map(lambda page: json.dumps(page).encode()))
def test_whatever_a_server_says_the_parser_gives_plain_entries_or_one_line(page):
    try:
        found = parse(page)
    except ZooError:  # one line by its class
        return
    for entry in found:
        owner, name = entry.repo.split("/")
        assert owner
        assert name
        assert ".." not in (owner, name)
        assert entry.repo.isascii()
        assert entry.repo.isprintable()
        assert len(entry.commit) == 40
        assert entry.downloads is None or 0 <= entry.downloads < 10**15
        assert all(tag.isprintable() and len(tag) <= 60 for tag in entry.tags)
