"""Columns in config.json: kept as they were, and nothing of an outsider's believed."""

import json

import pytest

from zoo.config.columns import MOST_COLUMNS
from zoo.config.model import dump_config, parse_config
from zoo.errors import ZooError

CONFIG = {
    "format": 1,
    "data": {"shape": [2], "range": None, "columns": []},
    "kernel": {"use": "gaussian"},
    "prior": {"use": "gaussian"},
    "network": {"use": "mlp"},
    "solver": {"use": "heun"},
}


def read(columns, shape=(2,), **more):
    data = {"shape": list(shape), "range": None, "columns": columns, **more}
    return parse_config(json.dumps({**CONFIG, "data": data}).encode(), "config.json")


def column(name="a", dtype="float64"):
    return {"name": name, "dtype": dtype}


def test_names_types_and_library_come_back():
    config = read([column("größe, m", "Float64"), column(7, "int64[pyarrow]")], frame="polars")
    again = parse_config(dump_config(config), "again")
    assert again == config
    assert again.data.frame == "polars"
    assert [(c.name, c.numpy_dtype, c.whole) for c in again.data.columns] == [
        ("größe, m", "float64", False),
        (7, "int64", True),
    ]
    assert b"columns" not in dump_config(read([]))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ([column()], r"data.columns names 1 columns of data of shape \[2\]"),
        ([column(), column()], "two columns are called 'a'"),
        ([column(), column("\x1b[2J")], "columns"),
        ([column(), column("b\n")], "columns"),
        ([column(), column("n" * 201)], "200"),
        ([column(), column("b", "object")], "dtype"),
        ([column(), column("b", "float64\n")], "dtype"),
        ([column(), column("b", "__import__")], "dtype"),
        ([column(), column(None)], "name"),
        ([column(), column(2**70)], "name"),
        ([column(), {**column("b"), "path": "/etc"}], "unknown key"),
        ([column(i) for i in range(MOST_COLUMNS + 1)], str(MOST_COLUMNS)),
    ],
)
def test_columns_of_an_outsider(columns, told):
    with pytest.raises(ZooError, match=told) as error:
        read(columns)
    assert str(error.value).isprintable()


def test_a_library_that_is_none():
    with pytest.raises(ZooError, match="frame = 'os'"):
        read([column("a"), column("b")], frame="os")
