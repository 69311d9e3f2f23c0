"""config.json: what is written is read back, and whatever else is there is one line of error."""

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.config.model import (
    MAX_CONFIG_BYTES,
    Config,
    Data,
    WeightFile,
    Weights,
    dump_config,
    parse_config,
)
from zoo.config.part import Part
from zoo.config.training import TrainingOutcome, TrainingRecord
from zoo.errors import ZooError

CARDS = Path(__file__).parents[2] / "model_cards"

WHOLE = {
    "format": 1,
    "data": {"shape": [1, 8, 8], "range": [-1, 1], "labels": 10, "name": "digits"},
    "kernel": {"use": "gravity", "t_max": 40.0},
    "prior": {"use": "gravity"},
    "network": {"use": "networks:unet", "width": 8, "multipliers": [1, 2]},
    "solver": {"use": "heun", "steps": 18},
    "weights": {"files": {"model.safetensors": {"size": 10, "sha256": "0" * 64}}},
    "requires": ["fieldzoo>=0.1"],
    "training": {"anything": {"at": ["all", None, 1.5]}},
}


def parse(value):
    return parse_config(json.dumps(value).encode(), "config.json")


def changed(path, value):
    """WHOLE with one field, "data.shape", set to `value`."""
    copy = json.loads(json.dumps(WHOLE))
    *above, last = path.split(".")
    inner = copy
    for key in above:
        inner = inner[key]
    inner[last] = value
    return copy


def test_what_is_written_is_read():
    config = parse(WHOLE)
    assert config.data.shape == (1, 8, 8)
    assert config.data.dim == 64
    assert config.network == Part("networks:unet", {"width": 8, "multipliers": [1, 2]})
    assert config.weights.files["model.safetensors"] == WeightFile(10, "0" * 64)
    assert config.training.encode() == WHOLE["training"]


def test_the_record_of_a_training_is_typed_and_loses_nothing():
    """Facts of a known key that are of another form are kept as they are."""
    entry = {
        "data": "x",
        "split": "test",
        "features": "f",
        "title": "t",
        "metrics": {"m": [1, 0, 2]},
    }
    known = {
        "recipe": {"name": "n"},
        "data_license": "MIT",
        "outcome": {"steps": 3, "hours": 0.5},
        "evaluation": [entry],
    }
    record = parse(changed("training", known | {"trained_elsewhere": "ada/x"})).training
    assert record.recipe == {"name": "n"}
    assert record.data_license == "MIT"
    assert record.outcome == TrainingOutcome(steps=3, hours=0.5)
    assert record.evaluation[0].metrics == {"m": (1.0, 0.0, 2.0)}
    assert record.other == {"trained_elsewhere": "ada/x"}
    assert record == TrainingRecord.decode(known | {"trained_elsewhere": "ada/x"})
    assert record.replace(data_license="").encode() == {
        k: v for k, v in record.encode().items() if k != "data_license"
    }
    odd = {"recipe": "by hand", "data_license": 3, "outcome": [1], "evaluation": {"a": 1}}
    assert parse(changed("training", odd)).training.encode() == odd


@pytest.mark.parametrize("file", sorted(CARDS.glob("*/config.json")), ids=lambda f: f.parent.name)
def test_the_record_of_every_shipped_model_is_read_whole(file):
    raw = json.loads(file.read_text())["training"]
    record = parse_config(file.read_bytes(), str(file)).training
    assert record.encode() == raw
    assert record.other.keys() <= {"trained_elsewhere", "trained_under"}
    assert len(record.evaluation) == len(raw.get("evaluation", ()))


def refusal(ask):
    """What a ZooError says, None where there is none."""
    try:
        ask()
    except ZooError as error:
        return str(error)
    return None


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}(:[a-z0-9][a-z0-9._-]{0,8})?", fullmatch=True)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
plain = st.none() | st.booleans() | numbers | st.text(max_size=5)
values = st.recursive(plain, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=5)
options = st.dictionaries(st.text(min_size=1).filter(lambda k: k not in ("use", "steps")), values)
parts = st.builds(
    Part, names.filter(lambda n: "." not in n.partition(":")[0] or ":" not in n), options
)
configs = st.builds(
    Config,
    st.just(1),
    st.builds(
        Data, st.tuples(st.integers(1, 2**20)), st.none() | st.just((-2.0, 3.5)), st.integers(0, 9)
    ),
    *[parts] * 4,
    st.builds(Weights, st.just({"a.safetensors": WeightFile(1, "a" * 64)}), st.none()),
    st.lists(st.text(max_size=9), max_size=3).map(tuple),
    st.dictionaries(st.text(), values, max_size=3).map(TrainingRecord.decode),
)


