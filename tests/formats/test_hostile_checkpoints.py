"""Checkpoints made to do harm: a model or one line comes of them, in little time and memory."""

import io
import math
import pickle
import struct
import zipfile
from functools import cache

import pytest
import torch
from cage import Cage, hostile
from hypothesis import given
from hypothesis import strategies as st
from reference_pickles import Carrying, pickled, snapshot
from safetensors.torch import save
from zoo_songunet.network import DDPMPP, SongUNet

SIZE = 400_000_000


@pytest.fixture(scope="module")
def cage(tmp_path_factory):
    cage = Cage(tmp_path_factory.mktemp("cage"))
    cage.check("convert", write(cage, content("pickle"), ".pkl"))  # what is imported late, is now
    yield cage
    cage.stop()


def write(cage, raw, suffix):
    path = cage.home / f"file{suffix}"
    path.write_bytes(raw)
    return path


@cache
def state():
    torch.manual_seed(0)
    network = SongUNet((3, 8, 8), DDPMPP, 4, (1,), 1, (8,), 0.1)
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


@cache
def content(kind):
    """Return a file that is converted."""
    torch.manual_seed(0)
    if kind == "snapshot":
        return snapshot(SongUNet((3, 8, 8), DDPMPP, 4, (1,), 1, (8,), 0.1))
    if kind == "pickle":
        return pickle.dumps(state())
    if kind == "safetensors":
        return save(state())
    return saved(state(), zipped=kind == "zip")


def saved(value, *, zipped=True):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


SUFFIXES = {
    "snapshot": ".pkl",
    "pickle": ".pkl",
    "zip": ".pt",
    "legacy": ".pth",
    "safetensors": ".safetensors",
}


@pytest.mark.parametrize("kind", SUFFIXES)
def test_the_files_that_are_changed_below_are_converted(cage, kind):
    assert cage.check("convert", write(cage, content(kind), SUFFIXES[kind]))["kind"] == ""


# Known bombs


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module, name):
    return text(module) + text(name) + b"\x93"


def number(value):
    return b"J" + struct.pack("<i", value)


def called(module, name, *args):
    return named(module, name) + b"(" + b"".join(args) + b"tR"


