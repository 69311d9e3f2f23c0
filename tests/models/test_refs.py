"""References: what each spelling means, and that an ambiguous one is refused with both."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo.errors import ZooError
from zoo.hub import fetch
from zoo.hub.errors import NotOnHub, Unreachable
from zoo.models.locate import folder_of
from zoo.models.names import Hub, folder_hint, is_folder, parse_ref


@pytest.mark.parametrize(
    ("ref", "meaning"),
    [
        ("gravity-digits", "gravity-digits"),
        ("yukawa:two-moons", "yukawa:two-moons"),
        ("ada/tiny", Hub("ada/tiny")),
        ("ada/tiny@v1.0", Hub("ada/tiny", "v1.0")),
        ("ada/tiny@refs/pr/1", Hub("ada/tiny", "refs/pr/1")),
        ("hub:ada/tiny", Hub("ada/tiny")),
        ("hub:ada/tiny@main", Hub("ada/tiny", "main")),
        ("./x", Path("x")),
        ("../x/y", Path("../x/y")),
        ("/x", Path("/x")),
        (".", Path()),
        ("..", Path("..")),
        ("~/x", Path.home() / "x"),
        ("path:x", Path("x")),
        ("path:ada/tiny", Path("ada/tiny")),
        ("path:~/x", Path.home() / "x"),
        (r"C:\Users\me\model", Path(r"C:\Users\me\model")),
        ("C:/Users/me/model", Path("C:/Users/me/model")),
        (r".\model", Path(r".\model")),
        (r"..\model", Path(r"..\model")),
        (r"runs\moons\model", Path(r"runs\moons\model")),
        (r"\\server\share\model", Path(r"\\server\share\model")),
    ],
)
def test_each_spelling_has_one_meaning(ref, meaning):
    assert parse_ref(ref) == meaning


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("", "is not a model reference"),
        ("no such name", "write a name of `zoo list`, a Hub id owner/name, or a folder ./name"),
        ("Gravity", "is not a model reference"),
        ("gravity\n", "is not a model reference"),
        ("a/b/c", "is not a model reference"),
        ("hub:gravity", "is not a Hub reference; write hub:owner/name"),
        ("hub:", "is not a Hub reference"),
        ("path:", "is not a model reference"),
        ("~nobody-of-this-name/x", "no such user's folder"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(ref, message):
    with pytest.raises(ZooError, match=message) as error:
        parse_ref(ref)
    assert len(str(error.value).splitlines()) == 1


def test_an_ambiguous_reference_is_refused_with_the_spellings_that_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_ref("ada/tiny") == Hub("ada/tiny")
    (tmp_path / "ada" / "tiny").mkdir(parents=True)
    with pytest.raises(ZooError, match="may be a Hub id; say path:ada/tiny or hub:ada/tiny"):
        parse_ref("ada/tiny")
    assert parse_ref("path:ada/tiny") == Path("ada/tiny")
    assert parse_ref("hub:ada/tiny") == Hub("ada/tiny")


def test_a_folder_that_needs_a_dot_is_told_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "digits" / "model").mkdir(parents=True)
    with pytest.raises(ZooError, match=r"write \./runs/digits/model$"):
        parse_ref("runs/digits/model")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two model folders, moons/model of a run and ada/tiny, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("moons/model", "ada/tiny", "empty"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("moons/model", "ada/tiny"):
        (tmp_path / name / "config.json").touch()


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("moon", "; for the folder here say ./moons/model"),
        ("moons/modle", "; for the folder here say ./moons/model"),
        ("ada/tinny", "; for the folder here say ./ada/tiny"),
        ("empty", ""),
        ("nothing/like/it", ""),
        ("\0", ""),
        ("x" * 5000, ""),
    ],
)
def test_a_name_with_a_typo_is_answered_with_the_folder_meant(runs, ref, hint):
    assert folder_hint(ref) == hint


@pytest.mark.parametrize("error", [NotOnHub("it is absent"), Unreachable("no answer", "timeout")])
def test_so_is_one_that_might_be_on_the_hub(runs, monkeypatch, error):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(fetch, "pull_repository", fail)
    with pytest.raises(type(error), match=r"; for the folder here say \./moons/model$"):
        folder_of("moons/modle")
    with pytest.raises(
        ZooError, match=r"no model 'moon'.*; for the folder here say \./moons/model"
    ):
        folder_of("moon")
    with pytest.raises(ZooError, match=r"folder here, \./moons/model, and may be a Hub id"):
        folder_of("moons/model")


@pytest.mark.parametrize("asked", ["show", "sample", "plot"])
@pytest.mark.parametrize("ref", ["moon", "moons/modle"])
def test_every_command_says_which_folder_is_meant(runs, command, tmp_path, monkeypatch, asked, ref):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    status, _, told = command(asked, ref)
    assert status == 1
    assert "; for the folder here say ./moons/model" in told


@given(st.text() | st.text("ab/:@.~-", max_size=12))
@example("a/" + "b" * 5000)
@example("/" + "b" * 5000)
@example("./\0")
def test_any_text_has_a_meaning_or_one_line_of_error(ref):
    try:
        parsed = parse_ref(ref)
    except ZooError as error:
        parsed = error
    if isinstance(parsed, ZooError):
        assert len(str(parsed).splitlines()) == 1
    elif isinstance(parsed, Path):
        assert is_folder(parsed) in (True, False)
    else:
        assert isinstance(parsed, str | Hub)
