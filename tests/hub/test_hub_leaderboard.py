"""`zoo leaderboard`: what compares is side by side, of this disk and the Hub; the rest is not."""

import json

import msgspec
import pytest
import yaml
from fake_distributions import install_model
from starlette.responses import Response

import zoo
from zoo.config.training import Evaluation, TrainingRecord
from zoo.errors import ZooError
from zoo.folder.eval_results import EVAL_RESULTS, MAX_BYTES, eval_yaml, parse_eval_yaml
from zoo.folder.read import read_config
from zoo.models.locate import folder_of

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
CARD = b"---\nlibrary_name: fieldzoo\n---\n# A model\n"
ONE = Evaluation(
    data="digits",
    split="test",
    features="pixels",
    title="pixels",
    samples=2000,
    seeds=(0,),
    solver="exp-abm3",
    steps=20,
    nfe=20,
    shape=(1, 8, 8),
    metrics={"frechet": (0.4, 0.3, 0.5), "recall": (0.5, 0.4, 0.6)},
)


def changed(**facts):
    return msgspec.structs.replace(ONE, **facts)


def publish(hub, repo, *evaluations, content=None):
    content = eval_yaml(TrainingRecord(evaluation=evaluations)) if content is None else content
    hub.store.add(repo, {"README.md": CARD, EVAL_RESULTS: content})


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


def without_aliases(value):
    return yaml.safe_dump(json.loads(json.dumps(value))).encode()


def models(board):
    return [s.model for s in board.standings]


def test_of_this_disk_each_setting_is_a_table_sorted_by_distance(command):
    status, out, err = command("leaderboard", "*-fashion-mnist*")
    assert (status, err) == (0, "")
    assert "Figures of two tables do not compare" in out
    found = zoo.leaderboard("*-fashion-mnist*")
    keys = [(b.data, b.split, b.features, b.samples, b.classes, b.shape) for b in found.boards]
    assert len(set(keys)) == len(keys) >= 3
    for board in found.boards:
        values = [s.value for s in board.standings]
        assert values == sorted(values)
        for s in board.standings:
            of = read_config(folder_of(s.model)).training.evaluation
            assert (s.value, s.low, s.high) == of[0].metrics["frechet"]
            assert s.low < s.value < s.high
            assert f"{s.low:.4g} to {s.high:.4g}" in out
    assert out.splitlines()[-1].endswith(": gaussian-fashion-mnist-base")
    assert found.without == ("gaussian-fashion-mnist-base",)
    given = [
        b for b in found.boards if "gravity-fashion-mnist-sr2" in [s.model for s in b.standings]
    ]
    assert [len(b.standings) for b in given] == [1]  # what is given makes another task
    shares = zoo.leaderboard("*-fashion-mnist", by="recall").boards[0].standings
    assert [s.value for s in shares] == sorted((s.value for s in shares), reverse=True)
    told = json.loads(command("leaderboard", "gravity-digits", "--json")[1])
    assert told["boards"][0]["standings"][0]["evaluation"]["nfe"] == 20


def test_a_figure_of_the_hub_stands_beside_its_equals_and_no_other(hub, command):
    zoo.push("gravity-digits", "ada/digits", token="hf_ada")
    publish(hub, "bob/closer", ONE)
    publish(hub, "bob/fewer", changed(samples=500))
    publish(hub, "bob/classes", changed(classes=10))
    publish(hub, "bob/shape", changed(shape=(1, 16, 16)))
    publish(hub, "bob/unknown", changed(shape=()))
    publish(hub, "bob/given", changed(given="downscale:2 images of shape 1x4x4"))
    publish(hub, "bob/other", changed(features="timm:vit"), changed(split="train"))
    hub.store.add("eve/none", {"README.md": CARD})
    status, out, err = command("leaderboard", "*digits", "bob/*", "eve/*", "--hub")
    assert (status, err) == (0, "")
    found = zoo.leaderboard("*digits", "bob/*", "eve/*", hub=True)
    assert models(found.boards[0]) == ["bob/closer", "ada/digits", "gravity-digits"]
    same = [s.value for s in found.boards[0].standings[1:]]
    assert same[0] == same[1]
    alone = ["bob/classes", "bob/fewer", "bob/given", "bob/other", "bob/other"]
    alone += ["bob/shape", "bob/unknown"]
    assert sorted(models(b) for b in found.boards[1:]) == [[model] for model in alone]
    assert found.without == ("eve/none",)
    assert "without frechet: eve/none" in out
    assert "2000 samples of 1x8x8, given downscale:2 images of shape 1x4x4\n" in out


