"""Answers of a Hub that were never meant to be: each is refused in one line, or the right model.

    pytest tests/hub/test_hub_fuzz.py --hypothesis-profile=explore

draws anew and goes on for minutes.
"""

import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from fake_hub.replies import failure
from huggingface_hub import constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from zoo.errors import ZooError
from zoo.models.locate import pull

REPO, SECONDS, MOST_BYTES = "ada/tiny", 2.0, 1_000_000
EXPLORE = not settings.default.derandomize
FILES = st.sampled_from(["config.json", "README.md", "model.safetensors"])

# What a header, a name or a digest may be instead of what it should be.
PATHS = [
    "/",
    "..",
    "../" * 3 + "elsewhere",
    "../" * 4 + "elsewhere",
    "{outside}/x",
    "~/x",
    "a/b",
    "a\\b",
    "C:\\x",
    "x" * 300,
]
DIGESTS = ["x" * 300, "0" * 40, "0" * 64, "A" * 40, "0" * 39, "g" * 64, f"{'0' * 40}\n", 'W/"', ""]
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
WORDS = st.sampled_from(PATHS + DIGESTS) | LATIN
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from([0, 1, -1, 2**31, 2**63])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | WORDS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)

HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("ETag", "X-Linked-Etag", "X-Linked-Size", "X-Repo-Commit", "X-Error-Code"),
            *("X-Error-Message", "X-Xet-Hash", "X-Xet-Refresh-Route", "Location", "Link"),
            *("Content-Type", "Content-Encoding", "Content-Range", "X-HF-Warning"),
        ]
    ),
    WORDS | NUMBERS.map(str),
    min_size=1,
    max_size=4,
)
LISTED = st.dictionaries(
    st.sampled_from(["size", "blobId", "lfs"]),
    VALUES
    | st.fixed_dictionaries({"size": VALUES, "sha256": WORDS, "pointerSize": VALUES})
    | st.integers(0, 5000),
    min_size=1,
    max_size=3,
)
CODES = st.sampled_from(["", "RepoNotFound", "RevisionNotFound", "EntryNotFound", "GatedRepo"])
STATUS = st.sampled_from([200, 204, 206, 301, 302, 307, 400, 401, 403, 404, 410, 416, 500, 503])


def altered(content, draw):
    """Return another content: bytes changed, cut, doubled, or none of it."""
    how = draw(st.sampled_from(["byte", "cut", "more", "much more", "other"]))
    if how == "byte":
        at = draw(st.integers(0, len(content) - 1))
        return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if how == "cut":
        return content[: draw(st.integers(0, len(content) - 1))]
    if how == "more":
        return content + draw(st.binary(min_size=1, max_size=50))
    return b" " * 5_000_000 if how == "much more" else draw(st.binary(max_size=200))


def lie(hub, saved, draw, outside):
    """Let the Hub answer wrongly in one to three ways."""
    for how in draw(st.lists(st.sampled_from(LIES), min_size=1, max_size=3)):
        file = draw(FILES)
        match how:
            case "header":
                found = draw(HEADERS)
                hub.headers[file] = {k: v.replace("{outside}", outside) for k, v in found.items()}
            case "listing":
                hub.listed[file] = draw(LISTED)
                hub.names_only = draw(st.booleans())
            case "body":
                hub.changed[file] = altered((saved / file).read_bytes(), draw)
            case "cut":
                hub.cut(file, *draw(st.lists(st.integers(0, 400), max_size=3)))
            case "names":
                hub.store.add(REPO, {draw(st.text(min_size=1, max_size=20) | WORDS) or "x": b""})
            case "status":
                status, code = draw(STATUS), draw(CODES)
                headers = {k: _plain(v) for k, v in draw(HEADERS).items() if k != "Location"}
                text = _plain(draw(WORDS))
                method, path = draw(st.sampled_from(["GET", "HEAD"])), draw(st.sampled_from(ASKED))
                reply = partial(failure, status, text, code, **headers)
                if status in (204, 304):  # by HTTP without a body; uvicorn breaks off at one
                    reply = partial(Response, status_code=status, headers=headers)
                hub.failing.append((method, path, reply))
            case "json":
                value = draw(VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES))
                hub.failing.append(("GET", "/api/models/", partial(_json, value)))


LIES = ["header", "listing", "body", "cut", "names", "status", "json"]
ASKED = ["/api/models/", "/revision/", "config.json", "README.md", "model.safetensors"]
KEYS = ["id", "sha", "siblings", "private", "gated", "lastModified", "cardData", "tags", "xetHash"]


def _plain(text):
    return text.encode("latin-1", "replace").decode("latin-1").replace("\n", " ")


def _json(value):
    try:
        return JSONResponse(value)
    except (ValueError, UnicodeEncodeError):
        return Response(b"{", media_type="application/json")


def tree(folder):
    return {path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


@pytest.fixture
def patch(hub, monkeypatch):
    """Places of an example's own."""

    def use(place):
        hub.clear()
        monkeypatch.setenv("ZOO_CACHE", str(place / "zoo"))
        monkeypatch.setenv("HOME", str(place / "home"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place / "hf"))

    return use


@given(st.data())
@settings(
    max_examples=1000 if EXPLORE else 40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_answers_of_a_hub(hub, saved, patch, data):
    place = Path(tempfile.mkdtemp())
    try:
        patch(place)
        hub.store.add_folder(REPO, saved)
        lie(hub, saved, data.draw, str(place / "outside"))
        start = time.process_time()
        try:
            right(pull(REPO), saved)
        except ZooError as error:
            text = str(error)
            assert text.isprintable(), text
            assert len(text) <= 500, text
        assert time.process_time() - start < SECONDS
        stray = [p for p in tree(place) if p.relative_to(place).parts[0] not in ("hf", "zoo")]
        assert stray == []
        assert sum(os.lstat(path).st_size for path in tree(place)) < MOST_BYTES
        assert not [path for path in tree(place) if path.name.endswith(".incomplete")]
        # And nothing of it stays.
        hub.clear()
        hub.store.add_folder(REPO, saved)
        right(pull(REPO), saved)
    finally:
        shutil.rmtree(place)


def right(folder, saved):
    """The folder of a pull holds the model, to the last bit; the card may be gone."""
    for path in saved.iterdir():
        found = folder / path.name
        if path.name != "README.md" or found.exists():
            assert found.read_bytes() == path.read_bytes()
