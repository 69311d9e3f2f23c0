"""Checkpoint formats as components: who is asked, what is read, a third party's format."""

import json
import re
import shutil
from textwrap import indent

import numpy as np
import pytest
import torch
from common import one_line
from environments import ROOT
from fake_distributions import brings, install
from reference_pickles import snapshot
from safetensors.torch import save_file

import zoo
from zoo import ZooError
from zoo.cli import main
from zoo.errors import PluginError
from zoo.folder import formats as formats_of_folders
from zoo.folder.formats import UnknownFormat, read_checkpoint
from zoo.formats import read_tensors, unwrapped
from zoo.formats.files import LocalFiles
from zoo.host import build, plugins
from zoo.host.hooks import KINDS
from zoo.interfaces import Checkpoint, Config, Data, Format, Part
from zoo.models.convert import convert
from zoo.testing import CheckFailure, checks, formats

OWN = ["diffusers", "songunet"]
PAGE = ROOT / "docs" / "checkpoints.md"
TEMPLATE = ROOT / "zoo" / "scaffold" / "template" / "src" / "zoo_changeme" / "format.py"


def points(**options):
    torch.manual_seed(0)
    kernel = zoo.kernel("gaussian", dim=2)
    network = zoo.network("mlp", shape=(2,), kernel=kernel, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network.eval()


def songunet(**options):
    kernel = zoo.kernel("gaussian", dim=192)
    small = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
    return zoo.network("ddpmpp", shape=(3, 8, 8), kernel=kernel, **small, **options).eval()


# A third party's format


@pytest.fixture
def page():
    """The format on the page about checkpoints."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    return code


@pytest.fixture
def npz(site, page):
    """The plugin that brings it."""
    source = brings("zoo_formats", "npz", "zoo_npz.format:NpzFormat")
    install(site, "zoo-npz", source=source, files={"format.py": page})


def test_the_page_shows_what_new_plugin_writes(page):
    assert page == TEMPLATE.read_text().replace("Changeme", "Npz")
    assert len(page.splitlines()) <= 30
    assert max(map(len, page.splitlines())) <= 100


def test_a_third_partys_format_is_read(npz, tmp_path):
    trained = points(width=16, blocks=3)
    file = tmp_path / "weights.npz"
    np.savez(file, **{n: v.numpy() for n, v in trained.state_dict().items()})
    folder = convert(file, tmp_path / "out", license="mit")
    model = zoo.load(folder)
    x, t = torch.randn(5, 2), torch.tensor(0.7)
    assert torch.equal(model.network(x, t), trained(x, t))
    assert model.sample(3, seed=0, steps=3).shape == (3, 2)
    assert model.config.training.other["converted_from"]["file"] == "weights.npz"
    assert "license: mit\n" in (folder / "README.md").read_text()
    assert all(need.startswith("fieldzoo>=") for need in model.config.requires)


def test_a_file_that_changes_while_it_is_read_gives_no_hash(npz, tmp_path, monkeypatch):
    """The sha256 under converted_from is that of what was read."""
    file = tmp_path / "weights.npz"
    np.savez(file, **{n: v.numpy() for n, v in points(width=16, blocks=3).state_dict().items()})
    describe = formats_of_folders.describe

    def meanwhile(path):
        if path == file:
            file.write_bytes(file.read_bytes() + b" ")
        return describe(path)

    monkeypatch.setattr(formats_of_folders, "describe", meanwhile)
    with pytest.raises(ZooError, match="was changed while it was read") as caught:
        convert(file, tmp_path / "out")
    one_line(caught)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_it_refuses_what_it_cannot_read(npz, tmp_path, content):
    (tmp_path / "weights.npz").write_bytes(content)
    with pytest.raises(ZooError, match="does not hold the weights of an mlp") as caught:
        convert(tmp_path / "weights.npz", tmp_path / "out")
    one_line(caught)
    assert not (tmp_path / "out").exists()


def test_it_passes_the_checks(npz):
    found = checks("npz")
    names = ["npz-torch-line", "npz-names", "npz-format-refusals", "npz-format-inert"]
    assert [check.__name__ for check in found] == names
    for check in found:
        check()


def test_it_is_listed(npz, capsys):
    assert zoo.components("formats") == sorted([*OWN, "npz"])
    with pytest.raises(SystemExit):
        main(["components", "formats", "songunet"])
    told = capsys.readouterr().out
    assert re.search(r"^D +None$", told, re.MULTILINE)
    assert re.search(r"^side +None$", told, re.MULTILINE)
    with pytest.raises(SystemExit):
        main(["plugins", "--json"])
    brought = {p["name"]: p["components"]["formats"] for p in json.loads(capsys.readouterr().out)}
    assert brought["npz"] == ["npz"]
    assert brought["diffusers"] == ["diffusers"]
    assert brought["gravity"] == []


# Formats that are wrong on purpose


class Raising(Format):
    def read(self, files):
        raise ValueError("odd")


class Talking(Format):
    def read(self, files):
        raise ZooError("two\nlines")


class Believing(Format):
    def read(self, files):
        return Checkpoint(Config(1, Data((2,)), *[Part("x")] * 4), {})


class Trusting(Format):
    def read(self, files):
        if files.file:
            try:
                torch.load(files.path(files.file), weights_only=False)
            except Exception as error:
                raise ZooError("no") from error


class Importing(Format):
    def read(self, files):
        if "code.py" in files.names:
            exec(files.path("code.py").read_text())


class Unpickling(Format):
    def read(self, files):
        if files.file and files.file.endswith(".npz"):
            try:
                with np.load(files.path(files.file), allow_pickle=True) as arrays:
                    assert [*arrays.values()]
            except Exception as error:
                raise ZooError("no") from error


@pytest.mark.parametrize(
    ("reader", "law", "said"),
    [
        (Raising, "refusals", "an empty folder raises ValueError: odd"),
        (Talking, "refusals", "several lines"),
        (Believing, "refusals", "an empty folder is read as a model"),
        (Trusting, "inert", "runs code"),
        (Importing, "inert", "runs code"),
        (Unpickling, "inert", "runs code"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_wrong_fails_the_right_check(reader, law, said):
    with pytest.raises(CheckFailure, match=said):
        getattr(formats, law)(reader())
    other = {"refusals": "inert", "inert": "refusals"}[law]
    if law == "inert":
        getattr(formats, other)(reader())


# Which format it is

READER = """
from zoo import ZooError
from zoo.interfaces import Checkpoint, Config, Data, Format, Part

class Reader(Format):
    def __init__(self, *, size: int = 1) -> None: ...
    def read(self, files):
"""
GIVES = """
        kernel = Part("gaussian")
        config = Config(1, Data((2,)), kernel, kernel, Part("mlp"), Part("heun"))
        return Checkpoint(config, {})
"""


def bring(site, name, body):
    """Install a plugin with a format whose `read` has this body."""
    source = brings("zoo_formats", name, f"zoo_{name}.module:Reader")
    code = READER + (indent(body, " " * 8) if body is not GIVES else body)
    install(site, f"zoo-{name}", source=source, files={"module.py": code})


@pytest.fixture
def odd(tmp_path):
    (tmp_path / "weights.odd").write_bytes(b"odd")
    return tmp_path / "weights.odd"


def test_a_file_that_no_format_knows(odd):
    with pytest.raises(UnknownFormat) as caught:
        convert(odd, odd.parent / "out")
    text = one_line(caught)
    assert str(odd) in text
    assert "tried diffusers (plugin diffusers), songunet (plugin songunet)" in text
    assert "`zoo components formats`" in text


def test_a_folder_and_a_repository_that_no_format_knows(hub, odd):
    hub.store.add("ada/odd", {"weights.odd": b"odd"})
    for ref in (odd.parent, "ada/odd"):
        with pytest.raises(ZooError, match=r"no config\.json; nor is it in another") as caught:
            zoo.load(ref)
        assert "tried diffusers (plugin diffusers), songunet" in one_line(caught)
    assert hub.asked("GET", "weights.odd") == []


BROKEN = {
    "cannot be imported": ("raise SystemExit", "cannot import"),
    "raises": ("raise RuntimeError('odd')", r"RuntimeError: odd \(zoo_bad/\w+.py:\d+\)"),
    "ends the process": ("raise SystemExit(3)", "SystemExit: 3"),
    "interrupts": ("raise KeyboardInterrupt", "raised KeyboardInterrupt without a Ctrl-C"),
    "gives no checkpoint": ("return 3", "gave a int; expected a zoo.interfaces.Checkpoint"),
    "gives no config": ("return Checkpoint(3, {})", "gave a config that is none"),
    "gives what is no part": (
        "return Checkpoint(Config(1, Data((-1,)), *[Part('x')] * 4), {})",
        "gave a config that is none",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_format_stops_no_other(site, odd, how):
    body, said = BROKEN[how]
    if how == "cannot be imported":
        install(site, "zoo-bad", source=brings("zoo_formats", "bad", "zoo_bad.nothing:Reader"))
    else:
        bring(site, "bad", body)
    trained = songunet()
    file = odd.parent / "network.pkl"
    file.write_bytes(snapshot(trained.backbone))
    assert convert(file, odd.parent / "out").is_dir()
    with pytest.raises(ZooError, match=said) as caught:
        convert(odd, odd.parent / "other")
    assert "format 'bad' of plugin 'bad' (zoo-bad 1.0)" in one_line(caught)
    with pytest.raises(ZooError, match=r"no config\.json; nor is it in another format: tried bad"):
        zoo.load(odd.parent)


def test_a_plugin_that_cannot_be_imported_is_named(site, odd):
    install(site, "zoo-bad", source="1 / 0")
    with pytest.raises(ZooError, match=r"plugin bad is broken: `zoo plugins` says why"):
        convert(odd, odd.parent / "out")


def test_of_two_formats_that_know_a_file_neither_wins(site, odd):
    bring(site, "east", GIVES)
    bring(site, "west", GIVES)
    with pytest.raises(ZooError) as caught:
        convert(odd, odd.parent / "out")
    assert "east (plugin east) and west (plugin west)" in one_line(caught)
    with pytest.raises(ZooError, match=r"is missing"):  # chosen: it has no tensors
        convert(odd, odd.parent / "out", format="west")
    with pytest.raises(ZooError, match=r"no format 'wset'; did you mean 'west'"):
        convert(odd, odd.parent / "out", format="wset")


@pytest.mark.parametrize(
    ("options", "said"),
    [("", "weights: tensor '.*' is missing; there is none"), (", {'width': 'x'}", "width = 'x'")],
)
def test_what_a_format_gives_is_told_with_its_name_and_the_file(site, odd, options, said):
    bring(site, "east", GIVES.replace('"mlp"', f'"mlp"{options}'))
    by = r"as format 'east' of plugin 'east' \(zoo-east 1.0\) reads it: "
    for read, where in (
        (lambda: convert(odd, odd.parent / "out"), odd),
        (lambda: zoo.load(odd.parent), odd.parent),
    ):
        with pytest.raises(ZooError, match=f"^{where}, {by}.*{said}") as caught:
            read()
        one_line(caught)


def test_a_refusal_of_one_format_stops_no_other(site, odd):
    bring(site, "east", "raise ZooError('it is of the east')")
    with pytest.raises(ZooError, match=r"^it is of the east$"):
        read_checkpoint(LocalFiles(odd))
    bring(site, "west", GIVES)
    plugins.reset()
    assert read_checkpoint(LocalFiles(odd)).config.network == Part("mlp")


def test_two_refusals_are_both_told(site, odd):
    for name in ("east", "west"):
        bring(site, name, f"raise ZooError('it is of the {name}')")
    with pytest.raises(ZooError, match=r"^it is of the east; it is of the west$"):
        read_checkpoint(LocalFiles(odd))


def test_options_are_those_of_the_format_that_reads(site, odd):
    bring(site, "east", GIVES)
    assert read_checkpoint(LocalFiles(odd), {"size": 2})
    with pytest.raises(ZooError, match=r"format 'east' has no option 'sise'; did you mean 'size'"):
        read_checkpoint(LocalFiles(odd), {"sise": 2})


def test_a_format_that_needs_what_is_not_installed(site, odd):
    kernel = 'Part("gaussian")'
    parts = f'{kernel}, {kernel}, Part("mlp"), Part("heun"), requires=("no-such-thing>=2",)'
    body = (
        f"def read(): raise AssertionError\nreturn Checkpoint(Config(1, Data((2,)), {parts}), read)"
    )
    bring(site, "east", body)
    with pytest.raises(ZooError, match="pip install 'no-such-thing>=2'"):
        convert(odd, odd.parent / "out")


def test_a_format_is_a_kind_like_the_others(site):
    install(site, "zoo-bad", source=brings("zoo_formats", "bad", "builtins:object"))
    assert KINDS["formats"].hook == "zoo_formats"
    assert isinstance(build.format("songunet", side=32), Format)
    with pytest.raises(ZooError, match="side = 0"):
        build.format("songunet", side=0)
    with pytest.raises(PluginError, match=r"expected a zoo\.interfaces\.Format"):
        build.format("bad")


# Files


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
    for name in ("network.pkl", "state.safetensors"):
        (tmp_path / name).write_bytes(pointer)
        with pytest.raises(ZooError, match="a git LFS pointer, not the file itself") as caught:
            convert(tmp_path / name, tmp_path / "out")
        assert "`git lfs pull`" in one_line(caught)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_a_pointer_in_a_model_folder_is_named(saved_images, tmp_path, name):
    folder = shutil.copytree(saved_images, tmp_path / "model")
    (folder / name).write_bytes(POINTER)
    with pytest.raises(ZooError, match="a git LFS pointer, not the file itself") as caught:
        zoo.load(folder)
    assert name in one_line(caught)


@pytest.mark.parametrize("name", ["images.npz", "a.png", "train-images-idx3-ubyte"])
def test_a_pointer_among_data_is_named(tmp_path, name):
    from zoo.data import load

    kind = {".npz": "npz", ".png": "folder"}.get((tmp_path / name).suffix, "idx")
    (tmp_path / name).write_bytes(POINTER)
    place = tmp_path / name if kind == "npz" else tmp_path
    with pytest.raises(ZooError, match="a git LFS pointer, not the file itself"):
        load(f"{kind}:{place}")


def test_one_shard_of_several_is_named(tmp_path):
    path = tmp_path / "model-00001-of-00003.safetensors"
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(ZooError, match="is shard 1 of 3 of a network; only whole ones") as caught:
        convert(path, tmp_path / "out")
    one_line(caught)


PREFIXES = ["module.", "_orig_mod.", "module._orig_mod.model.", "model._orig_mod."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("averaged", [True, False])
@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_wrappers_are_taken_off(tmp_path, prefix, averaged, kind):
    import pickle

    trained = songunet()
    state = {prefix + name: value for name, value in trained.backbone.state_dict().items()}
    last = {name: torch.zeros_like(value) for name, value in state.items()}
    content = {"model": last, "ema": state, "step": 3} if averaged else state
    path = tmp_path / "state.pt"
    if kind == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    x, t = torch.randn(2, 3, 8, 8), torch.tensor(0.5)
    model = zoo.load(convert(path, tmp_path / "out"))
    assert torch.equal(model.network(x, t), trained(x, t))


@pytest.mark.parametrize("key", ["ema", "state_dict", "model"])
def test_the_state_is_found_where_training_scripts_keep_it(tmp_path, key):
    trained = songunet()
    state = {f"module.{n}": v for n, v in trained.backbone.state_dict().items()}
    path = tmp_path / "state.pt"
    torch.save({"step": 3, "optimizer": {"state": {0: {"step": 1}}}, key: state}, path)
    x, t = torch.randn(2, 3, 8, 8), torch.tensor(0.5)
    model = zoo.load(convert(path, tmp_path / "out"))
    assert torch.equal(model.network(x, t), trained(x, t))


def test_a_layer_that_was_compiled_alone_keeps_its_name(tmp_path):
    trained = songunet()
    state = trained.backbone.state_dict()
    first = "enc.8x8_block0."
    renamed = {n.replace(first, f"{first}_orig_mod."): v for n, v in state.items()}
    assert renamed.keys() != state.keys()
    torch.save(renamed, tmp_path / "state.pt")
    assert zoo.load(convert(tmp_path / "state.pt", tmp_path / "out"))
    assert unwrapped(renamed).keys() == state.keys()


def test_prefixes_are_taken_off_where_all_names_have_them():
    a, b = torch.zeros(1), torch.ones(1)
    assert unwrapped({"module.a": a, "module.b": b}) == {"a": a, "b": b}
    assert unwrapped({"module.a": a, "b": b}) == {"module.a": a, "b": b}
    assert unwrapped({"net.a": a}, "net.") == {"a": a}
    assert unwrapped({}) == {}


def test_tensors_alone_are_read(tmp_path):
    state = {"module.a": torch.arange(3.0)}
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.bin")
    for name in ("a.safetensors", "a.bin"):
        assert torch.equal(read_tensors(tmp_path / name)["a"], state["module.a"])


def test_files_are_those_of_the_folder_alone(tmp_path):
    folder = tmp_path / "folder"
    (folder / "unet" / "deep").mkdir(parents=True)
    for name in ("a.json", "unet/b.json", "unet/deep/c.json"):
        (folder / name).write_text("[]")
    (tmp_path / "outside.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    files = LocalFiles(folder)
    assert sorted(files.names) == ["a.json", "link.json", "unet/b.json"]
    with pytest.raises(ZooError, match="is a link out of its folder"):
        files.path("link.json")
    with pytest.raises(ZooError, match=r"has no \.\./outside\.json"):
        files.path("../outside.json")
    with pytest.raises(ZooError, match="at most 1 are read"):
        files.path("a.json", 1)
    with pytest.raises(ZooError, match=r"a\.json is no JSON object"):
        files.settings("a.json")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["-00001-of-00002.safetensors"], "has no unet/diffusion_pytorch_model.bin"),
        ([".fp16.safetensors", ".non_ema.bin"], "as the variants fp16, non_ema; choose one by"),
        ([".fp16-00001-of-00002.bin"], "has no unet/diffusion_pytorch_model.bin"),
    ],
)
def test_weights_of_diffusers_that_cannot_be_chosen_are_named(hub, names, said):
    index = {"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}
    files = {
        "model_index.json": index,
        "unet/config.json": {"_class_name": "UNet2DModel", "sample_size": 8},
        "scheduler/scheduler_config.json": {"_class_name": "DDPMScheduler"},
    }
    found = {name: json.dumps(value).encode() for name, value in files.items()}
    found |= {f"unet/diffusion_pytorch_model{name}": b"x" for name in names}
    hub.store.add("ada/parts", found)
    with pytest.raises(ZooError, match=re.escape(said)) as caught:
        zoo.load("ada/parts")
    assert one_line(caught)
    assert hub.asked("GET", "diffusion_pytorch_model") == []