def test_data_that_only_its_owner_has_is_compared_with_the_owners_alone(hub):
    for repo in ("ada/a", "ada/b", "bob/a"):
        publish(hub, repo, changed(data="folder:./photos"))
    found = zoo.leaderboard("*/*", hub=True)
    assert [models(b) for b in found.boards] == [["ada/a", "ada/b"], ["bob/a"]]
    assert "photos of ada" in str(found)


def test_what_a_commit_says_is_asked_once_and_known_offline(hub, command, monkeypatch):
    publish(hub, "bob/closer", ONE)
    first = command("leaderboard", "bob/*", "--hub")[1]
    hub.requests.clear()
    assert command("leaderboard", "bob/*", "--hub")[1] == first
    assert [path for _, path, _ in hub.requests] == ["/api/models"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    status, out, err = command("leaderboard", "bob/*", "--hub")
    assert (status, out) == (0, first)
    assert "hours ago" in err


def test_trouble_of_today_is_not_kept(hub):
    publish(hub, "bob/closer", ONE)
    hub.failing.append(("GET", "^/bob/closer/resolve/.*yaml$", lambda: Response("other bytes")))
    found = zoo.leaderboard("bob/*", hub=True)
    assert found.boards == ()
    assert "bob/closer" in found.notes[0]
    hub.failing.clear()
    assert models(zoo.leaderboard("bob/*", hub=True).boards[0]) == ["bob/closer"]


def test_a_model_of_the_hubs_cache_and_a_named_folder_are_on_this_disk(hub, tmp_path, monkeypatch):
    zoo.push("gravity-digits", "ada/digits", token="hf_ada")
    zoo.pull("ada/digits")
    hub.requests.clear()
    folder = str(folder_of("gravity-digits"))
    found = zoo.leaderboard("*digits", folder)
    assert set(models(found.boards[0])) == {"ada/digits", "gravity-digits", folder}
    assert hub.requests == []


HOSTILE = {
    "alias": b"- &a [x]\n- *a\n",
    "laughs": b"a: &a [x, x]\nb: &b [*a, *a]\n",
    "deep": b"[" * 50_000,
    "no list": b"a: 1",
    "no yaml": b"\x00\x1b[31m: {",
    "date": b"- 2023-99-99",
    "bool": b"- !!bool foo",
    "int": b'- !!int ""',
    "timestamp": b"- !!timestamp x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_named_in_a_line_and_the_rest_is_shown(hub, command, name):
    with pytest.raises(ZooError) as error:
        parse_eval_yaml(HOSTILE[name])
    assert str(error.value).isprintable()
    publish(hub, "eve/bad", content=HOSTILE[name])
    publish(hub, "bob/closer", ONE)
    status, out, err = command("leaderboard", "eve/*", "bob/*", "--hub")
    assert (status, err.count("\n")) == (0, 1)
    assert "eve/bad: .eval_results/fieldzoo.yaml: " in err
    assert "\x1b" not in out + err
    assert "bob/closer" in out


def test_a_file_too_large_is_not_fetched(hub):
    publish(hub, "eve/big", content=b"#" * (MAX_BYTES + 1))
    assert "at most" in zoo.leaderboard("eve/*", hub=True).notes[0]
    assert not hub.asked("GET", "/eve/big/resolve/")
    with pytest.raises(ZooError, match="at most"):
        parse_eval_yaml(b"#" * (MAX_BYTES + 1))


def test_one_file_of_a_repository_does_not_hide_another(hub):
    publish(hub, "bob/closer", ONE)
    big = {".eval_results/big.yaml": b"#" * (MAX_BYTES + 1), ".eval_results/odd.yaml": b"a: 1"}
    hub.store.add("bob/closer", big)
    for _ in range(2):  # the second time as it was kept
        found = zoo.leaderboard("bob/*", hub=True)
        assert models(found.boards[0]) == ["bob/closer"]
        assert "big.yaml" in found.notes[0]
    assert not hub.asked("GET", "big.yaml")
    assert hub.asked("GET", "odd.yaml")
    late = ("GET", "^/bob/closer/resolve/.*late.yaml$", lambda: Response("other bytes"))
    hub.failing.append(late)
    hub.store.add("bob/closer", {".eval_results/late.yaml": b"[]"})
    assert models(zoo.leaderboard("bob/*", hub=True).boards[0]) == ["bob/closer"]
    hub.failing.clear()
    hub.requests.clear()
    zoo.leaderboard("bob/*", hub=True)
    assert hub.asked("GET", "late.yaml")


def test_one_that_always_fails_holds_up_no_other(hub, monkeypatch):
    monkeypatch.setattr("zoo.hub.memory.LOOKS", 1)
    publish(hub, "bob/closer", ONE)
    publish(hub, "bob/gated", ONE)
    hub.store.repositories["bob/gated"].gated = True
    hub.downloads["bob/gated"] = 9  # asked first
    boards = [zoo.leaderboard("bob/*", hub=True).boards for _ in range(2)]
    assert [[models(b) for b in found] for found in boards] == [[], [["bob/closer"]]]


def test_entries_of_others_are_left_out_and_texts_are_shown():
    entry = yaml.safe_load(eval_yaml(TrainingRecord(evaluation=(ONE,))))[0]
    notes = json.loads(entry["notes"])
    others = [
        {**entry, "value": float("nan")},
        {**entry, "value": "0.1"},
        {**entry, "notes": None},
        {**entry, "notes": json.dumps(notes | {"samples": -1})},
        {**entry, "notes": json.dumps(notes | {"shape": [1, 8, 8, 8]})},
        {**entry, "notes": json.dumps(notes | {"shape": [8.5]})},
        {**entry, "notes": json.dumps(notes | {"given": 3})},
        {**entry, "notes": json.dumps(notes | {"interval_95": [1, 0]})},
        {**entry, "notes": json.dumps(notes | {"features": "other"})},
        {**entry, "dataset": {"id": "cais/hle", "task_id": "test"}},
        {"dataset": 1},
        7,
    ]
    assert parse_eval_yaml(without_aliases(others)) == ()
    coloured = {**entry, "dataset": {**entry["dataset"], "id": "digits\x1b[31m\n"}}
    (found,) = parse_eval_yaml(without_aliases([*others, coloured]))
    assert found.data.isprintable()


def test_figures_round_trip():
    of = read_config(folder_of("gravity-digits")).training.evaluation
    (back,) = parse_eval_yaml(eval_yaml(TrainingRecord(evaluation=of)))
    assert back == msgspec.structs.replace(of[0], intervals="")


def test_mistakes_are_one_line(command, tmp_path):
    for words, said in (
        (["nothing-like-it"], "no model matches"),
        (["--by", "frechett"], "did you mean 'frechet'"),
        (["./nowhere"], "not a model folder"),
    ):
        status, out, err = command("leaderboard", *words)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert said in err
    with pytest.raises(ZooError, match="expected text"):
        zoo.leaderboard(3)


def test_a_plugins_model_has_its_place(site):
    evaluation = [json.loads(msgspec.json.encode(ONE))]
    install_model(site, "zoo-wind", "gravity-wind", training={"evaluation": evaluation})
    found = zoo.leaderboard("gravity-wind", "gravity-digits")
    assert models(found.boards[0]) == ["gravity-wind", "gravity-digits"]
