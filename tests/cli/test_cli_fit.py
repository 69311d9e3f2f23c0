"""`zoo fit` and tables out of `zoo sample`: a file of columns in, a folder and a file out."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import zoo

QUICK = ("--kernel", "gaussian", "--rows", 128, "--validation", 0)


@pytest.fixture
def table(command):
    """A file of 60 rows and 3 columns, one of whole numbers and one of names."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    frame = pd.DataFrame(
        {"size, m": x[:, 0], "n": np.rint(9 * x[:, 1]).astype(int), "kind": ["a", "b"] * 30}
    )
    frame.to_csv("table.csv", index=False)
    return frame


def test_from_a_file_to_a_file_with_the_same_columns(command, table):
    status, out, err = command("fit", "table.csv", "--labels", "kind", "-o", "model", *QUICK)
    assert status == 0
    assert out == "model: try `zoo sample ./model -n 1000 -o rows.csv`\n"
    assert err.startswith(
        "zoo.fit: 60 rows of shape (2,); standardised; 1 column of whole numbers;"
    )
    assert err.count("\n") == 1
    status, out, err = command("sample", "./model", "-n", 5, "--label", "b", "-o", "rows.csv")
    assert (status, err) == (0, "")
    assert out == "rows.csv: 5 samples of ./model, seed 0\n"
    with Path("rows.csv").open(encoding="utf-8", newline="") as file:
        names, *rows = csv.reader(file)
    assert names == ["size, m", "n"]
    drawn = zoo.load("./model").sample(5, seed=0, labels="b").numpy()
    assert [float(row[0]) for row in rows] == drawn[:, 0].tolist()
    assert [row[1] for row in rows] == [str(int(n)) for n in np.rint(drawn[:, 1])]
    assert command("sample", "./model", "-n", 2)[1].startswith("model.csv: 2 samples")
    status, _, told = command("fit", "table.csv", "--labels", "kind", "-o", "model", *QUICK)
    assert (status, told) == (1, "zoo: model holds a model, which stays; name another folder\n")
    assert command("sample", "./model", "-n", 2, "-o", "x.npz")[0] == 0
    with np.load("x.npz") as archive:
        assert archive["columns"].tolist() == names
        assert archive["samples"].shape == (2, 2)


def test_a_file_without_names_gives_whole_numbers_back(command):
    x = np.random.default_rng(0).normal(size=(60, 2))
    pd.DataFrame({0: x[:, 0], 1: np.rint(9 * x[:, 1]).astype(int)}).to_csv(
        "bare.csv", index=False, header=False
    )
    assert command("fit", "bare.csv", "-o", "model", *QUICK)[0] == 0
    assert command("sample", "./model", "-n", 5, "-o", "rows.csv")[0] == 0
    drawn = pd.read_csv("rows.csv")
    assert [*drawn.dtypes.items()] == [("x0", np.float64), ("x1", np.int64)]


def test_json_and_options_of_the_kernel(command, table):
    table[["n", "size, m"]].to_parquet("table.parquet")
    options = ("--rows", 64, "--set", "D=7", "--seed", 3, "--json")
    status, out, _ = command("fit", "table.parquet", "-o", "model", *options)
    assert status == 0
    told = json.loads(out)
    assert told["columns"] == ["n", "size, m"]
    assert (told["folder"], told["shape"], told["images_seen"]) == ("model", [2], 64)
    assert told["recipe"]["kernel"] == {"use": "pfgmpp", "D": 7}
    assert told["recipe"]["train"]["seed"] == 3


def test_an_archive_of_rows_with_labels(command):
    x = np.random.default_rng(0).normal(1e6, 1e-3, size=(50, 2))
    np.savez("rows.npz", x=x, y=np.arange(50) % 2)
    assert command("fit", "rows.npz", "-o", "model", *QUICK)[0] == 0
    model = zoo.load("./model")
    assert model.network.labels == 2
    drawn = model.sample(9, seed=0, labels=1).numpy()
    assert len(np.unique(drawn)) == 18
    assert np.abs(drawn - 1e6).max() < 0.1


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("no.csv", "-o", "m"), 1, "no.csv: there is no such file"),
        (("table.csv", "-o", "m"), 1, "table.csv: column 'kind' holds 'a' in row 0"),
        (("table.csv", "-o", "m", "--labels", "sort"), 1, "there is no column 'sort'"),
        (("table.csv", "-o", "table.csv"), 1, "table.csv is a file; name a folder"),
        (("table.csv",), 2, "Missing option '-o'"),
        (("table.csv", "-o", "m", "--rows", 9, "--minutes", 1), 2, "leave one out"),
        (("table.csv", "-o", "m", "--set", "D"), 2, "expected KEY=VALUE"),
        (("rows.npz", "-o", "m", "--labels", "kind"), 2, "has labels as its array y"),
        (("rows.npz", "-o", "m"), 1, "rows.npz: no such file"),
    ],
)
def test_what_is_refused_is_one_line(command, table, arguments, status, told):
    code, out, err = command("fit", *arguments)
    assert (code, out) == (status, "")
    assert told in err
    assert err.count("\n") == 1


