"""Messages: one line, bounded, in a person's grammar."""

import pytest

from zoo.errors import brief, did_you_mean


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ([], "there is none"),
        (["heun"], "there is heun"),
        (["rk4", "heun"], "there are heun and rk4"),
        (["rk4", "heun", "ab2"], "there are ab2, heun and rk4"),
        (["qqq1"], "did you mean 'qqq1'?"),
    ],
)
def test_what_there_is(known, message):
    assert did_you_mean("qqq", known) == message


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        (10**6000, "a int"),
        (Unprintable(), "<Unprintable instance at 0x"),
        ([1] * 9, "[1, 1, 1, 1, 1, 1, ...]"),
        ("x" * 1000, "'xxx"),
    ],
    ids=["lines", "colour", "digits", "unprintable", "list", "long"],
)
def test_a_value_is_shown_in_one_short_line(value, text):
    found = brief(value)
    assert found.startswith(text)
    assert len(found) <= 80
    assert found.isprintable()
