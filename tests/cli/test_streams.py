"""Output in any encoding, closed or full, and users without a home folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_recipe import RECIPE

MODEL = "gravity-digits"


def zoo(*args, **environment):
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "zoo", *args]
    return subprocess.run(
        command, capture_output=True, env={**os.environ, **environment}, check=False
    )


@pytest.fixture(scope="module")
def shown():
    """What `zoo show` and `zoo show --json` say where every character can be."""
    args = ((), ("--json",))
    return [zoo("show", MODEL, *more, PYTHONIOENCODING="utf-8").stdout.decode() for more in args]


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp932", "ascii"])
def test_what_an_encoding_lacks_is_shown_as_its_number(shown, encoding):
    whole, known = shown
    assert not whole.isascii()
    done = zoo("show", MODEL, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    if encoding != "ascii":  # there the stream is made another one
        expected = whole.encode(encoding, errors="backslashreplace")
        assert done.stdout.replace(b"\r\n", b"\n") == expected
    done = zoo("show", MODEL, "--json", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    decoded = done.stdout.decode("utf-8" if encoding == "ascii" else encoding)
    assert json.loads(decoded) == json.loads(known)


def test_json_has_no_escapes_that_json_lacks(capsys, monkeypatch):
    """Beyond the first plane Python's escapes, \\U0001f600, are not those of JSON."""
    import io

    from zoo.cli.output import echo_json

    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    echo_json({"name": "\N{GRINNING FACE}"})
    assert json.loads(stream.buffer.getvalue().decode("cp1252")) == {"name": "\N{GRINNING FACE}"}


def test_json_sends_a_terminal_no_character_that_it_obeys(capsys):
    from zoo.cli.output import echo_json

    said = {"title": "a\x9b31m\u202eb", "name": "\N{GREEK SMALL LETTER PHI}"}
    echo_json(said)
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == said


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


@pytest.mark.parametrize("closed", ["2>&-", "2>&- >&-", "<&- >&- 2>&-"])
def test_training_without_streams_trains_and_writes_into_no_other_file(recipe, tmp_path, closed):
    code = f'"$@" {closed}'
    command = [sys.executable, "-m", "zoo", "train", str(recipe), "-o", str(tmp_path / "run")]
    done = subprocess.run(["sh", "-c", code, "sh", *command], capture_output=True, check=False)
    assert done.returncode == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert all(json.loads(line)["step"] for line in log.splitlines())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("args", [("list",), ("show", MODEL, "--json"), ("--help",)])
def test_output_that_is_full_is_one_line(args):
    command = [sys.executable, "-m", "zoo", *args]
    done = subprocess.run(
        ["sh", "-c", '"$@" >/dev/full', "sh", *command], capture_output=True, check=False
    )
    assert done.returncode == 1
    expected = b"zoo: cannot write to standard output: No space left on device\n"
    assert done.stderr == expected
    both = subprocess.run(
        ["sh", "-c", '"$@" >/dev/full 2>&1', "sh", *command], capture_output=True, check=False
    )
    assert both.returncode != 0


NOBODY = """
import os, pwd, sys
def unknown(*_):
    raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = unknown
from zoo.cli import main
main(sys.argv[1:])
"""


def nobody(folder, *args):
    """Run the command in a folder as a user whom nobody knows, without $HOME."""
    gone = ("HOME", "USER", "LOGNAME", "USERNAME", "ZOO_CACHE", "XDG_CACHE_HOME", "HF_HOME")
    known = {k: v for k, v in os.environ.items() if k not in gone}
    return subprocess.run(
        [sys.executable, "-c", NOBODY, *args],
        capture_output=True,
        text=True,
        env={**known, "TMPDIR": str(folder)},
        cwd=folder,
        check=False,
    )


def test_a_user_without_a_home_samples_and_no_folder_is_called_after_it(tmp_path):
    args = ("sample", MODEL, "-n", "2", "--steps", "2", "-o", "x.png")
    done = nobody(tmp_path, *args)
    assert (done.returncode, done.stderr) == (0, "")
    cache = tmp_path / f"zoo-{os.getuid()}"
    assert {"x.png", cache.name} <= {p.name for p in tmp_path.iterdir()}
    assert not (tmp_path / "~").exists()
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)  # anybody could put a verdict on a file there
    done = nobody(tmp_path, *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{cache.name} is somebody else's; set ZOO_CACHE" in done.stderr


def test_a_user_without_a_home_trains(tmp_path, recipe):
    done = nobody(tmp_path, "train", str(recipe), "-o", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "~").exists()
