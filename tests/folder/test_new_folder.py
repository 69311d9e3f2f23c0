"""Folders that appear whole: beside others, after failures, and by several at once."""

import os
from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.folder.atomic import NewFolder, check_free, check_new


def fill(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)


def contents(path):
    return {p.name: p.read_text() for p in path.iterdir()}


def file_names(path):
    return {p.name for p in path.iterdir()}


def test_a_new_folder_appears_whole(tmp_path):
    target = tmp_path / "a" / "b"
    with NewFolder(target) as beside:
        fill(beside, config_json="{}", README_md="x")
        assert not target.exists()
    assert contents(target) == {"config.json": "{}", "README.md": "x"}
    assert [p.name for p in target.parent.iterdir()] == ["b"]


def test_in_a_folder_that_is_there_its_own_files_are_replaced_and_others_stay(tmp_path):
    fill(tmp_path / "m", config_json="old", README_md="old", notes_txt="mine")
    with NewFolder(tmp_path / "m") as beside:
        fill(beside, config_json="new", README_md="new")
    assert contents(tmp_path / "m") == {
        "config.json": "new",
        "README.md": "new",
        "notes.txt": "mine",
    }


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("there", [False, True])
def test_after_an_exception_all_is_as_before(tmp_path, there, stop):
    target = tmp_path / "m"
    if there:
        fill(target, config_json="old")

    def half_way():
        with NewFolder(target) as beside:
            fill(beside, config_json="new")
            raise stop

    with pytest.raises(stop):
        half_way()
    assert [p.name for p in tmp_path.rglob("*")] == (["m", "config.json"] if there else [])
    assert not there or contents(target) == {"config.json": "old"}


def test_an_empty_folder_may_be_filled_and_the_working_one_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with NewFolder(Path()) as beside:
        fill(beside, config_json="{}")
    assert contents(tmp_path) == {"config.json": "{}"}


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    fill(tmp_path / "home", thesis_tex="years of work")
    with pytest.raises(ZooError, match="holds other files and no model"):
        NewFolder(tmp_path / "home").__enter__()
    with pytest.raises(ZooError, match="is a file; name a folder"):
        NewFolder(tmp_path / "home" / "thesis.tex").__enter__()
    assert contents(tmp_path / "home") == {"thesis.tex": "years of work"}


def test_a_link_to_a_new_folder_is_followed_and_one_in_a_circle_told(tmp_path):
    (tmp_path / "link").symlink_to("new")
    with NewFolder(tmp_path / "link") as beside:
        fill(beside, config_json="{}")
    assert contents(tmp_path / "new") == {"config.json": "{}"}
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ZooError, match="circle is a link in a circle; name a folder"):
        NewFolder(tmp_path / "circle").__enter__()


@pytest.mark.parametrize("empty", [False, True])
def test_what_a_killed_run_left_is_no_obstacle_and_goes_after_a_day(tmp_path, empty):
    target = tmp_path / "m"
    near = target if empty else tmp_path
    for name in (".m.0.part", ".m.1.part", ".n.part"):
        fill(near / name, README_md="left over")
    os.utime(near / ".m.0.part", (1, 1))
    os.utime(near / ".n.part", (1, 1))
    if empty:
        (near / ".n.part" / "README.md").unlink()
        (near / ".n.part").rmdir()
    with NewFolder(target) as beside:
        fill(beside, config_json="{}")
    assert file_names(target) == ({"config.json", ".m.1.part"} if empty else {"config.json"})
    assert empty or file_names(tmp_path) == {"m", ".m.1.part", ".n.part"}


@pytest.mark.parametrize("there", [False, True])
def test_two_that_make_one_folder_do_not_disturb_each_other(tmp_path, there):
    target = tmp_path / "m"
    if there:
        fill(target, config_json="{}")
    with NewFolder(target) as first:
        fill(first, config_json="{}", README_md="first")
        with NewFolder(target) as second:
            fill(second, config_json="{}", README_md="second")
        assert (target / "README.md").read_text() == "second"
        assert first.is_dir()
    assert contents(target) == {"config.json": "{}", "README.md": "first"}
    assert file_names(tmp_path) == {"m"}


def test_a_folder_that_cannot_be_put_in_place_is_told_as_that(tmp_path):
    (tmp_path / "there").mkdir()
    new = NewFolder(tmp_path / "there" / "m")
    new.__enter__()
    (tmp_path / "there").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"there/m'$"):
        new.__exit__(None)
    assert file_names(tmp_path) == {"away"}


def test_where_no_folder_can_be_made_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "plain").touch()
    for path in (tmp_path / "plain/sub", Path("/dev/null/x"), tmp_path / ("x" * 300)):
        with pytest.raises(ZooError, match="cannot be"):
            check_new(path)
    check_free(Path("~/new"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.json").touch()
    with pytest.raises(ZooError, match="holds a model, which stays"):
        check_free(Path("~/new"))
