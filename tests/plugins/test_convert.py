"""zoo convert: what a file holds is kept, what it asks for is not run."""

import io
import math
import pickle
import sys

import pytest
import torch
import yaml
from click.testing import CliRunner
from common import reference_state
from reference_pickles import MODULE, SOURCE, snapshot
from safetensors.torch import save_file
from zoo_songunet.format import DESCRIBED, architecture

import zoo
from zoo import ZooError
from zoo.cli import main
from zoo.folder.formats import UnknownFormat, read_checkpoint
from zoo.formats import Inert, read_pickle
from zoo.formats.files import LocalFiles
from zoo.models.convert import convert

OPTIONS = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [4]}
SHAPE = (3, 8, 8)


def network(name="ddpmpp", kernel="gaussian", **options):
    torch.manual_seed(0)
    built = zoo.network(
        name, shape=SHAPE, kernel=zoo.kernel(kernel, dim=192), **{**OPTIONS, **options}
    )
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return built.eval()


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "network-snapshot.pkl"


def ran(folder):
    return (folder / "the-source-was-run").exists() or (folder / "ran").exists()


# What is converted


@pytest.mark.parametrize("name", ["ddpmpp", "ncsnpp"])
def test_a_snapshot_becomes_the_same_network(file, name):
    trained = network(name, augment=9)
    file.write_bytes(snapshot(trained.backbone))
    folder = convert(file, file.parent / "edm-tiny")
    model = zoo.load(folder)
    x, sigma = torch.randn(2, *SHAPE), torch.tensor([0.1, 20.0])
    assert torch.equal(model.network(x, sigma), trained(x, sigma))
    assert (model.kernel.t_min, model.kernel.t_max) == (0.002, 80.0)
    assert model.config.steps == 18
    assert model.sample(2, seed=0, steps=3).shape == (2, *SHAPE)
    assert not ran(file.parent)
    assert MODULE not in sys.modules


@pytest.mark.parametrize("how", ["attribute", "option", "argument"])
def test_pfgmpp_runs_under_its_own_kernel(file, how):
    trained = network()
    known = {"attribute": {"D": 128}, "option": {"options": {"D": 128}}}.get(how, {})
    file.write_bytes(snapshot(trained.backbone, **known))
    folder = convert(file, file.parent / "out", D=128 if how == "argument" else None)
    model = zoo.load(folder)
    assert model.config.kernel.use == "pfgmpp"
    assert model.kernel.degrees == 128
    assert model.kernel.t_max == pytest.approx(80 * math.sqrt(128))
    x, sigma = torch.randn(2, *SHAPE), torch.tensor([0.1, 20.0])
    torch.testing.assert_close(model.network(x, sigma * math.sqrt(128)), trained(x, sigma))


def test_classes_and_the_spread_of_the_data_are_kept(file):
    file.write_bytes(snapshot(network(labels=3).backbone, sigma_data=0.7))
    model = zoo.load(convert(file, file.parent / "out"))
    assert model.config.data.labels == 3
    assert model.config.network.options["sigma_data"] == 0.7
    assert model.sample(2, seed=0, steps=2, labels=1).shape == (2, *SHAPE)


def test_the_card_keeps_the_license_and_says_whose_it_is(file):
    file.write_bytes(snapshot(network().backbone))
    folder = convert(file, file.parent / "mine")
    card = (folder / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0\n" in card
    assert "For non-commercial use only" in card
    assert "network-snapshot.pkl" in card
    assert "not by fieldzoo" in card
    assert zoo.load(folder).config.training.other["converted_from"]["file"] == file.name
    assert "license: unknown\n" not in card


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "pickle"])
def test_a_state_alone_is_enough(tmp_path, kind, prefix):
    trained = network(augment=9)
    state = {prefix + name: value for name, value in trained.backbone.state_dict().items()}
    path = tmp_path / ("state.safetensors" if kind == "safetensors" else "state.pt")
    if kind == "safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(dict(state)))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    folder = convert(path, tmp_path / "out", license="mit")
    x = torch.randn(2, *SHAPE)
    t = torch.tensor(0.5)
    assert torch.equal(zoo.load(folder).network(x, t), trained(x, t))
    assert "license: mit\n" in (folder / "README.md").read_text()


