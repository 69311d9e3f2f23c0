"""What no line on a terminal and no published file may hold: tokens, passwords, local folders."""

import json
import logging
import os

import numpy as np
import pytest
from starlette.responses import JSONResponse, Response
from tiny_models import points

import zoo
from zoo.errors import ZooError, shown

REPO = "ada/tiny"
TOKEN = "hf_adaAdaAdaAdaAdaAdaAda1234567890"
ESCAPES = "\x1b[31m\x07\u202e\x00"


def said(call, *args, **options):
    with pytest.raises(ZooError) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) <= 500
    return text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 416, 429, 500, 503])
@pytest.mark.parametrize("how", ["header", "json", "text", "list"])
def test_what_a_server_says_is_bounded_and_without_the_token(hub, monkeypatch, status, how, caplog):
    """A server may quote the request, and more."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    words = f"no {TOKEN} " + "very " * 5000

    def reply():
        if how == "header":
            return Response(status_code=status, headers={"X-Error-Message": words[:3000]})
        if how == "text":
            return Response(words + ESCAPES, status, media_type="text/plain")
        return JSONResponse({"error": [words, ESCAPES] if how == "list" else words}, status)

    hub.failing.append(("GET", "/api/models/", reply))
    text = said(zoo.load, REPO) + caplog.text
    assert TOKEN not in text
    hub.failing[:] = [("GET", "/api/models/", reply)]
    assert "ey" * 100 not in said(zoo.load, REPO, token="hf_other")
    text = said(zoo.push, points(), REPO, token=TOKEN)
    assert TOKEN not in text


def test_a_servers_warnings_are_lines_without_escapes(hub, saved, capsys, caplog):
    hub.store.add_folder(REPO, saved)
    hub.headers["config.json"] = {"X-HF-Warning": "topic; \x9b31mlook " + "x" * 3000}
    zoo.pull(REPO)
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) <= 500


@pytest.mark.parametrize("status", [None, 401, 403, 404, 500])
def test_the_password_of_the_endpoint_is_not_printed(hub, saved, monkeypatch, caplog, status):
    secret = "s3cr%40t-word"
    hub.store.add_folder(REPO, saved)
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("http://", f"http://ada:{secret}@"))
    if status is None:
        hub.cut("model.safetensors", *[0] * 20)
    else:
        hub.fail("GET", "/", status)
    with caplog.at_level(logging.DEBUG, logger="huggingface_hub"):
        text = said(zoo.load, REPO)
    lines = text + "".join(r.getMessage() for r in caplog.records if r.levelno > logging.INFO)
    for word in (secret, "s3cr@t-word"):
        assert word not in lines
    assert "127.0.0.1" in text or status is None or REPO in text


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own
def test_the_address_of_a_commit_has_no_password(hub, saved, monkeypatch):
    monkeypatch.setattr(hub, "url", hub.url.replace("http://", "http://ada:word@"))
    assert "word" not in zoo.push(saved, REPO, token="hf_ada")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\t c", "a b c"),
        ("\x1b[2Jx\u202ey", "\\x1b[2Jx\\u202ey"),
        ("see https://ada:pw@x.org/y", "see https://...@x.org/y"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ..."),
        (f"key {TOKEN}!", "key ...!"),
        ("pip install hf_xet", "pip install hf_xet"),
        ("x" * 300, "x" * 197 + "..."),
    ],
)
def test_text_from_outside_in_a_line(text, line):
    assert shown(text) == line
    assert shown(f"{text} is the word", secrets=[None, "", text]).count(text) <= (text == line)


# Folders of this machine


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of a user whose name is not for publishing."""
    folder = tmp_path / "jane.doe"
    (folder / "photos").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder)
    return folder


RECIPE = {
    "name": "mine",
    "kernel": {"use": "gaussian"},
    "network": {"use": "mlp", "width": 8, "blocks": 1},
    "train": {"images": 64, "batch": 8, "warmup": 8, "samples_every": 64},
}


@pytest.mark.parametrize("how", ["absolute", "home", "relative"])
def test_a_trained_model_does_not_say_where(home, how):
    np.savez(home / "photos" / "x.npz", x=np.random.default_rng(0).normal(size=(32, 2)) / 2)
    base = zoo.train({**RECIPE, "data": {"use": "npz:photos/x.npz"}}, folder="runs/base")
    assert base is not None
    place = {"absolute": f"{home}/", "home": "~/", "relative": ""}[how]
    start = f"{place or './'}runs/base/model"
    data = {"use": f"npz:{place}photos/x.npz"}
    train = {**RECIPE["train"], "start": start}
    zoo.train({**RECIPE, "data": data, "train": train}, folder="runs/next")
    model = home / "runs" / "next" / "model"
    for file in ("config.json", "README.md"):
        text = (model / file).read_text()
        assert "jane.doe" not in text
        assert "~/" not in text
    recipe = json.loads((model / "config.json").read_text())["training"]["recipe"]
    kept = "photos/x.npz" if how == "relative" else "x.npz"
    assert recipe["data"]["use"] == f"npz:{kept}"
    assert recipe["train"]["start"] == (start if how == "relative" else "./model")


def test_a_folder_of_diffusers_does_not_say_where_it_lay(home):
    diffusers_repositories = pytest.importorskip("diffusers_repositories")
    unet, ddpm = diffusers_repositories.unet(), diffusers_repositories.ddpm()
    diffusers_repositories.save(home / "theirs", unet, ddpm, "flat-bin")
    zoo.load(home / "theirs").save_pretrained(home / "mine")
    for file in ("config.json", "README.md"):
        assert "jane.doe" not in (home / "mine" / file).read_text()
    config = json.loads((home / "mine" / "config.json").read_text())
    assert config["training"]["trained_elsewhere"] == "theirs"
    assert os.environ["HOME"] == str(home)
