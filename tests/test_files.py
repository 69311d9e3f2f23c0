"""Where files may go, and that they are written whole or not at all."""

import errno
import os

import pytest

from zoo.errors import ZooError
from zoo.files import as_path, check_place, replacing


@pytest.mark.parametrize("text", ["~no-such-user/x", "x" * 300, "a\0b"])
def test_what_is_no_path_is_told(text):
    with pytest.raises(ZooError, match=r"^recipe 'a': .*; expected a path$"):
        as_path(text, "recipe 'a'")


def test_home_is_resolved(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path("~/x", "") == tmp_path / "x"


def test_a_place_for_a_file(tmp_path, monkeypatch):
    check_place(tmp_path / "x")
    with pytest.raises(ZooError, match="is a folder; name a file in it"):
        check_place(tmp_path)
    with pytest.raises(ZooError, match="there is no folder"):
        check_place(tmp_path / "nowhere" / "x")
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may do anything
    with pytest.raises(ZooError, match=r"x: the folder .* cannot be written into"):
        check_place(tmp_path / "x")


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    (tmp_path / "x").write_text("old")
    with replacing(tmp_path / "x") as beside:
        beside.write_text("new")
        assert (tmp_path / "x").read_text() == "old"
    assert (tmp_path / "x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_after_a_failure_all_is_as_before(tmp_path, error):
    (tmp_path / "x").write_text("old")
    expected = ZooError if isinstance(error, OSError) else KeyboardInterrupt

    def fill_up(beside):
        beside.write_text("half of it")
        raise error

    with pytest.raises(expected) as caught, replacing(tmp_path / "x") as beside:
        fill_up(beside)
    if expected is ZooError:
        assert str(caught.value) == f"cannot write {tmp_path / 'x'}: No space left"
    assert (tmp_path / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_place_that_nothing_can_be_removed_from_is_still_one_line(tmp_path):
    """As on a read-only disk, where removing what was not written fails as well."""
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "x"
    with pytest.raises(ZooError, match=r"cannot write .*: Not a directory"), replacing(place) as p:
        p.write_text("")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(ZooError, match="x is no regular file"):
        check_place(tmp_path / "x")
    with pytest.raises(ZooError, match="x is no regular file"), replacing(tmp_path / "x"):
        pass
    assert (tmp_path / "x").is_fifo()


def test_two_writers_leave_the_whole_of_one(tmp_path):
    with replacing(tmp_path / "x") as one:
        one.write_text("one")
        with replacing(tmp_path / "x") as other:
            other.write_text("other")
        assert (tmp_path / "x").read_text() == "other"
    assert (tmp_path / "x").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