def test_the_state_of_the_reference_is_read_for_what_it_is():
    """Every tensor of the full network, named and shaped as there."""
    from test_songunet import STATE

    listed = reference_state(STATE).items()
    state = {n: torch.empty(shape, device="meta") for n, shape in listed}
    part, shape = architecture(state, "file")
    assert shape == (3, 32, 32)
    assert (part.use, part.options) == (
        "ddpmpp",
        {"width": 128, "multipliers": [2, 2, 2], "blocks": 4, "attention": [16], "augment": 9},
    )
    kernel = zoo.kernel("gaussian", dim=3072)
    with torch.device("meta"):
        built = zoo.network(part.use, shape=shape, kernel=kernel, **part.options)
    built.backbone.load_state_dict(state, strict=True, assign=True)


@pytest.mark.slow
def test_the_whole_network_of_the_reference_is_converted(tmp_path):
    kernel = zoo.kernel("gaussian", dim=3072)
    trained = zoo.network("ddpmpp", shape=(3, 32, 32), kernel=kernel, augment=9)
    file = tmp_path / "edm-cifar10-32x32-uncond-vp.pkl"
    file.write_bytes(snapshot(trained.backbone))
    model = zoo.load(convert(file, tmp_path / "out"))
    assert sum(p.numel() for p in model.network.parameters()) == 55_733_891
    assert model.sample(1, seed=0, steps=2).shape == (1, 3, 32, 32)


# What is not run

