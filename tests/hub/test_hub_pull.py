"""Loading from the Hub: the real client in front of the fake Hub."""

import json
import os
import random
import shutil
import subprocess
import sys
from io import FileIO
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from common import one_line
from starlette.responses import StreamingResponse

import zoo
from zoo.errors import ZooError
from zoo.hub import download
from zoo.models.locate import pull, verify

REPO = "ada/tiny"


@pytest.fixture
def pushed(hub, saved):
    return hub.store.add_folder(REPO, saved)


def samples(*args, **options):
    return zoo.load(*args, **options).sample(4, seed=0, steps=3)


def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def go_away(monkeypatch):
    """Point the client at a port that refuses."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


# What it means to load


def test_loaded_from_the_hub_it_samples_the_same(pushed, saved):
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("how", ["ref", "argument", "hub:"])
@pytest.mark.parametrize("which", ["branch", "tag", "commit", "main"])
def test_a_revision_is_what_it_was_when_it_was_named(hub, saved, pushed, which, how):
    repository = hub.store.repositories[REPO]
    repository.refs |= {"branch": pushed.oid, "tag": pushed.oid}
    if which != "main":
        hub.store.add(REPO, {"config.json": b"{}"})
    revision = pushed.oid if which == "commit" else which
    if how == "argument":
        folder = pull(REPO, revision=revision)
    else:
        folder = pull(f"{'hub:' if how == 'hub:' else ''}{REPO}@{revision}")
    assert (folder / "config.json").read_bytes() == (saved / "config.json").read_bytes()


def test_two_different_revisions_are_refused(pushed):
    with pytest.raises(ZooError) as caught:
        pull(f"{REPO}@main", revision="v1")
    assert "give one" in one_line(caught)


def test_a_branch_with_a_slash(hub, pushed):
    hub.store.repositories[REPO].refs["refs/pr/1"] = pushed.oid
    assert pull(f"{REPO}@refs/pr/1").name == pushed.oid


def test_a_private_repository_opens_with_a_token_only(hub, saved):
    hub.store.add_folder(REPO, saved, private=True)
    with pytest.raises(ZooError, match="private") as caught:
        zoo.load(REPO)
    assert REPO in one_line(caught)
    with pytest.raises(ZooError, match="private"):
        zoo.load(REPO, token="hf_bob")
    assert torch.equal(samples(REPO, token="hf_ada"), samples(saved))


def test_the_token_of_the_environment_is_used(hub, saved, monkeypatch):
    hub.store.add_folder(REPO, saved, private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    assert pull(REPO).is_dir()


@pytest.mark.parametrize("token", ["", "hf_ada\n", "hf_\u00e9", "hf ada"])
def test_a_token_that_cannot_be_one_is_an_error(hub, pushed, token):
    """An empty variable on the command line, say."""
    with pytest.raises(ZooError, match=r"^the token (is empty|has a blank)") as caught:
        zoo.load(REPO, token=token)
    one_line(caught)
    assert hub.requests == []


def test_a_gated_repository_says_what_to_do(hub, saved):
    hub.store.add_folder(REPO, saved, gated=True)
    for token in (None, "hf_bob"):
        with pytest.raises(ZooError, match="gated: accept its terms") as caught:
            zoo.load(REPO, token=token)
        one_line(caught)


# What is fetched


def test_the_files_needed_are_fetched_and_no_others(hub, saved, caplog):
    extra = {"train.py": b"import os", "weights.pkl": b"\x80\x04.", "sub/more.safetensors": b"x"}
    files = {p.name: p.read_bytes() for p in saved.iterdir()}
    hub.store.add(REPO, {**files, **extra, "grid.png": b"png", "old.safetensors": b"large"})
    folder = pull(REPO)
    assert {p.name for p in folder.rglob("*")} == {"config.json", "README.md", "model.safetensors"}
    fetched = {path.rpartition("/")[2] for path in hub.asked("GET", "/resolve/")}
    assert fetched == {"config.json", "README.md", "model.safetensors"}
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("zoo")]
    assert "train.py" in line
    assert "weights.pkl" in line
    assert "grid.png" not in line


def test_the_hub_knows_who_asks(hub, pushed):
    pull(REPO)
    for method, path, headers in hub.requests:
        assert f"fieldzoo/{zoo.__version__}" in headers["user-agent"], (method, path)


def test_a_pinned_revision_is_loaded_again_without_a_request(hub, pushed):
    ref = f"{REPO}@{pushed.oid}"
    first = samples(ref)
    hub.requests.clear()
    assert torch.equal(samples(ref), first)
    assert hub.requests == []


def test_a_pinned_model_without_a_card_too(hub, saved):
    files = {n: (saved / n).read_bytes() for n in ("config.json", "model.safetensors")}
    ref = f"{REPO}@{hub.store.add(REPO, files).oid}"
    pull(ref)
    hub.requests.clear()
    pull(ref)
    assert hub.requests == []


def test_a_branch_costs_one_request_when_nothing_changed(hub, pushed):
    pull(REPO)
    hub.requests.clear()
    pull(REPO)
    assert len(hub.requests) == 1


def test_a_branch_that_moved_is_fetched_anew_and_the_weights_are_not(hub, saved, pushed):
    pull(REPO)
    hub.store.add(REPO, {"README.md": b"---\nlicense: mit\n---\n# new\n"})
    hub.requests.clear()
    assert zoo.load(REPO).card.endswith("# new\n")
    assert hub.asked("GET", "model.safetensors") == []


def test_another_cache(hub, pushed, tmp_path):
    folder = pull(REPO, cache_dir=tmp_path / "other")
    assert folder.is_relative_to(tmp_path / "other")
    assert not (tmp_path / "hf").exists()


def test_a_mirror_that_lists_names_alone_is_asked_for_sizes(hub, saved, pushed):
    hub.names_only = True
    assert torch.equal(samples(REPO), samples(saved))
    assert len(hub.asked("POST", "/paths-info/")) == 1


def test_a_mirror_that_lists_names_alone_cannot_hide_a_size(hub):
    hub.names_only = True
    hub.store.add(REPO, {"config.json": b" " * 1_000_001})
    with pytest.raises(ZooError, match="at most 1000000 are fetched"):
        pull(REPO)


# Without a network


@pytest.mark.parametrize("cut_off", [offline, go_away])
def test_offline_after_one_load(hub, pushed, monkeypatch, cut_off):
    first = samples(REPO)
    cut_off(monkeypatch)
    assert torch.equal(samples(REPO), first)
    assert torch.equal(samples(f"{REPO}@{pushed.oid}"), first)


def test_local_files_only_after_one_load_asks_nobody(hub, pushed):
    first = samples(REPO)
    hub.requests.clear()
    assert torch.equal(samples(REPO, local_files_only=True), first)
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["", "@v1", "@" + "0" * 40])
@pytest.mark.parametrize("cut_off", [offline, go_away, None])
def test_offline_before_any_load(hub, pushed, monkeypatch, cut_off, revision):
    if cut_off:
        cut_off(monkeypatch)
    with pytest.raises(ZooError) as caught:
        pull(REPO + revision, local_files_only=cut_off is None)
    text = one_line(caught)
    assert f"zoo pull {REPO}{revision}" in text
    assert "while online" in text


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors"])
def test_offline_with_half_a_model(hub, pushed, monkeypatch, lost):
    (pull(REPO) / lost).unlink()
    offline(monkeypatch)
    with pytest.raises(ZooError, match="while online") as caught:
        zoo.load(REPO)
    one_line(caught)


# Names of the zoo


def test_a_zoo_name_that_only_the_hub_has(hub, saved, monkeypatch):
    hub.store.add_folder("fieldzoo/gravity-moons", saved)
    hub.store.add_folder("ours/gravity-suns", saved)
    assert torch.equal(samples("gravity-moons"), samples(saved))
    with pytest.raises(ZooError, match="no model 'gravity-suns'"):
        pull("gravity-suns")
    monkeypatch.setenv("ZOO_HUB_NAMESPACE", "ours")
    assert pull("gravity-suns").is_dir()


def test_an_unknown_name_stays_unknown(hub):
    with pytest.raises(ZooError, match="no model 'gravity-mist'; ") as caught:
        zoo.load("gravity-mist")
    assert "nor is there fieldzoo/gravity-mist on the Hub" in one_line(caught)


@pytest.mark.parametrize("name", ["gravity-", "gravity--mist", "a..b", "x.git", "a" * 120])
def test_a_name_that_no_repository_can_have_is_unknown(hub, name):
    with pytest.raises(ZooError, match=f"^no model '{name}'; ") as caught:
        zoo.load(name)
    one_line(caught)
    assert hub.requests == []


def test_an_unknown_name_offline_says_both(hub, monkeypatch):
    offline(monkeypatch)
    with pytest.raises(ZooError, match=r"no model 'gravity-mist'; .*zoo pull") as caught:
        zoo.load("gravity-mist")
    one_line(caught)


def test_a_qualified_name_never_asks_the_hub(hub):
    with pytest.raises(ZooError, match="no model 'gravity:mist'"):
        zoo.load("gravity:mist")
    assert hub.requests == []


def test_a_path_is_a_folder_and_never_a_name(hub, saved, tmp_path, monkeypatch):
    shutil.copytree(saved, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert pull(Path("mine")) == Path("mine")
    with pytest.raises(ZooError, match="there is no folder gravity-digits"):
        pull(Path("gravity-digits"))


def test_a_name_that_is_a_folder_here_is_not_looked_for_on_the_hub(
    hub, saved, tmp_path, monkeypatch
):
    hub.store.add_folder("fieldzoo/gravity-moons", saved)
    shutil.copytree(saved, tmp_path / "gravity-moons")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError, match=r"say \./gravity-moons") as caught:
        zoo.load("gravity-moons")
    one_line(caught)
    assert hub.requests == []


def test_the_folder_of_a_pull_is_a_model_folder_from_wherever_it_is_named(
    hub, pushed, saved, tmp_path, monkeypatch
):
    folder = pull(REPO)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    for ref in (".", f"../{folder.name}", str(folder), tmp_path / "link"):
        assert torch.equal(samples(ref), samples(saved))


def test_a_folder_has_no_revision(hub, saved):
    with pytest.raises(ZooError, match="has no revision") as caught:
        zoo.load(str(saved), revision="v1")
    one_line(caught)


def test_weights_in_another_repository(hub, saved, pushed):
    config = json.loads((saved / "config.json").read_text())
    config["weights"] |= {"repo": REPO, "revision": pushed.oid}
    hub.store.add("bob/lifted", {"config.json": json.dumps(config).encode()})
    assert torch.equal(samples("bob/lifted"), samples(saved))


def test_weights_in_a_repository_that_has_none_either(hub, saved):
    config = json.loads((saved / "config.json").read_text())
    for name, there in (("bob/first", "bob/second"), ("bob/second", "bob/first")):
        config["weights"] = {"repo": there}
        hub.store.add(name, {"config.json": json.dumps(config).encode()})
    for ask in (pull, zoo.load):
        with pytest.raises(ZooError, match="bob/second has no weights of its own") as caught:
            ask("bob/first")
        one_line(caught)


# What the Hub says no to


def test_no_such_repository(hub):
    with pytest.raises(ZooError, match="no repository bob/nothing") as caught:
        zoo.load("bob/nothing")
    one_line(caught)


def test_no_such_revision(pushed):
    with pytest.raises(ZooError, match="no branch, tag or commit 'v9'") as caught:
        zoo.load(f"{REPO}@v9")
    one_line(caught)


def test_a_repository_of_something_else(hub):
    hub.store.add(REPO, {"notes.txt": b"hello"})
    with pytest.raises(ZooError, match=r"has no config.json") as caught:
        zoo.load(REPO)
    one_line(caught)


def test_a_repository_of_another_library(hub):
    hub.store.add(REPO, {"config.json": b'{"architectures": ["GPT2LMHeadModel"]}'})
    with pytest.raises(ZooError, match=r"not a model of the zoo: config.json") as caught:
        zoo.load(REPO)
    one_line(caught)


@pytest.mark.parametrize(
    ("status", "hint"), [(500, "while online"), (401, "log"), (403, "refuses")]
)
def test_a_server_that_fails_at_first_is_an_error_and_forgiven(hub, pushed, saved, status, hint):
    hub.fail("GET", "/api/models/", status)
    with pytest.raises(ZooError, match=hint) as caught:
        zoo.load(REPO)
    assert REPO in one_line(caught)
    hub.failing.clear()
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("file", ["config.json", "README.md", "model.safetensors"])
@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_file_that_fails_leaves_nothing_wrong_behind(hub, pushed, saved, file, status):
    hub.fail("GET", f"/resolve/.*/{file}", status)
    with pytest.raises(ZooError) as caught:
        zoo.load(REPO)
    assert REPO in one_line(caught)
    hub.failing.clear()
    assert torch.equal(samples(REPO), samples(saved))


def test_requirements_are_checked_before_the_weights_are_fetched(hub, saved):
    config = json.loads((saved / "config.json").read_text())
    config["requires"] = ["zoo-yukawa-unheard>=2"]
    hub.store.add(REPO, {"config.json": json.dumps(config).encode(), "model.safetensors": b"..."})
    with pytest.raises(ZooError, match="pip install 'zoo-yukawa-unheard>=2'") as caught:
        zoo.load(REPO)
    one_line(caught)
    assert hub.asked("GET", "model.safetensors") == []


# Broken connections and disks


@pytest.mark.parametrize("after", [0, 1, 7, 500, 4096])
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_connection_cut_once_is_resumed(hub, pushed, saved, file, after):
    hub.cut(file, after)
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("seed", range(10))
def test_connections_cut_five_times_at_any_byte(hub, pushed, saved, seed):
    """As often as the client tries again by itself, at positions drawn anew for each seed."""
    draw = random.Random(seed)
    for file in ("README.md", "config.json", "model.safetensors"):
        size = (saved / file).stat().st_size
        hub.cut(file, *(draw.randrange(size) for _ in range(5)))
    assert pull(REPO).is_dir()
    assert len(hub.asked("GET", "model.safetensors")) == 6
    assert verify(REPO)
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("after", [0, 1, 30, 200])
def test_an_answer_of_the_api_that_is_cut_is_an_error_and_forgiven(hub, pushed, saved, after):
    def cut():
        body = [b'{"id": "ada/tiny", "sha": "' + b"0" * 300]
        return StreamingResponse(iter([body[0][:after]]), headers={"Content-Length": "400"})

    hub.failing.append(("GET", "/api/models/ada/tiny", cut))
    with pytest.raises(ZooError) as caught:
        zoo.load(REPO)
    assert REPO in one_line(caught)
    hub.failing.clear()
    assert torch.equal(samples(REPO), samples(saved))


def test_a_connection_cut_for_good_is_an_error_and_leaves_no_part(hub, pushed, saved):
    hub.cut("model.safetensors", *[0] * 20)
    with pytest.raises(ZooError, match=r"cannot be asked \(RemoteProtocolError\)") as caught:
        zoo.load(REPO)
    assert REPO in one_line(caught)
    hub.cuts.clear()
    assert torch.equal(samples(REPO), samples(saved))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_full_disk_is_an_error(hub, pushed, saved, tmp_path, monkeypatch, file):
    """What the download writes into is a device that is full."""

    def opened(path, mode):
        return FileIO("/dev/full" if pushed.files[file].etag in path.name else path, "wb")

    with monkeypatch.context() as patch:
        patch.setattr(download, "FileIO", opened)
        with pytest.raises(ZooError, match="disk is full") as caught:
            zoo.load(REPO)
        one_line(caught)
    assert not [*(tmp_path / "hf").rglob("*.incomplete")]
    assert torch.equal(samples(REPO), samples(saved))


def test_a_cache_that_cannot_be_written_is_an_error(hub, pushed, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ZooError, match=r"file/x: Not a directory; point cache_dir=") as caught:
        pull(REPO, cache_dir=tmp_path / "file" / "x")
    assert "try again" not in one_line(caught)


def test_a_file_of_other_content_is_not_kept(hub, pushed, saved, tmp_path):
    right = (saved / "model.safetensors").read_bytes()
    hub.changed["model.safetensors"] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(ZooError, match="not kept") as caught:
        zoo.load(REPO)
    one_line(caught)
    kept = [p for p in (tmp_path / "hf").rglob("*") if p.is_file()]
    assert kept
    assert len(right) not in [p.stat().st_size for p in kept]
    hub.changed.clear()
    assert torch.equal(samples(REPO), samples(saved))


def test_a_file_damaged_on_this_disk_is_fetched_again(hub, pushed, saved):
    path = (pull(REPO) / "model.safetensors").resolve()
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ZooError, match="fetch it again"):
        pull(REPO, local_files_only=True)
    assert torch.equal(samples(REPO), samples(saved))


def test_a_config_that_is_wrong_about_a_file_does_not_cost_the_file(hub, pushed, saved, tmp_path):
    kept = pull(REPO) / "model.safetensors"
    config = json.loads((saved / "config.json").read_text())
    config["weights"] |= {"repo": REPO}
    config["weights"]["files"]["model.safetensors"]["sha256"] = "0" * 64
    other = shutil.copytree(saved, tmp_path / "other")
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ZooError, match="not of one model") as caught:
        zoo.load(other)
    one_line(caught)
    assert kept.is_file()


def test_two_processes_load_into_one_empty_cache(hub, pushed, saved, tmp_path):
    code = f"from zoo.hub.fetch import pull_repository; print(pull_repository({REPO!r}))"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "shared")}
    run = [sys.executable, "-c", code]
    both = [
        subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    folder = outputs[0][0].decode().strip()
    for file in saved.iterdir():
        assert Path(folder, file.name).read_bytes() == file.read_bytes()