def nested(depth):
    """A tuple of itself twice, so many times, alone on the stack."""
    pairs = (b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86\x940" for i in range(depth))
    return b")\x940" + b"".join(pairs) + b"h" + bytes([depth])


def repeated(count):
    base = torch.zeros(1)
    return {f"enc.8x8_block{i}.x": base.expand(2**20) for i in range(count)}


def shared_modules(depth):
    """A network of 2^depth parts, all but `depth` of them the same."""
    empty = {"_parameters": {}, "_buffers": {}}
    part = Carrying("Linear", {**empty, "_modules": {}})
    for _ in range(depth):
        part = Carrying("Block", {**empty, "_modules": {"a": part, "b": part}})
    return pickled(Carrying("EDMPrecond", {**empty, "_modules": {"model": part}}))


def compressed():
    raw = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"enc.8x8_conv.weight": torch.zeros(SIZE // 40)}))) as old,
        zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return raw.getvalue()


HEADER = b"\x80\x04"
BOMBS = {
    "a tuple of tuples as a key": b"}" + nested(45) + b"Ns.",
    "a tuple of tuples in a set": b"(" + nested(45) + b"\x91.",
    "a list of a long array": called(
        "builtins", "list", called("builtins", "bytearray", number(SIZE))
    )
    + b".",
    "a long array": called("builtins", "bytearray", number(SIZE)) + b".",
    "the last place of the memo": b"Nr\xff\xff\xff\x7f.",
    "a place of the memo in text": b"Np2000000000\n.",
    "bytes that are not there": b"\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "an array that is not there": b"\x96" + struct.pack("<Q", 2**33) + b"x.",
    "a frame that is not there": b"\x95" + struct.pack("<Q", 2**40) + b"N.",
    "digits": b"L" + b"9" * 5000 + b"L\n.",
    "a number of 8 kB": b"\x8b" + struct.pack("<i", 8000) + b"\x7f" * 8000 + b".",
    "instructions without end": b"}" * 3_000_000 + b".",
    "copies of a list": b"]\x94("
    + b"N" * 30_000
    + b"e0"
    + (named("builtins", "list") + b"h\x00\x85R0") * 30_000
    + b"N.",
    "classes": b"".join(b"ctorch.nn\nA%d\n0" % i for i in range(60_000)) + b"N.",
    "nothing": b".",
    "a mark": b"(.",
    "no end": b"}",
}

# By which rule those are refused that would otherwise cost much.
_MORE = "asks for more memory than there is data in it"
_LARGER = "a tensor that is larger than its numbers"
WHY = {
    "a tuple of tuples as a key": "a key that is a tuple",
    "a tuple of tuples in a set": "a key that is a tuple",
    "a list of a long array": _MORE,
    "a long array": _MORE,
    "copies of a list": _MORE,
    "bytes that are not there": "asks for more data than there is in it",
    "an array that is not there": "asks for more data than there is in it",
    "instructions without end": "asks for more than the 1060000 instructions",
    "numbers repeated by 600 tensors": _LARGER,
    "the same in the layout of before 2020": _LARGER,
    "compressed entries": "asks for compressed entries, which torch does not write",
    "modules that share their parts": "has more than 100000 parts",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(cage, name):
    found = cage.check("convert", write(cage, HEADER + BOMBS[name], ".pkl"))
    assert found["kind"]
    assert WHY.get(name, "") in found["error"]


FILES = {
    "numbers repeated by 600 tensors": lambda: saved(repeated(600)),
    "the same in the layout of before 2020": lambda: saved(repeated(600), zipped=False),
    "compressed entries": compressed,
    "modules that share their parts": lambda: shared_modules(40),
    "a layer of a side of thousands of digits": lambda: saved(
        {**state(), f"enc.{'9' * 5000}x{'9' * 5000}_conv.weight": torch.zeros(4, 3, 3, 3)}
    ),
    "a number of a block of thousands of digits": lambda: saved(
        {f"all_modules.{'9' * 5000}.weight": torch.zeros(1)}
    ),
    "a width of 0": lambda: saved({**state(), "enc.8x8_conv.weight": torch.zeros(0, 3, 3, 3)}),
    "no channels": lambda: saved({**state(), "enc.8x8_conv.weight": torch.zeros(4, 0, 3, 3)}),
    "a block that is one number": lambda: saved(
        {**state(), "enc.8x8_block0.conv0.weight": torch.tensor(1.0)}
    ),
    "names that are keys of escape codes": lambda: saved(
        {**state(), "enc.8x8_\x1b[31m": torch.zeros(1)}
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_made_by_hand(cage, name):
    found = cage.check("convert", write(cage, FILES[name](), ".pkl" if "mod" in name else ".pt"))
    assert found["kind"]
    assert WHY.get(name, "") in found["error"]


@pytest.mark.parametrize("attribute", ["sigma_data", "D"])
@pytest.mark.parametrize("value", [10**70, 10**500, 1e308, 1e-308, -1, math.nan, True, "2"])
def test_numbers_out_of_range(cage, attribute, value):
    network = SongUNet((3, 8, 8), DDPMPP, 4, (1,), 1, (8,), 0.1)
    raw = snapshot(network, **{attribute: value})
    if not cage.check("convert", write(cage, raw, ".pkl"))["kind"]:
        cage.check("sample", cage.out)


# Any

PIECES = [
    *[bytes([c]) for c in b"N().012}]ldtabeusoQR\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"],
    *[b"h" + bytes([i]) for i in range(6)],
    *[b"K" + bytes([i]) for i in (0, 1, 8, 255)],
    *[text(name) for name in ("ema", "model", "enc.8x8_conv.weight", "_modules", "state", "0", "")],
    *[number(n) for n in (-1, 2**31 - 1)],
    b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    b"G" + struct.pack(">d", 1e308),
    b"U\x01x",
    b"C\x02ab",
    *[
        named(*pair)
        for pair in (
            ("builtins", "list"),
            ("builtins", "set"),
            ("builtins", "bytearray"),
            ("builtins", "complex"),
            ("collections", "OrderedDict"),
            ("copyreg", "_reconstructor"),
            ("builtins", "object"),
            ("_codecs", "encode"),
            ("torch", "Size"),
            ("torch", "device"),
            ("torch", "float32"),
            ("torch", "FloatStorage"),
            ("torch.storage", "_load_from_bytes"),
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch._utils", "_rebuild_parameter"),
            ("torch.nn.modules.linear", "Linear"),
            ("torch_utils.persistence", "_reconstruct_persistent_obj"),
            ("os", "system"),
        )
    ],
]


@hostile(150)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_instructions(cage, pieces):
    cage.check("convert", write(cage, HEADER + b"".join(pieces) + b".", ".pkl"))


@st.composite
def changed(draw):
    """Return a kind of file, and one of it with some bytes changed, left out or repeated."""
    kind = draw(st.sampled_from(sorted(SUFFIXES)))
    raw = bytearray(content(kind))
    for _ in range(draw(st.integers(1, 4))):
        # The numbers are most of a file, and say least.
        low, high = draw(st.sampled_from([(0, 3000), (len(raw) - 3000, len(raw)), (0, len(raw))]))
        at = draw(st.integers(max(0, low), max(1, min(high, len(raw))) - 1))
        how = draw(st.sampled_from(["bit", "byte", "cut", "repeat", "number"]))
        length = draw(st.integers(1, 300))
        match how:
            case "bit":
                raw[at] ^= 1 << draw(st.integers(0, 7))
            case "byte":
                raw[at] = draw(st.integers(0, 255))
            case "cut":
                del raw[at : at + length]
            case "repeat":
                raw[at:at] = raw[at : at + length]
            case "number":
                raw[at : at + 4] = draw(
                    st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"])
                )
        if not raw:
            break
    return kind, bytes(raw)


@hostile(150)
@given(changed())
def test_any_change_of_a_file(cage, made):
    kind, raw = made
    cage.check("convert", write(cage, raw, SUFFIXES[kind]))


NAMES = (
    st.sampled_from([*state()])
    | st.from_regex(
        r"(enc|dec)\.(8|4|16|0|99999)x(8|4|16|0|99999)_(conv|block[0-9]|aux_residual|in0)\."
        r"(conv0\.weight|weight|qkv\.weight|bias)",
        fullmatch=True,
    )
    | st.sampled_from(["map_label.weight", "map_augment.weight", "map_noise.freqs", ""])
    | st.text()
)
TENSORS = st.builds(
    torch.zeros,
    st.lists(st.integers(0, 5), max_size=5),
    dtype=st.sampled_from([torch.float32, torch.int64, torch.bool, torch.float16, torch.complex64]),
)
OTHERS = st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@hostile(100)
@given(
    st.dictionaries(NAMES, TENSORS | OTHERS, max_size=5),
    st.sampled_from(["", "ema", "model", "state_dict", "shadow"]),
    st.sets(st.sampled_from([*state()]), max_size=3),
    st.booleans(),
)
def test_any_state(cage, changes, inside, without, zipped):
    whole = {k: v for k, v in {**state(), **changes}.items() if k not in without}
    if inside == "shadow":
        numbered = {f"all_modules.{i}.{k}": v for i, (k, v) in enumerate(changes.items())}
        whole = {"model": numbered, "ema": {"shadow_params": [*changes.values()]}}
    elif inside:
        whole = {inside: whole, "step": 3}
    suffix = "score.pt" if inside == "shadow" else ".pt"
    cage.check("convert", write(cage, saved(whole, zipped=zipped), suffix))
