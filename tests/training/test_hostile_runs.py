"""Run folders altered by others: `--resume` and `zoo ema` end in a model or in one line, in time.

`pytest --hypothesis-profile=explore` tries other alterations in every run.
"""

import io
import os
import pickle
import shutil
import zipfile

import pytest
import torch
from cage import BYTES, Cage, hostile
from hypothesis import given
from hypothesis import strategies as st
from tiny_recipe import POINTS, VECTORS

from zoo.training import checkpoint, log
from zoo.training.export import export
from zoo.training.plan import make_plan
from zoo.training.run import data_of, recipe_of
from zoo.training.start import start
from zoo.training.trainer import CHECKPOINT


class Runs:
    """A run at step 4 of 6 with its model, written anew for every example, and what is not its."""

    def __init__(self, home):
        self.cage, self.folder, self.other = Cage(home), home / "run", home / "other"
        trainer = start(make_plan(recipe_of(VECTORS, POINTS), data_of(POINTS)), home / "first")
        with pytest.raises(KeyboardInterrupt):
            trainer.run(lambda step, _: setattr(trainer, "stopping", step == 4))
        export(trainer)
        files = [p for p in (home / "first").rglob("*") if p.is_file()]
        self.files = {str(p.relative_to(home / "first")): p.read_bytes() for p in files}
        self.names = [*sorted(self.files), "ema", "model", "samples", "tensorboard", ".lock"]

    def state(self):
        return checkpoint.read(self.folder.parent / "first" / CHECKPOINT)

    def check(self, alter, tasks=("ema", "resume")):
        """Alter a run, go on with it, and see that nothing beside it has changed."""
        for folder in (self.folder, self.other):
            shutil.rmtree(folder, ignore_errors=True)
        for name, raw in self.files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(raw)
        (self.other / "model").mkdir(parents=True)
        (self.other / "precious").write_text("mine")
        (self.other / "model" / "config.json").write_text("{}")
        (self.other / "00000001.safetensors").write_text("mine")
        before = self._others()
        alter(self)
        kinds = [self.cage.check(task, self.folder)["kind"] for task in tasks]
        assert self._others() == before
        return kinds

    def _others(self):
        return {p: p.read_bytes() for p in self.other.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    runs = Runs(tmp_path_factory.mktemp("runs"))
    try:
        assert runs.check(lambda _: None) == ["", ""]
        yield runs
    finally:
        runs.cage.stop()


# Files


def put(runs, name, raw):
    path = runs.folder / name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def link(to):
    return lambda path, other: path.symlink_to(other / to)


def large(path, _):
    with path.open("wb") as file:
        file.truncate(2 * BYTES)


KINDS = {
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "nothing": lambda path, _: None,
    "a link to a file": link("precious"),
    "a link to a folder": link("."),
    "a link to a model": link("model"),
    "a link to nothing": link("new"),
    "a link to itself": lambda path, _: path.symlink_to(path),
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "gigabytes of nothing": large,
}


def replaced(name, kind):
    def alter(runs):
        put(runs, name, b"")
        (runs.folder / name).unlink()
        KINDS[kind](runs.folder / name, runs.other)

    return alter


def damaged(name, at, new, left_out):
    def alter(runs):
        raw = runs.files.get(name, b"")
        place = at % (len(raw) + 1)
        put(runs, name, raw[:place] + new + raw[place + left_out :])

    return alter


# Values


def tensor(kind, shape):
    return torch.zeros(shape, dtype=kind)


SHAPES = [(), (0,), (1,), (4,), (4, 2), (2, 4), (1, 1, 1)]
TENSORS = st.one_of(
    st.builds(
        tensor,
        st.sampled_from([torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64]),
        st.sampled_from(SHAPES),
    ),
    st.sampled_from(
        [
            torch.zeros(1).expand(10**12),
            torch.zeros(1).expand(4, 2),
            torch.full((4,), torch.nan),
            torch.full((4, 2), 1e300, dtype=torch.float64),
            torch.ones(4, 2).t().contiguous().t(),
        ]
    ),
)
CYCLE = {}
CYCLE["x"] = [CYCLE]
WIDE = []
for _ in range(30):
    WIDE = [WIDE, WIDE]
TANGLES = {"cycle": CYCLE, "wide": WIDE}  # which have no repr
SCALARS = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 4, 5, 6, 7, 2**63, -(10**30), 0.0, 0.5, 1e300, 5e-324),
        *(torch.inf, -torch.inf, torch.nan, "", "4", "\x1b[31m", "gravity", "x" * 10_000),
        *(b"4", (), [], {}, (1, 2), [1, 2], {1: 2}, {"use": "mlp"}),
    ]
) | st.sampled_from([*TANGLES]).map(TANGLES.get)
KEYS = st.sampled_from(["step", "lr", "lr_scale", "x", "params", "exp_avg", 0, -1, 10**6, None])


@st.composite
def edits(draw):
    """Return a way through a checkpoint, and what is done at its end."""
    way = draw(st.lists(st.integers(0, 50), min_size=1, max_size=5))
    return way, draw(st.sampled_from(["set", "remove", "rename", "add"])), draw(KEYS)


