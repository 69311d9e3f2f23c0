"""Publishing: the real client in front of the fake Hub, then loading what was pushed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from tiny_models import points

import zoo
from zoo.cli import main
from zoo.errors import ZooError
from zoo.folder.card import END, FACTS
from zoo.folder.picture import write_samples
from zoo.hub import publish

# The client's own, of how it hands a body to its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "ada/tiny"
FILES = {".gitattributes", "README.md", "config.json", "model.safetensors"}
ADA = {"token": "hf_ada"}


def head(hub, revision="main"):
    return hub.store.repositories[REPO].at(revision)


def commits(hub):
    return len(hub.store.repositories[REPO].commits)


def run(*args):
    with pytest.raises(SystemExit) as stopped:
        main([*args])
    return stopped.value.code


def front_matter(card):
    return yaml.safe_load(card.split("\n---\n")[0][4:])


def edit(hub, *pairs):
    """Edit the card on the Hub by hand."""
    card = head(hub).files["README.md"].content.decode()
    for old, new in pairs:
        assert old in card
        card = card.replace(old, new)
    hub.store.add(REPO, {"README.md": card.encode()})


def card(hub):
    return head(hub).files["README.md"].content.decode()


# There and back


def test_a_folder_pushed_is_the_model_that_is_loaded(hub, saved, tmp_path):
    url = zoo.push(saved, REPO, **ADA)
    assert url == f"{hub.url}/{REPO}/commit/{head(hub).oid}"
    assert set(head(hub).files) == FILES
    assert commits(hub) == 2  # the Hub's own first one, and ours
    loaded = zoo.load(REPO, cache_dir=tmp_path / "other")
    assert torch.equal(
        loaded.sample(3, seed=1, steps=3), zoo.load(saved).sample(3, seed=1, steps=3)
    )


def test_a_student_pushed_and_pulled_is_the_student(hub, tmp_path):
    teacher = points()
    teacher.name = "dots"
    student = zoo.distill(teacher, images=40, batch=20, progress=False)
    zoo.push(student, REPO, **ADA)
    for loaded in (zoo.load(REPO), zoo.load(zoo.pull(REPO))):
        assert loaded.distilled == student.distilled
        assert torch.equal(loaded.sample(5, seed=1), student.sample(5, seed=1))
        with pytest.raises(ZooError, match="use its teacher dots"):
            loaded.encode(torch.zeros(1, 2))
    # A folder that points at its weights has no field either.
    config = json.loads(head(hub).files["config.json"].content) | {"weights": {"repo": REPO}}
    marked = config.pop("distilled")
    unmarked = {"solver": {"use": "heun", "steps": 9}}
    levels = {"distilled": marked, "solver": config["solver"] | {"grid": [80.0, 3.0]}}
    prior = {"distilled": marked, "prior": {"use": "gaussian"}}
    for i, change in enumerate((unmarked, levels, prior)):
        hub.store.add(f"bob/other{i}", {"config.json": json.dumps(config | change).encode()})
        with pytest.raises(ZooError, match="is a student of dots in 2 evaluations"):
            zoo.load(f"bob/other{i}")
    hub.store.add("bob/same", {"config.json": json.dumps(config | {"distilled": marked}).encode()})
    assert torch.equal(zoo.load("bob/same").sample(5, seed=1), student.sample(5, seed=1))


def test_a_student_of_a_model_of_the_hub_names_it_by_its_id(hub, tmp_path):
    zoo.push(points(), REPO, **ADA)
    student = zoo.distill(zoo.load(REPO), images=40, batch=20, progress=False)
    assert student.distilled.whose == f"its teacher {REPO}"
    card = (student.save(tmp_path / "it") / "README.md").read_text()
    assert f"base_model: {REPO}\n" in card.partition("\n---\n")[0]


def test_another_process_with_another_cache_draws_the_same_samples(hub, saved, tmp_path):
    expected = zoo.load(saved).sample(3, seed=1, steps=3)
    zoo.push(saved, REPO, **ADA)
    code = f"import zoo, torch; torch.save(zoo.load({REPO!r}).sample(3, seed=1, steps=3), 'x.pt')"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "theirs"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert torch.equal(torch.load(tmp_path / "x.pt"), expected)


def test_a_model_in_memory_is_pushed(hub):
    model = points()
    model.push_to_hub(REPO, **ADA)
    assert torch.equal(
        zoo.load(REPO).sample(2, seed=0, steps=2), model.eval().sample(2, seed=0, steps=2)
    )


def test_a_model_in_memory_gets_a_picture_of_the_seed_that_its_card_names(hub):
    model = points()
    model.push_to_hub(REPO, **ADA)
    picture = head(hub).files["samples.png"].content
    assert picture.startswith(b"\x89PNG")
    (count, seed) = re.search(r"!\[(\d+) samples, seed (\d+)\]\(samples.png\)", card(hub)).groups()
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.png"
        write_samples(again, zoo.load(REPO).sample(int(count), seed=int(seed)))
        assert again.read_bytes() == picture
    before = commits(hub)
    model.push_to_hub(REPO, **ADA)
    assert commits(hub) == before


def test_a_loaded_model_keeps_its_prose_and_gets_a_picture(hub, saved):
    model = zoo.load(saved)
    model.card = model.card.replace("# tiny", "# Tiny, my own words")
    model.push_to_hub(REPO, **ADA)
    assert "# Tiny, my own words" in card(hub)
    assert card(hub).count("](samples.png)") == 1


def test_a_picture_of_ones_own_is_pushed_by_itself(hub, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    (folder / "samples.png").write_bytes(b"\x89PNG first")
    zoo.push(folder, REPO, **ADA)
    (folder / "samples.png").write_bytes(b"\x89PNG second")
    zoo.push(folder, REPO, **ADA)
    assert head(hub).files["samples.png"].content == b"\x89PNG second"


def test_data_that_has_no_picture_is_pushed_without_one(hub):
    kernel = zoo.kernel("gravity", dim=3)
    network = zoo.network("mlp", shape=(3,), kernel=kernel, width=8, blocks=1)
    parts = kernel, zoo.prior("gravity", kernel), network, zoo.solver("heun")
    zoo.FieldModel(*parts, (3,)).push_to_hub(REPO, **ADA)
    assert set(head(hub).files) == FILES
    assert "samples.png" not in card(hub)


def test_weight_files_under_old_names_go_in_the_same_commit(hub, saved, tmp_path):
    """Those of the model that was there; safetensors that it never listed are somebody's own."""
    old = shutil.copytree(saved, tmp_path / "old")
    (old / "model.safetensors").rename(old / "first.safetensors")
    text = (old / "config.json").read_text().replace("model.safetensors", "first.safetensors")
    (old / "config.json").write_text(text)
    zoo.push(old, REPO, **ADA)
    assert set(head(hub).files) == FILES - {"model.safetensors"} | {"first.safetensors"}
    hub.store.add(REPO, {"mine.safetensors": b"x"})
    before = commits(hub)
    zoo.push(saved, REPO, **ADA)
    assert set(head(hub).files) == FILES | {"mine.safetensors"}
    assert commits(hub) == before + 1
    assert zoo.pull(REPO).is_dir()