@given(configs)
@settings(max_examples=40)
def test_any_config_survives_being_written(config):
    raw = dump_config(config)
    assert parse_config(raw, "x") == config
    assert raw.endswith(b"}\n")


@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(data):
    raw = bytearray(dump_config(parse(WHOLE)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
        raw = raw or bytearray(b" ")
    error = refusal(lambda: parse_config(bytes(raw), "config.json"))
    assert error is None or re.fullmatch(r"config\.json: .+", error)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kernl", {"use": "x"}, "unknown key 'kernl'; did you mean 'kernel'"),
        ("data.lables", 3, "unknown key 'data.lables'; did you mean 'labels'"),
        ("weights.files", {"model.bin": {"size": 1, "sha256": "0" * 64}}, "weights.files"),
        ("weights.files", {"../a.safetensors": {"size": 1, "sha256": "0" * 64}}, "weights.files"),
        ("weights.files", {"a.safetensors\n": {"size": 1, "sha256": "0" * 64}}, "weights.files"),
        ("weights.files", {"a.safetensors": {"size": 1, "sha256": "0" * 64 + "\n"}}, "sha256"),
        ("weights.files", {"a.safetensors": {"size": -1, "sha256": "0" * 64}}, "size"),
        ("format", 2, "format"),
        ("data.shape", [], "shape"),
        ("data.shape", [0], "shape"),
        ("data.shape", [1, 2, 3, 4, 5], "shape"),
        ("data.shape", [2**20, 2**20], r"data.shape = \[1048576, 1048576\] is impossibly large"),
        ("data.range", [1, -1], r"data.range = \[1.0, -1.0\] is not \[low, high\]"),
        ("data.labels", -1, "labels"),
        ("data.classes", ["cat"] * 10, "data.classes names 'cat' twice"),
        ("kernel", "gravity", 'expected {"use": "a component name", ...options}'),
        ("kernel", {"t_max": 1.0}, "expected"),
        ("kernel.use", "os:System", "never an import path"),
        ("kernel.use", "a.b:c", "never an import path"),
        ("kernel.use", "gravity\n", "never an import path"),
        ("solver.steps", 0, "solver.steps = 0; expected 1 to"),
        ("solver.steps", True, "solver.steps = True"),
        ("solver.steps", 1.5, "solver.steps = 1.5"),
        ("requires", "fieldzoo", "requires"),
        ("training", [], "training"),
    ],
)
def test_each_mistake_is_named(path, value, message):
    with pytest.raises(ZooError, match=message) as error:
        parse(changed(path, value))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["format", "data", "kernel", "prior", "network", "solver"])
def test_nothing_essential_may_be_missing(key):
    with pytest.raises(ZooError, match=f"{key} is missing$"):
        parse({k: v for k, v in WHOLE.items() if k != key})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"format": 1e999}',
        json.dumps(changed("kernel.t_max", math.nan)).encode(),
        b'{"training": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b" " * (MAX_CONFIG_BYTES + 1),
    ],
    ids=["empty", "null", "list", "cut", "utf-16", "inf", "nan", "deep", "large"],
)
def test_what_is_no_config_at_all_is_refused(raw):
    with pytest.raises(ZooError, match=r"^config\.json: ") as error:
        parse_config(raw, "config.json")
    assert len(str(error.value).splitlines()) == 1


def test_a_part_is_its_name_and_its_options():
    part = Part("gravity", {"t_max": 4.0})
    assert part == Part.decode(part.encode())
    assert part != Part("gravity")
    assert part != {"use": "gravity", "t_max": 4.0}
    assert len({part, Part("gravity", {"t_max": 4.0})}) == 1
    assert repr(part) == "Part({'use': 'gravity', 't_max': 4.0})"


def test_defaults_are_not_written():
    part = Part("a")
    config = Config(1, Data((2,)), part, part, part, part)
    assert json.loads(dump_config(config)).keys() == {
        *("format", "data", "kernel", "prior", "network", "solver")
    }
    assert parse_config(dump_config(config), "x") == config


def test_only_what_json_knows_can_be_written():
    part = Part("a", {"activation": math.tanh})
    with pytest.raises(TypeError, match="cannot encode builtin_function_or_method"):
        dump_config(Config(1, Data((2,)), part, part, part, part))


def test_a_format_of_the_future_says_what_to_do():
    with pytest.raises(ZooError, match=r"format.*newer fieldzoo.*pip install -U fieldzoo"):
        parse(WHOLE | {"format": 2})


def test_a_key_at_the_wrong_level_is_not_suggested_in_its_own_place():
    with pytest.raises(ZooError, match=r"unknown key 'labels'; it belongs to \[data\]"):
        parse(WHOLE | {"labels": 10})