def edited(changes):
    def alter(runs):
        state = runs.state()
        for (way, act, key), value in changes:
            edit(state, way, act, key, value)
        put(runs, CHECKPOINT, b"")
        checkpoint.write_atomic(runs.folder / CHECKPOINT, state)

    return alter


def edit(place, way, act, key, value):
    """Follow the way as far as it goes: each number says which item is next."""
    while True:
        known = [*place] if isinstance(place, dict) else [*range(len(place))]
        if not known:
            return
        own = known[way[0] % len(known)]
        if len(way) == 1 or not isinstance(place[own], dict | list):
            break
        place, way = place[own], way[1:]
    if act == "set":
        place[own] = value
    elif isinstance(place, list):
        place.append(value)
    elif act == "add":
        place[key] = value
    else:
        taken = place.pop(own)
        if act == "rename":
            place[key] = taken


# Logs

FIGURES = st.one_of(
    st.sampled_from([None, True, -1, 0, 5, 10**30, 10**400, 1e300, 5e-324, "x", [], {}, -2.5]),
    st.floats(),
    st.integers(),
)
LINES = st.one_of(
    st.dictionaries(
        st.sampled_from(["step", "images", "loss", "images_per_s", "lr", "x"]), FIGURES, max_size=6
    ).map(lambda line: log.json.dumps({"step": 1, "images": 8, **line}).encode()),
    st.binary(max_size=20),
    st.sampled_from([b"[" * 100_000, b"{}", b"", b"\x1b[31m", b" " * 10**6, b"\0" * 10**6]),
)


def logged(found):
    return lambda runs: put(runs, log.LOG, b"\n".join(found))


# Pickles


def signed(raw):
    """Return a zip archive with its digest as the comment that a checkpoint has."""
    file = io.BytesIO(raw)
    checkpoint._sign(file)
    return file.getvalue()


def archive(content, compression=zipfile.ZIP_STORED, more=b""):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        made.writestr("checkpoint/data.pkl", content)
        made.writestr("checkpoint/byteorder", b"little")
        if more:
            made.writestr("checkpoint/data/0", more)
    return signed(file.getvalue())


BOMBS = {
    "a long byte array": archive(b"\x80\x02cbuiltins\nbytearray\n(J\x00\x00\x00\x7ftR."),
    "a key nested in itself": archive(b"\x80\x02})" + 45 * b"2\x86" + b"K\x01s."),
    "a far place of the memo": archive(b"\x80\x02}r\xff\xff\xff\x7f."),
    "a call": archive(b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR."),
    "compressed zeros": archive(
        pickle.dumps({"format": 4}, protocol=2), zipfile.ZIP_DEFLATED, bytes(10**7)
    ),
    "no zip": signed(b"x" * 30),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(runs, name):
    found = runs.check(lambda runs: put(runs, CHECKPOINT, BOMBS[name]), ["resume"])
    assert found == ["ZooError"]


def test_an_altered_checkpoint_that_is_signed_anew_is_refused(runs):
    """Each of these went on, with other numbers or to an error of Python's own."""

    def refused(change):
        def alter(runs):
            state = runs.state()
            change(state)
            put(runs, CHECKPOINT, b"")
            checkpoint.write_atomic(runs.folder / CHECKPOINT, state)

        assert runs.check(alter, ["resume"]) == ["ZooError"]

    def moments(state):
        return state["optimizer"]["state"][0]

    def repeated(moment):
        return moment.flatten()[:1].expand_as(moment)

    first = next(iter(runs.state()["network"]))
    refused(lambda s: s["network"].update({first: s["network"][first].double()}))
    refused(lambda s: s["network"].update({first: torch.zeros(1).expand(10**12)}))
    refused(lambda s: s["optimizer"]["param_groups"][0].update(lr_scale=0.1))
    refused(lambda s: s["optimizer"]["param_groups"][0]["params"].reverse())
    refused(lambda s: s["optimizer"]["state"].update({-1: moments(s)}))
    refused(lambda s: moments(s).pop("exp_avg"))
    refused(lambda s: moments(s).update(step=3))
    refused(lambda s: moments(s).update(exp_avg=repeated(moments(s)["exp_avg"])))
    refused(lambda s: s.pop("best_loss"))
    refused(lambda s: s.update(format=torch.zeros(3)))
    refused(lambda s: s.update(recipe=CYCLE))
    refused(lambda s: s.update(recipe={**s["recipe"], 1: 2}))


@hostile(8)
@given(st.data())
def test_any_alteration(runs, data):
    names = st.sampled_from(runs.names)
    alter = data.draw(
        st.one_of(
            st.builds(replaced, names, st.sampled_from([*KINDS])),
            st.builds(
                damaged, names, st.integers(0, 10**6), st.binary(max_size=3), st.integers(0, 10**5)
            ),
            st.builds(
                edited,
                st.lists(st.tuples(edits(), TENSORS | SCALARS), min_size=1, max_size=2),
            ),
            st.builds(logged, st.lists(LINES, max_size=4)),
        )
    )
    runs.check(alter)