def test_the_token_of_the_environment_is_used(hub, saved, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    zoo.push(saved, REPO)
    assert set(head(hub).files) == FILES


def test_only_the_models_files_are_pushed(hub, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    for name in (".env", "notes.txt", "old.safetensors", "train.py"):
        (folder / name).write_text("secret")
    (folder / "samples.png").write_bytes(b"\x89PNG")
    zoo.push(folder, REPO, **ADA)
    assert set(head(hub).files) == FILES | {"samples.png"}


def test_the_hub_knows_who_pushes(hub, saved):
    zoo.push(saved, REPO, **ADA)
    zoo.push(saved, REPO, **ADA)
    for method, path, headers in hub.requests:
        # The client asks two things on its own account.
        if "/lfs" not in path and path != "/api/agent-harnesses":
            assert f"fieldzoo/{zoo.__version__}" in headers["user-agent"], (method, path)


# Where to


@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository_is_as_private_as_asked(hub, saved, private):
    zoo.push(saved, REPO, private=private, **ADA)
    assert hub.store.repositories[REPO].private is private
    assert zoo.pull(REPO, **ADA).is_dir()
    if private:
        with pytest.raises(ZooError, match="private"):
            zoo.load(REPO)


def test_weights_that_change_while_they_are_pushed_are_not(hub, saved, tmp_path, monkeypatch):
    """Between the hash that is compared with config.json and the one of the upload."""
    folder = Path(shutil.copytree(saved, tmp_path / "mine"))
    refreshed = publish._card_for

    def meanwhile(*args):
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return refreshed(*args)

    monkeypatch.setattr(publish, "_card_for", meanwhile)
    with pytest.raises(ZooError, match="was changed while it was pushed"):
        zoo.push(folder, REPO, **ADA)
    assert hub.store.repositories == {}


def test_a_branch_is_made_where_there_is_none(hub, saved):
    zoo.push(saved, REPO, revision="wip", **ADA)
    assert set(head(hub, "wip").files) == FILES
    assert set(head(hub).files) == {".gitattributes"}
    assert zoo.pull(f"{REPO}@wip").is_dir()


def test_a_pull_request_leaves_main_alone(hub, saved):
    zoo.push(saved, REPO, create_pr=True, **ADA)
    assert set(head(hub).files) == {".gitattributes"}
    assert zoo.pull(f"{REPO}@refs/pr/1").is_dir()


def test_a_pull_request_to_a_repository_of_somebody_else(hub, saved):
    """The Hub says 403 to whoever would make a repository in another's namespace, there or not."""
    hub.store.add(REPO, {"notes.txt": b"mine"})
    before = head(hub).oid
    zoo.push(saved, REPO, create_pr=True, token="hf_bob")
    assert head(hub).oid == before
    assert set(head(hub, "refs/pr/1").files) == FILES | {"notes.txt"}


def test_who_may_not_make_a_repository_may_still_write_to_one(hub, saved):
    hub.store.add(REPO, {})
    hub.fail("POST", "/repos/create", 403)
    zoo.push(saved, REPO, **ADA)
    assert set(head(hub).files) == FILES


def test_a_pull_request_to_a_branch_is_refused(hub, saved):
    with pytest.raises(ZooError, match="not both"):
        zoo.push(saved, REPO, revision="wip", create_pr=True, **ADA)
    assert hub.requests == []


def test_an_organisation(hub, saved):
    hub.store.organisations["ours"] = {"ada"}
    zoo.push(saved, "ours/tiny", **ADA)
    assert zoo.pull("ours/tiny").is_dir()


# Once more


def test_nothing_changed_makes_no_commit(hub, saved):
    first = zoo.push(saved, REPO, **ADA)
    assert zoo.push(saved, REPO, **ADA) == first
    assert zoo.push(saved, REPO, **ADA) == first
    assert commits(hub) == 2


def test_a_change_makes_one_commit_and_uploads_what_changed(hub, saved, tmp_path):
    zoo.push(saved, REPO, **ADA)
    folder = shutil.copytree(saved, tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    config["solver"]["steps"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    hub.requests.clear()
    zoo.push(folder, REPO, **ADA)
    assert commits(hub) == 3
    assert hub.asked("PUT") == []
    assert zoo.load(REPO).steps == 7


def test_prose_by_hand_is_kept_and_facts_are_refreshed(hub, saved):
    zoo.push(saved, REPO, **ADA)
    edit(
        hub,
        ("# tiny\n", "# Tiny moons\n\nLovingly described by hand.\n"),
        ("library_name: fieldzoo\n", "library_name: fieldzoo\nlanguage: en\nextra: [a, b]\n"),
        (END, f"{END}\n\n## Thanks\n\nTo everybody."),
        (FACTS, f"{FACTS}\nstale facts"),
    )
    other = points(sigma_data=0.75)
    other.push_to_hub(REPO, **ADA)
    text = card(hub)
    assert "Lovingly described by hand." in text
    assert "## Thanks\n\nTo everybody." in text
    assert "stale facts" not in text
    assert "sigma_data = 0.75" in text
    assert text.count(FACTS) == text.count(END) == 1
    matter = front_matter(text)
    assert (matter["language"], matter["extra"]) == ("en", ["a", "b"])
    before = commits(hub)
    other.push_to_hub(REPO, **ADA)
    assert commits(hub) == before


@pytest.mark.parametrize(
    "by_hand",
    [
        "---\nlicense: mit\n---\n",
        "---\nlicense: mit\ntags:\n- mine\n---\n\n# Mine\n\nAll mine.\n",
        "# No front matter\n\nAll mine.\n",
        "---\r\nlicense: mit\r\n---\r\n# Windows\r\nAll mine.\r\n",
    ],
)
def test_a_card_that_was_there_before_is_kept(hub, saved, by_hand):
    hub.store.add(REPO, {"README.md": by_hand.encode()})
    zoo.push(saved, REPO, **ADA)
    text = card(hub)
    for line in by_hand.splitlines():
        if line.startswith(("#", "All")):
            assert line in text
    assert front_matter(text)["library_name"] == "fieldzoo"
    if "tags" in by_hand:
        assert front_matter(text)["tags"] == ["mine"]
    assert FACTS in text
    before = commits(hub)
    zoo.push(saved, REPO, **ADA)
    assert commits(hub) == before
    assert zoo.load(REPO).card == text


def test_a_license_given_by_hand_is_not_taken_back(hub, saved):
    zoo.push(saved, REPO, **ADA)
    edit(hub, ("license: unknown", "license: mit"))
    zoo.push(saved, REPO, **ADA)
    assert front_matter(card(hub))["license"] == "mit"
    assert "Weights: mit." in card(hub)


def test_facts_are_those_of_config_json_whatever_the_folders_card_says(hub, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    config["solver"]["steps"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    zoo.push(folder, REPO, **ADA)
    assert "steps = 7" in card(hub)
    (folder / "README.md").unlink()
    zoo.push(folder, "ada/cardless", **ADA)
    text = hub.store.repositories["ada/cardless"].files["README.md"].content.decode()
    assert "steps = 7" in text
    assert " parameters; data of shape 2." in text


# The card


def test_the_card_is_one_that_the_hub_understands(hub, saved):
    zoo.push(saved, REPO, **ADA)
    loaded = huggingface_hub.ModelCard(card(hub))
    assert loaded.data.license == "unknown"
    assert loaded.data.library_name == "fieldzoo"
    assert "gravity" in loaded.data.tags
    assert huggingface_hub.ModelCardData(**loaded.data.to_dict()).to_dict() == loaded.data.to_dict()


def test_the_load_line_of_the_card_loads_it(hub, saved):
    zoo.push(saved, REPO, **ADA)
    (line,) = re.findall(r"zoo\.load\(.*?\)", card(hub))
    assert line == f'zoo.load("{REPO}")'
    assert f"`zoo sample {REPO} " in card(hub)


def test_what_the_prose_loads_is_not_touched(hub, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    prose = 'Compare `zoo.load("gravity-digits")` and `zoo sample gravity-digits`.'
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace(FACTS, f"{prose}\n\n{FACTS}"))
    zoo.push(folder, REPO, **ADA)
    assert prose in card(hub)
    assert f'= zoo.load("{REPO}")' in card(hub)


def test_a_folders_card_without_the_facts_gets_them_once(hub, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n\nMy words.\n")
    zoo.push(folder, REPO, **ADA)
    assert "My words." in card(hub)
    assert front_matter(card(hub))["license"] == "mit"
    assert f'zoo.load("{REPO}")' in card(hub)
    before = commits(hub)
    zoo.push(folder, REPO, **ADA)
    assert commits(hub) == before


def test_in_the_zoos_own_namespace_the_name_is_enough(hub, saved, monkeypatch):
    monkeypatch.setenv("ZOO_HUB_NAMESPACE", "ada")
    zoo.push(saved, REPO, **ADA)
    assert 'zoo.load("tiny")' in card(hub)


def test_front_matter_that_the_hub_refuses_is_an_error_before_anything_is_uploaded(
    hub, saved, tmp_path
):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("license: unknown", "license: [unclosed"))
    with pytest.raises(
        ZooError, match=r"refuses the front matter of README\.md: not YAML"
    ) as caught:
        zoo.push(folder, REPO, **ADA)
    assert "\n" not in str(caught.value)
    assert hub.store.repositories == {}
    assert hub.asked("PUT") == []


# What is refused, and what a failure leaves


@pytest.mark.parametrize("token", [None, "hf_bob"])
def test_without_the_right_to_write(hub, saved, token):
    with pytest.raises(ZooError, match=r"log in|rights") as caught:
        zoo.push(saved, REPO, token=token)
    assert "\n" not in str(caught.value)
    assert hub.store.repositories == {}


def test_a_repository_of_somebody_else(hub, saved):
    hub.store.add(REPO, {})
    with pytest.raises(ZooError, match=f"{REPO}.*refuses.*not write access") as caught:
        zoo.push(saved, REPO, token="hf_bob")
    assert "\n" not in str(caught.value)
    assert commits(hub) == 2


@pytest.mark.parametrize("repo", ["tiny", "a/b/c", "", "ada/tiny@v1", "../x", "ada/ti ny"])
def test_a_repository_id_that_is_none(hub, saved, repo):
    with pytest.raises(ZooError, match=r"owner/name"):
        zoo.push(saved, repo, **ADA)
    assert hub.requests == []


STEPS = [("POST", "/preupload/"), ("POST", "/batch"), ("PUT", "/lfs/"), ("POST", "/commit/")]


@pytest.mark.parametrize("status", [500, 403])
@pytest.mark.parametrize(("method", "step"), STEPS)
def test_a_push_that_fails_half_way_leaves_nothing(hub, saved, method, step, status):
    hub.fail(method, step, status)
    with pytest.raises(ZooError) as caught:
        zoo.push(saved, REPO, **ADA)
    assert "\n" not in str(caught.value)
    assert hub.store.repositories == {}
    hub.failing.clear()
    zoo.push(saved, REPO, **ADA)
    assert set(head(hub).files) == FILES


@pytest.mark.parametrize(("method", "step"), [("GET", "/revision/"), *STEPS])
def test_a_pull_request_that_fails_half_way_is_not_opened(hub, saved, method, step):
    hub.store.add(REPO, {})
    before = dict(hub.store.repositories[REPO].refs)
    hub.fail(method, step, 500)
    with pytest.raises(ZooError):
        zoo.push(saved, REPO, create_pr=True, **ADA)
    assert hub.store.repositories[REPO].refs == before


@pytest.mark.parametrize("how", ["refused", "offline"])
def test_a_push_without_a_network_is_an_error_about_the_push(hub, saved, monkeypatch, how):
    if how == "refused":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    else:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ZooError, match=r"push was broken off.*push again while online") as caught:
        zoo.push(saved, REPO, **ADA)
    assert "zoo pull" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("status", "later"), [(500, True), (429, True), (400, False)])
def test_to_try_again_later_is_said_where_it_helps(hub, saved, status, later):
    hub.fail("POST", "/commit/", status)
    with pytest.raises(ZooError, match=f"answered {status}") as caught:
        zoo.push(saved, REPO, **ADA)
    assert ("try again later" in str(caught.value)) is later


def test_what_cannot_be_taken_back_is_in_the_error(hub, saved):
    hub.fail("POST", "/commit/", 500)
    hub.fail("DELETE", "/repos/delete", 500)
    with pytest.raises(ZooError, match="delete it by hand") as caught:
        zoo.push(saved, REPO, **ADA)
    assert "\n" not in str(caught.value)
    assert set(head(hub).files) == {".gitattributes"}


def test_an_interrupted_push_leaves_nothing(hub, saved, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zoo.push(saved, REPO, **ADA)
    assert hub.store.repositories == {}


@pytest.mark.parametrize(("method", "step"), STEPS)
def test_a_failed_push_leaves_what_was_there(hub, saved, method, step):
    hub.store.add(REPO, {"README.md": b"---\nlicense: mit\n---\n"})
    before = head(hub)
    hub.fail(method, step, 500)
    with pytest.raises(ZooError):
        zoo.push(saved, REPO, revision="wip", **ADA)
    assert hub.store.repositories[REPO].refs == {"main": before.oid}


def test_a_commit_in_between_is_not_overwritten(hub, saved, monkeypatch):
    zoo.push(saved, REPO, **ADA)
    at = huggingface_hub.HfApi.create_commit

    def meanwhile(*args, **options):
        hub.store.add(REPO, {"config.json": b"{}"})
        return at(*args, **options)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", meanwhile)
    with pytest.raises(ZooError, match="commit has happened") as caught:
        points().push_to_hub(REPO, **ADA)
    assert "\n" not in str(caught.value)
    assert head(hub).files["config.json"].content == b"{}"


def test_a_damaged_folder_is_not_pushed(hub, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(ZooError, match="sha256"):
        zoo.push(folder, REPO, **ADA)
    assert hub.requests == []


@pytest.mark.parametrize("file", ["README.md", "samples.png", "model.safetensors", "config.json"])
def test_a_link_is_not_followed(hub, saved, tmp_path, file):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    (folder / file).unlink(missing_ok=True)
    (tmp_path / "secret").write_text("---\n---\nsecret")
    (folder / file).symlink_to(tmp_path / "secret")
    with pytest.raises(ZooError, match="link"):
        zoo.push(folder, REPO, **ADA)
    assert hub.requests == []


@pytest.mark.parametrize("file", ["README.md", "samples.png", "model.safetensors"])
def test_a_link_to_a_link_out_of_the_folder_is_not_followed_either(hub, saved, tmp_path, file):
    folder = shutil.copytree(saved, tmp_path / "tiny")
    outside = tmp_path / "secret"
    outside.write_text("---\n---\nsecret")
    (folder / file).unlink(missing_ok=True)
    (folder / "passing").symlink_to(outside)
    (folder / file).symlink_to("passing")
    with pytest.raises(ZooError, match=r"link out of its folder, to .*/secret"):
        zoo.push(folder, REPO, **ADA)
    assert hub.requests == []


@pytest.mark.parametrize("revision", [None, "draft"])
def test_what_is_to_be_private_is_not_published_where_all_can_see(hub, saved, revision):
    zoo.push(saved, REPO, **ADA)
    before = hub.store.repositories[REPO]
    commits = len(before.commits)
    with pytest.raises(ZooError, match=f"^{REPO} is there already, and public"):
        zoo.push(saved, REPO, private=True, revision=revision, **ADA)
    assert len(before.commits) == commits
    assert not before.private


@pytest.mark.parametrize("private", [False, True])
def test_a_model_of_the_hub_is_pushed_on_from_its_cache(hub, saved, private):
    zoo.push(saved, REPO, private=private, **ADA)
    zoo.push(REPO, "ada/copy", **ADA)
    copy = hub.store.repositories["ada/copy"].files
    assert copy["model.safetensors"].content == (saved / "model.safetensors").read_bytes()


# On the command line


def test_the_command_line_there_and_back(hub, saved, capsys):
    assert run("push", str(saved), REPO, "--token", "hf_ada", "--private") == 0
    assert capsys.readouterr().out.strip() == f"{hub.url}/{REPO}/commit/{head(hub).oid}"
    assert run("pull", REPO, "--token", "hf_ada") == 0
    assert Path(capsys.readouterr().out.strip(), "model.safetensors").is_file()
    assert run("verify", REPO) == 0
    assert " ok" in capsys.readouterr().out


def test_verify_sees_what_a_load_does_not_look_for_again(hub, saved, capsys):
    zoo.push(saved, REPO, **ADA)
    weights = (zoo.pull(REPO) / "model.safetensors").resolve()
    stat, content = weights.stat(), weights.read_bytes()
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run("verify", REPO) == 1
    assert "fetch it again" in capsys.readouterr().err
    with pytest.raises(ZooError, match="fetch it again"):
        zoo.load(REPO, local_files_only=True)
    zoo.pull(REPO)
    assert run("verify", REPO) == 0


def test_verify_of_what_is_not_here_asks_nobody(hub, capsys):
    assert run("verify", REPO) == 1
    assert f"zoo pull {REPO}" in capsys.readouterr().err
    assert hub.requests == []


def test_the_whole_zoo(hub, saved, tmp_path, monkeypatch, capsys):
    for name in ("gravity-moons", "flow-moons"):
        shutil.copytree(saved, tmp_path / "cards" / name)
    monkeypatch.setattr("zoo.models.names.own_folders", lambda: tmp_path / "cards")
    hub.store.organisations["ours"] = {"ada"}
    assert run("push", "--all", "--namespace", "ours", "--token", "hf_ada") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert set(hub.store.repositories) == {"ours/flow-moons", "ours/gravity-moons"}


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("x",),
        ("--all",),
        ("x", "a/b", "--all"),
        ("x", "a/b", "--namespace", "c"),
        ("x", "a/b", "--create-pr", "--revision", "wip"),
    ],
)
def test_wrong_usage(hub, args, capsys):
    assert run("push", *args) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert hub.requests == []
