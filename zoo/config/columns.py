"""Columns of a table that a model was fitted on, as config.json names them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from zoo.errors import ZooError, brief, shown

# More, with names of this length, would not fit into a config.json.
MOST_COLUMNS = 2_000
LONGEST_NAME = 200
_MOST_TEXT = 200_000

# A name may be a whole number, as of a pandas DataFrame without names of its own.
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z", max_length=LONGEST_NAME)]
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# Types of numbers as pandas, Arrow and polars write them.
DTYPE = (
    r"^(?:(?:[uU]?[iI]nt|UInt)(?:8|16|32|64)|[fF]loat(?:16|32|64)?|double|bool|boolean|Boolean)"
    r"(?:\[pyarrow\])?\Z"
)


class Column(Struct, frozen=True, forbid_unknown_fields=True):
    """Name and type of a column: ("age", "int64").

    Attributes:
        name: text, or a whole number.
        dtype: its type, as the library of the table writes it.
    """

    name: Name | Number
    dtype: Annotated[str, Meta(pattern=DTYPE, max_length=20)]

    @property
    def numpy_dtype(self) -> str:
        """Type of NumPy that holds the column's values, "int64" for "Int64[pyarrow]"."""
        plain = self.dtype.lower().removesuffix("[pyarrow]")
        return {"double": "float64", "float": "float32", "boolean": "bool"}.get(plain, plain)

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers, or true and false."""
        return not self.numpy_dtype.startswith("float")


def check_columns(columns: tuple[Column, ...], where: str) -> None:
    """Raise ZooError for names that are not unique, or too many or long for a config.json."""
    names = [column.name for column in columns]
    if len(names) > MOST_COLUMNS or sum(len(str(name).encode()) for name in names) > _MOST_TEXT:
        raise ZooError(
            f"{where}: {len(names):,} columns; at most {MOST_COLUMNS:,} of {_MOST_TEXT:,} bytes of "
            "names can be kept; give an array without names"
        )
    seen: set[str | int] = set()
    for name in names:
        if len(str(name)) > LONGEST_NAME:
            raise ZooError(
                f"{where}: the column {shown(name, 60)} has a name of {len(str(name)):,} "
                f"characters; at most {LONGEST_NAME}"
            )
        if isinstance(name, int) and not -(2**63) <= name < 2**63:
            raise ZooError(f"{where}: a column is called {brief(name)}; expected 64 bits at most")
        if name in seen:
            raise ZooError(f"{where}: two columns are called {brief(name)}; rename one")
        seen.add(name)
