"""Columns of data frames, arrays and files: what is taken, and what is refused in one line."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars
import pytest
import torch

from zoo.data.table import dequantised, largest_radius, robust_standardise, table_of
from zoo.data.table_file import read_table
from zoo.errors import ZooError

ROWS = 40
FRAME = pd.DataFrame(
    {
        "age": np.arange(ROWS),
        "height": np.linspace(1.5, 2, ROWS, dtype="float32"),
        "smokes": np.arange(ROWS) % 3 == 0,
        "visits": pd.array(np.arange(ROWS) % 5, dtype="Int64"),
        "dose": pd.array(np.linspace(0, 1, ROWS), dtype="double[pyarrow]"),
    }
)


def refused(x):
    with pytest.raises(ZooError) as error:
        table_of(x)
    assert len(str(error.value)) <= 500
    return str(error.value)


def test_names_types_and_whole_numbers_of_a_data_frame():
    table = table_of(FRAME)
    assert [c.name for c in table.columns] == [*FRAME]
    assert [c.dtype for c in table.columns] == [str(d) for d in FRAME.dtypes]
    assert table.whole.tolist() == [True, False, True, True, False]
    assert np.array_equal(table.values, FRAME.to_numpy(dtype=float))
    unnamed = table_of(pd.DataFrame(np.eye(9)))
    assert [c.name for c in unnamed.columns] == [*range(9)]


def test_a_data_frame_of_polars():
    frame = polars.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 2.5]})
    frame = frame.cast({"a": polars.Int32})
    assert "column 'b' has 1 missing (NaN) and 0 infinite values of 3, the first in row 1" in (
        refused(frame)
    )
    table = table_of(frame.fill_null(0))
    assert [c.name for c in table.columns] == ["a", "b"]
    assert [c.dtype for c in table.columns] == ["Int32", "Float64"]
    assert table.whole.tolist() == [True, False]
    assert table.frame == "polars"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"age": np.nan}, "column 'age' has 40 missing (NaN) and 0 infinite values of 40"),
        (
            {"height": [*range(39), np.inf]},
            "0 missing (NaN) and 1 infinite values of 40, the first",
        ),
        ({"visits": pd.array([None, *range(39)], dtype="Int64")}, "'visits' has 1 missing"),
        ({"age": 5.0}, "column 'age' is 5 in all 40 rows, which has no density"),
        ({"age": 1e6 + 1e-9 * np.arange(40)}, "values of column 'age' are too near each other"),
        ({"age": 10**18 + np.arange(40)}, "for float64, all 1e+18 up to rounding; subtract that"),
        ({"city": "Rome"}, "column 'city' is of type str; expected numbers"),
        ({"when": pd.Timestamp("2024-01-01")}, "column 'when' is of type datetime64"),
        ({"z": 1j}, "column 'z' is of type complex128"),
        ({"age": np.linspace(-1e200, 1, 40)}, "goes from -1e+200 to 1; scale it"),
        ({("a", 1): 1.0}, "a column is called ('a', 1); expected text or whole numbers"),
        ({"a\x1b[31m": 1.0}, r"the name 'a\x1b[31m' has control characters"),
        ({"n" * 201: 1.0}, "a name of 201 characters; at most 200"),
    ],
)
def test_columns_that_cannot_be_used_are_named(change, told):
    assert told in refused(FRAME.assign(**{}).pipe(lambda f: _with(f, change)))


def _with(frame, change):
    frame = frame.copy()
    for name, values in change.items():
        frame[name] = values
    return frame


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.array([["a", "b"]]), "X holds text, shape (1, 2); expected real numbers"),
        (np.arange(5.0), "X has shape (5,); expected vectors (n, d) or images (n, C, H, W); for"),
        (np.zeros((0, 3)), "X has shape (0, 3)"),
        ([[1, 2], [3]], "expected numbers in rows of one length"),
        (None, "X holds object, shape ()"),
        (SimpleNamespace(collect=print), "give them as labels=; collect() a lazy frame first"),
        (np.ma.masked_greater(np.arange(6).reshape(3, 2), 4), "column 1 has 1 missing (NaN)"),
        (FRAME.iloc[:0], "X has 0 rows and 5 columns"),
        (pd.concat([FRAME, FRAME[["age"]]], axis=1), "two columns are called 'age'; rename one"),
    ],
)
def test_what_is_no_table(x, told):
    assert told in refused(x)


def test_tensors_of_bfloat16_and_masks_that_hide_nothing():
    x = torch.arange(6.0, dtype=torch.bfloat16).reshape(3, 2)
    assert np.array_equal(table_of(x).values, x.double().numpy())
    assert table_of(np.ma.masked_greater(np.arange(6).reshape(3, 2), 9)).whole.all()


def test_whole_numbers_are_spread_by_less_than_a_half():
    table = table_of(FRAME)
    before = table.values.copy()
    noisy = dequantised(table, seed=0).numpy()
    assert np.array_equal(np.rint(noisy)[:, table.whole], before[:, table.whole])
    assert np.array_equal(noisy[:, ~table.whole], before[:, ~table.whole])
    spread = noisy[:, 0] - before[:, 0]
    assert spread.min() < -0.3
    assert spread.max() > 0.3


def test_heavy_tails_are_scaled_by_their_middle():
    chance = np.random.default_rng(0)
    x = np.stack([chance.normal(5, 2, 20_000), chance.standard_cauchy(20_000)], axis=1)
    known, heavy = robust_standardise(x, 0.5)
    assert heavy == 1
    assert known.mean == pytest.approx([5, 0], abs=0.1)
    assert known.scale[0] == pytest.approx(4, rel=0.03)
    assert known.scale[1] == pytest.approx(2 * 12.6 / 3.29, rel=0.05)  # Cauchy: 90 % in +-6.31
    z = (x - known.mean) / known.scale
    assert largest_radius(x, known) == pytest.approx(np.sqrt((z**2).mean(axis=1).max()))
    tiny, _ = robust_standardise(1e-200 * x[:, :1], 0.5)
    assert tiny.scale[0] == pytest.approx(4e-200, rel=0.03)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_names_quotes_and_whole_numbers(tmp_path):
    text = '\ufeffa,"b, c",d\n1,0.5,-3\n2,1e3,4\n'
    table, labels = read_table(write(tmp_path / "x.csv", text))
    assert [(c.name, c.dtype) for c in table.columns] == [
        ("a", "int64"),
        ("b, c", "float64"),
        ("d", "int64"),
    ]
    assert table.values.tolist() == [[1, 0.5, -3], [2, 1000, 4]]
    assert labels is None
    for name, delimiter in (("y.csv", ";"), ("y.tsv", "\t")):
        lines = text[1:].replace('"b, c"', "b").replace(",", delimiter)
        other, _ = read_table(write(tmp_path / name, lines))
        assert np.array_equal(other.values, table.values)
    bare, _ = read_table(write(tmp_path / "z.csv", "1,2\n3,4\n"))
    assert bare.columns == ()
    assert bare.values.tolist() == [[1, 2], [3, 4]]


def test_csv_with_numbers_as_names_and_with_true_and_false(tmp_path):
    frame = pd.DataFrame({0: [1.5, 2.5], 1: [True, False]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    table, _ = read_table(tmp_path / "x.csv")
    assert [(c.name, c.dtype) for c in table.columns] == [("0", "float64"), ("1", "bool")]
    assert table.values.tolist() == [[1.5, 1], [2.5, 0]]
    assert table.whole.tolist() == [False, True]
    with pytest.raises(ZooError, match="column '1' holds 'maybe' in row 1"):
        read_table(write(tmp_path / "y.csv", "0,1\n1,true\n2,maybe\n"))
    for text in ("0,1.0\n1.5,2\n", "0\n1.5\n", "0,1\n1,5\n"):
        assert read_table(write(tmp_path / "z.csv", text))[0].columns == ()
    one = write(tmp_path / "one.csv", "0,1\n0.5,3\n")
    assert len(read_table(one)[0]) == 1
    assert len(read_table(one, constant=True, names=[])[0]) == 2  # conditions
    assert len(read_table(one, constant=True, names=["0", "1"])[0]) == 1
    assert len(read_table(write(tmp_path / "zero.csv", "0,1\n"), constant=True, names=[])[0]) == 1


def test_a_column_of_labels(tmp_path, monkeypatch):
    file = write(tmp_path / "x.csv", "a,kind,b\n1.5,cat,2\n2.5,dog,3\n")
    table, labels = read_table(file, "kind")
    assert [c.name for c in table.columns] == ["a", "b"]
    assert labels.tolist() == ["cat", "dog"]
    FRAME.assign(kind=np.arange(ROWS) % 2).to_parquet(tmp_path / "x.parquet")
    table, labels = read_table(tmp_path / "x.parquet", "kind")
    assert [c.name for c in table.columns] == [*FRAME]
    assert labels.tolist() == [0, 1] * 20
    with monkeypatch.context() as without:
        without.setattr("zoo.data.table_file.find_spec", {"pandas": True, "polars": True}.get)
        table, labels = read_table(tmp_path / "x.parquet", "kind")
    assert (table.frame, labels.tolist()) == ("polars", [0, 1] * 20)
    with pytest.raises(ZooError, match="there is no column 'sort'; the first are a, kind, b"):
        read_table(file, "sort")
    spaced = write(tmp_path / "y.csv", "a, kind\n1.5,cat\n2.5,dog\n")
    assert read_table(spaced, "kind")[1].tolist() == ["cat", "dog"]
    with pytest.raises(ZooError, match="the first line names no column, and so none 'kind'"):
        read_table(write(tmp_path / "z.csv", "1,2\n3,4\n"), "kind")
    with pytest.raises(ZooError, match="row 1 has another number of cells, 1, than those before"):
        read_table(write(tmp_path / "short.csv", "a,kind\n1.5,0\n2.5\n"), "kind")
    with pytest.raises(ZooError, match=r"long.csv: the labels hold 7777.*; number the classes"):
        read_table(write(tmp_path / "long.csv", f"a,kind\n1.5,0\n2.5,{'7' * 5000}\n"), "kind")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "a,b\n1,2\n3,Rome\n", "column 'b' holds 'Rome' in row 1, which is no number"),
        ("x.csv", "a,b\n1,2\n,4\n", "column 'a' holds nothing in row 1"),
        ("x.csv", "a,b\n1,2\nnan,4\n", "column 'a' has 1 missing"),
        ("x.csv", "a,b\n1,2\n3\n", "row 1 has another number of cells, 1, than those before"),
        (
            "x.csv",
            "a,b\n1,2\n\n3,4\n1,000,0\n",
            "row 2 has another number of cells, 3, than those before it, 2",
        ),
        ("x.csv", "a,b\n1,2,3\n", "the first line has 2 columns, the second 3"),
        ("x.csv", "a,b\n", "the first line has 2 columns, the second 0"),
        ("x.csv", "", "the first line has 0 columns"),
        ("x.csv", "a,a\n1,2\n2,3\n", "two columns are called 'a'"),
        ("x.txt", "1", "expected a file ending in .csv, .tsv, .parquet or .npz"),
        ("x.parquet", "no", "cannot be read as parquet"),
    ],
)
def test_files_that_are_no_tables(tmp_path, name, text, told):
    with pytest.raises(ZooError) as error:
        read_table(write(tmp_path / name, text))
    assert told in str(error.value)
    assert name in str(error.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe1,2\n")
    with pytest.raises(ZooError, match="cannot be read as a table"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(ZooError, match="there is no such file"):
        read_table(tmp_path / "y.csv")