def test_the_file_it_tells_of_goes_with_the_samples(command):
    chance = np.random.default_rng(0)
    x = chance.normal(size=(40, 1, 8)).clip(-1, 1)
    np.savez("series.npz", x=x, c=x[:, :, :4])
    quick = ("--kernel", "gaussian", "--rows", 32, "--validation", 0)
    out = command("fit", "series.npz", "-o", "s", "--condition", "c", *quick)[1]
    assert out.endswith("-o samples.npz --condition FILE.npy`\n")
    np.save("c.npy", x[:1, :, :4])
    words = ("sample", "./s", "-n", 2, "-o", "samples.npz", "--steps", 2, "--condition", "c.npy")
    assert command(*words)[0] == 0


def test_images_are_no_rows(command, saved_images):
    status, _, err = command("sample", str(saved_images), "-n", 1, "-o", "x.csv")
    assert status == 1
    assert "are written to a file ending in .npz or .png" in err


def test_columns_can_be_conditions(command):
    x = np.random.default_rng(0).normal(size=(60, 3))
    pd.DataFrame(x, columns=["a", "b", "dose"]).to_csv("table.csv", index=False)
    fit = ("fit", "table.csv", "-o")
    status, out, _ = command(*fit, "given", "--condition", "dose", *QUICK)
    assert status == 0
    assert "--condition FILE.csv" in out
    model = zoo.load("./given")
    assert [c.name for c in model.data.columns] == ["a", "b"]
    assert [c.name for c in model.condition.columns] == ["dose"]
    assert "vectors of 1 number (dose)" in command("show", "./given")[1]
    constant = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "dose": 7.0})
    constant.to_csv("constant.csv", index=False)
    constant.to_parquet("constant.parquet")
    for file in ("constant.csv", "constant.parquet"):
        again = ("fit", file, "-o")
        assert command(*again, Path(file).suffix[1:], "--condition", "dose", *QUICK)[0] == 0
    for words, told in (
        (("sample", "./given"), "given a condition, vectors of 1 number (dose); give condition="),
        (("sample", "./given", "--condition", "no.npy"), "there is no such file"),
        (("sample", "./given", "--condition", "table.txt"), "there is no such file"),
        (("sample", "gravity-digits", "--condition", "table.csv"), "the model takes no condition"),
        ((*again, "x", "--condition", "a"), "constant.parquet: column 'dose' is 7 in all 60 rows"),
        ((*fit, "x", "--condition", "doze"), "there is no column 'doze'"),
        ((*fit, "x", "--condition", "a,b,dose"), "leave one to be drawn"),
    ):
        status, _, err = command(*words)
        assert status == 1
        assert told in err
        assert err.count("\n") == 1


def test_conditions_come_from_files(command):
    chance = np.random.default_rng(0)
    np.savez("data.npz", x=chance.normal(size=(60, 2)), angle=chance.normal(size=(60, 1)))
    assert command("fit", "data.npz", "-o", "given", "--condition", "angle", *QUICK)[0] == 0
    assert zoo.load("./given").condition.source == "angle"
    measure = ("eval", "./given", "--data", "npz:data.npz", "-n", 60, "--metrics", "nearest")
    status, _, err = command(*measure, "--steps", 3)
    assert status == 0, err
    given = np.array([[0.5], [0.5], [-1.0]])
    pd.DataFrame(given, columns=["angle"]).to_csv("c.csv", index=False)
    np.save("c.npy", given)
    np.savez("c.npz", condition=given, other=given[:1])
    np.save("one.npy", given[0])
    found = []
    for file in ("c.csv", "c.npy", "c.npz", "one.npy"):
        words = ("sample", "./given", "-n", 3, "-o", "rows.csv", "--steps", 3, "--condition", file)
        assert command(*words)[0] == 0
        found.append(pd.read_csv("rows.csv"))
    assert found[0].equals(found[1])
    assert found[1].equals(found[2])
    assert found[3][:2].equals(found[0][:2])
    assert not found[3][2:].equals(found[0][2:])
    assert command(*words, "--guidance", 2)[0] == 0
    assert not pd.read_csv("rows.csv").equals(found[3])
    status, _, err = command("sample", "./given", "-n", 2, "--condition", "c.csv")
    assert status == 1
    assert "condition has shape (3, 1); the model takes vectors of 1 number" in err
    np.savez("two.npz", a=given, b=given)
    status, _, err = command("sample", "./given", "--condition", "two.npz")
    assert status == 1
    assert "call the array of conditions 'condition'" in err
