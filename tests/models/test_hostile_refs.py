"""Whatever is given as a model reference, the answer is a model or one line, in time.

`pytest --hypothesis-profile=explore` tries other references in every run.
"""

import os

import pytest
from cage import Cage, hostile
from hypothesis import example, given
from hypothesis import strategies as st


def caged(home):
    """Return a cage whose current folder has folders of models and runs, a pipe, odd links."""
    for name in ("moons/model", "ada/tiny", "run", "odd"):
        (home / name).mkdir(parents=True)
    for name in ("moons/model", "ada/tiny"):
        (home / name / "config.json").write_text("{}")
    (home / "run" / "checkpoint.pt").touch()
    os.mkfifo(home / "odd" / "config.json")
    (home / "circle").symlink_to("circle")
    (home / "all").symlink_to("/")
    return Cage(home)


@pytest.fixture(scope="module")
def cage(tmp_path_factory):
    cage = caged(tmp_path_factory.mktemp("refs"))
    cage.check("ref", "no such name")
    yield cage
    cage.stop()


SIGNS = ["/", "\\", ":", "@", ".", "..", "~", "%2e%2e", "//", " ", "\n", "\r\n", "\t", "--", "*"]
MARKS = ["hub:", "path:", "C:\\", "./", "../", "/", "~/", "~nobody/", "file://", "\\\\?\\"]
NAMES = ["moons", "model", "ada/tiny", "run", "odd", "circle", "all", "gravity-digits", "gravity"]
ENDS = ["@main", "@refs/pr/1", "@v1.0", "?x=1", "#x", "/config.json", "/proc/self", "dev/zero"]
CONTROLS = ["\0", "\x1b[31m", "\x07", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800", "é", "名", "😀"]
LONG = ["a" * 300, "b" * 10_000, "../" * 2000, "x/" * 3000, "\u0301" * 500, "c" * 10**6]
REFS = st.lists(st.sampled_from([*SIGNS, *MARKS, *NAMES, *ENDS, *CONTROLS, *LONG]), max_size=5).map(
    "".join
)


@hostile(40)
@given(REFS | st.text(st.characters(), max_size=30))
@example("")
@example("a" * 10**7)
@example("./odd")
@example("./circle")
@example("./all")
@example("path:" + "x/" * 5000)
@example("hub:" + "a" * 5000 + "/b@" + "c" * 5000)
@example("hub:../../etc@../..")
@example("ada/tiny@\x1b[31m")
@example("\ud800/\udfff")
@example("~\ud800")
@example("~\0/x")
def test_any_reference(cage, ref):
    cage.check("ref", ref)