HOSTILE = {
    "os": b"cos\nsystem\n(S'touch ran'\ntR.",
    "posix": b"cposix\nsystem\n(S'touch ran'\ntR.",
    "subprocess": b"csubprocess\nPopen\n((lS'touch'\naS'ran'\natR.",
    "eval": b"cbuiltins\neval\n(V__import__('pathlib').Path('ran').touch()\ntR.",
    "exec": b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x0fopen('ran', 'w')\x85R.",
    "import": b"c__builtin__\n__import__\n(S'os'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cbuiltins\nopen\nS'__call__'\ntR.",
    "torch.load": b"ctorch\nload\n(S'ran'\ntR.",
    "numpy testing": b"cnp.testing\nrundocs\n(S'ran'\ntR.",
    "runpy": b"crunpy\nrun_path\n(S'ran.py'\ntR.",
    "dotted": b"\x80\x04\x8c\x0ctorch._utils\x8c\x08sys.exit\x93)R.",
    "persistent id": b"Psomewhere\n.",
    "build": b"cos\n_wrap_close\n)\x81}(S'a'\nS'b'\nub.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_runs_nothing(file, name):
    file.write_bytes(HOSTILE[name])
    with pytest.raises(ZooError, match="nothing of it was run") as caught:
        convert(file, "out")
    assert "\n" not in str(caught.value)
    assert not ran(file.parent)
    assert not (file.parent / "out").exists()


def test_a_hostile_pickle_would_run_under_pickle(file):
    """The test above can fail: the same bytes do harm when they are unpickled."""
    pickle.loads(HOSTILE["eval"])
    assert ran(file.parent)


def test_the_references_persistence_is_data_and_its_source_is_not_run(file):
    meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": "X", "state": {}}
    call = b"\x80\x04\x8c\x17torch_utils.persistence\x8c\x1b_reconstruct_persistent_obj\x93"
    file.write_bytes(call + pickle.dumps((meta,), protocol=4)[2:-1] + b"R.")
    with file.open("rb") as opened:
        found = read_pickle(opened, file, DESCRIBED)
    assert isinstance(found, Inert)
    assert found.args == (meta,)
    assert not ran(file.parent)
    assert not {"torch_utils", MODULE} & sys.modules.keys()
    with pytest.raises(ZooError, match="no averaged network"):
        convert(file, "out")


def test_a_pickle_inside_of_a_tensor_is_not_run_either(file):
    inner = pickle.dumps(HOSTILE["os"], protocol=4)[2:-1]
    file.write_bytes(b"\x80\x04\x8c\rtorch.storage\x8c\x10_load_from_bytes\x93" + inner + b"\x85R.")
    with pytest.raises(ZooError) as caught:
        convert(file, "out")
    assert "\n" not in str(caught.value)
    assert not ran(file.parent)


class Runs:
    def __reduce__(self):
        return (eval, ("open('ran', 'w')",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_with_more_than_tensors_is_refused(file, zipped):
    path = file.with_suffix(".pth")
    torch.save({"model": Runs()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ZooError, match="tensors only") as caught:
        convert(path, "out")
    assert "\n" not in str(caught.value)
    assert "eval" in str(caught.value)
    assert not ran(file.parent)


def test_a_tensor_cannot_reach_beyond_its_numbers(file):
    small = pickle.dumps(torch.zeros(2), protocol=2)
    assert small.count(b"K\x02\x85") == 1  # the size (2,)
    file.write_bytes(small.replace(b"K\x02\x85", b"K\xff\x85"))
    with pytest.raises(ZooError, match="larger than its numbers"):
        convert(file, "out")


class Called:
    """Pickled as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_a_tensor_cannot_fill_the_memory_with_one_number(file):
    stored = io.BytesIO()
    torch.save(torch.zeros(1).storage(), stored, _use_new_zipfile_serialization=False)
    storage = Called(torch.storage._load_from_bytes, stored.getvalue())
    sizes = (2**20, 2**20), (0, 0)
    huge = Called(torch._utils._rebuild_tensor_v2, storage, 0, *sizes, False, {})
    file.write_bytes(pickle.dumps({"ema": huge}))
    with pytest.raises(ZooError, match="larger than its numbers"):
        convert(file, "out")
    layer = "enc.8x8_conv.weight"
    torch.save({layer: torch.zeros(1).expand(2**20, 2**20)}, file.with_suffix(".pt"))
    with pytest.raises(ZooError, match="does not hold every one of its numbers"):
        convert(file.with_suffix(".pt"), "out")


def test_a_pickle_that_asks_for_all_memory_is_told(file):
    file.write_bytes(pickle.dumps({"ema": Called(bytearray, 2**60)}))
    with pytest.raises(ZooError, match="asks for more memory than there is"):
        convert(file, "out")


# What is refused


def state(**changes):
    found = {**network().backbone.state_dict(), **changes}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"enc.8x8_conv.bias": torch.zeros(2)}, "not the state of a DDPM"),
        (state(**{"enc.8x8_conv.weight": None}), "not the state of a DDPM"),
        (state(**{"map_layer0.bias": "text"}), "expected tensors only"),
        (state(**{"map_layer0.bias": None}), "'backbone.map_layer0.bias' is missing"),
        (state(**{"map_layer0.bias": torch.zeros(7)}), "has shape"),
        (state(other=torch.zeros(2)), "'backbone.other' is not one of the network's"),
    ],
)
def test_what_is_not_the_state_of_such_a_network(tmp_path, content, told):
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(ZooError, match=told) as caught:
        convert(tmp_path / "state.pt", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


AVERAGES = {"shadow_params": [torch.zeros(2)], "decay": 0.9}
OTHERS = {
    "tensors": {"a.weight": torch.zeros(2)},
    "text": {"a": "text"},
    "list": [1, 2],
    "tensor": torch.zeros(2),
    "averaged": {"ema": {"a.weight": torch.zeros(2)}, "step": 3},
    "training": {"model": {"a.weight": torch.zeros(2)}, "ema": AVERAGES},
    "diffusers": {"down_blocks.0.conv1.weight": torch.zeros(2), "enc.8x8": torch.zeros(2)},
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".safetensors"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_something_else_is_left_to_other_formats(tmp_path, name, suffix):
    path, content = tmp_path / f"other{suffix}", OTHERS[name]
    if suffix == ".safetensors":
        content = {"a.weight": torch.zeros(2), "b": torch.zeros(1)}
        save_file(content, path)
    else:
        torch.save(content, path)
    told = r"in no format that is known here: tried .*songunet"
    with pytest.raises(UnknownFormat, match=told) as caught:
        convert(path, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_pickled_module_of_another_kind_is_left_to_other_formats(file):
    file.write_bytes(pickle.dumps(torch.nn.Linear(2, 3)))
    with pytest.raises(UnknownFormat):
        convert(file, "out")


def test_another_formats_refusal_stands_alone(tmp_path, monkeypatch):
    """What the one format that knows a file says of it is not joined to anything."""
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "state.pt")

    def refuse(*_):
        raise ZooError("too new")

    monkeypatch.setattr("zoo_diffusers.format.DiffusersFormat.read", refuse)
    with pytest.raises(ZooError, match=r"^too new$"):
        convert(tmp_path / "state.pt", tmp_path / "out")


def test_another_preconditioning_is_refused(file):
    file.write_bytes(snapshot(network().backbone, wrapper="VPPrecond"))
    with pytest.raises(ZooError, match="VPPrecond; only EDMPrecond"):
        convert(file, "out")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"net": 1})])
def test_what_is_no_snapshot(file, content):
    file.write_bytes(content)
    with pytest.raises(ZooError) as caught:
        convert(file, "out")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_an_impossible_d(file):
    with pytest.raises(ZooError, match="there is no file"):
        convert(file, "out")
    file.write_bytes(snapshot(network().backbone))
    for degrees in (0.5, 0, -1, math.inf, "many"):
        with pytest.raises(ZooError, match=f"D = {degrees}"):
            convert(file, "out", D=degrees)
    for side in (0, -1, 10**6, "large"):
        with pytest.raises(ZooError, match=f"side = {side}; expected a number of pixels"):
            convert(file, "out", side=side)
    for license in ("", "cc by", "mit\nlibrary_name: other", "a: b"):
        with pytest.raises(ZooError, match=r"license = .*one word"):
            convert(file, "out", license=license)
    assert [*file.parent.iterdir()] == [file]


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_a_file_that_cannot_be_read_is_told(file, suffix):
    path = file.with_suffix(suffix)
    path.symlink_to("/proc/self/mem")  # a file whose first byte is an input error
    with pytest.raises(ZooError, match=f"^cannot read {path}: Input/output error$"):
        convert(path, "out")


def test_a_name_of_any_letters_makes_a_card_that_the_hub_reads(file):
    file.write_bytes(snapshot(network().backbone))
    folder = convert(file, file.parent / 'my "own": faces')
    matter = yaml.safe_load((folder / "README.md").read_text().split("\n---\n")[0][4:])
    assert matter["model_name"] == 'my "own": faces'


def test_old_protocols_are_read_as_the_new_ones(file):
    """copyreg's way of making objects, bytes as text, sets: what protocol 2 is full of."""
    value = {"set": {1}, "bytes": b"\xff", "size": torch.Size([2]), "t": torch.ones(2)}
    for protocol in (2, 3, 4, 5):
        found = read_pickle(io.BytesIO(pickle.dumps(value, protocol=protocol)), "file")
        assert torch.equal(found.pop("t"), torch.ones(2))
        assert found == {"set": {1}, "bytes": b"\xff", "size": torch.Size([2])}
    layer = torch.nn.Linear(2, 3)
    for protocol in (0, 1, 2, 5):
        found = read_pickle(io.BytesIO(pickle.dumps(layer, protocol=protocol)), "file")
        assert (found.module, found.name) == ("torch.nn.modules.linear", "Linear")
        assert torch.equal(found.state["_parameters"]["weight"], layer.weight)


def test_shared_and_transposed_tensors_come_out_as_they_were(file):
    base = torch.arange(6.0).reshape(2, 3)
    file.write_bytes(pickle.dumps({"a": base.T, "b": base[1], "c": base.half(), "d": base[:0]}))
    with file.open("rb") as opened:
        found = read_pickle(opened, file)
    for name, tensor in {"a": base.T, "b": base[1], "c": base.half(), "d": base[:0]}.items():
        assert torch.equal(found[name], tensor)


# The command


def test_the_command(file):
    file.write_bytes(snapshot(network().backbone))
    done = CliRunner().invoke(main, ["convert", str(file), "out", "--set", "D=2048"])
    assert done.exit_code == 0, done.output
    assert done.output == "out: kernel pfgmpp, D = 2048; try `zoo sample ./out`\n"
    done = CliRunner().invoke(main, ["convert", str(file), "my faces"])
    assert done.output == "my faces: kernel gaussian; try `zoo sample './my faces'`\n"
    done = CliRunner().invoke(main, ["convert", str(file), "plain"])
    assert "kernel gaussian" in done.output


def test_the_command_says_what_is_wrong_in_one_line(file):
    file.write_bytes(HOSTILE["os"])
    done = CliRunner().invoke(main, ["convert", str(file), "out"])
    assert done.exit_code == 1
    assert "os.system" in done.output
    assert len(done.output.splitlines()) == 1


def test_contents_without_d_are_edms(file):
    file.write_bytes(snapshot(network().backbone, options={"D": 64, "pfgmpp": False}))
    assert read_checkpoint(LocalFiles(file)).config.kernel.use == "gaussian"
    file.write_bytes(snapshot(network().backbone, options={"D": 64, "pfgmpp": True}))
    assert read_checkpoint(LocalFiles(file)).config.kernel.options["D"] == 64
