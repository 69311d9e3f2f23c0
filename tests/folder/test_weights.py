"""Weights: safetensors, strict names and shapes, and networks that resist the meta device."""

import threading

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import images
from torch import nn

import zoo
from zoo.errors import PluginError, ZooError
from zoo.folder.weights import network_with, save_weights, untrained_parameters
from zoo.formats.tensors import read_weights
from zoo.interfaces import Network


class Line(Network):
    """x w + b."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(3))

    def forward(self, x_t, t, labels=None):
        return x_t * self.w + self.b


class WithBuffer(Line):
    """Keeps numbers outside its state, as a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.arange(3.0) + 1, persistent=False)

    def forward(self, x_t, t, labels=None):
        return super().forward(x_t, t) * self.scale


class WithTensor(Line):
    """Keeps numbers outside its state, as a plain attribute."""

    def __init__(self):
        super().__init__()
        self.scale = torch.arange(3.0) + 1

    def forward(self, x_t, t, labels=None):
        return super().forward(x_t, t) * self.scale


class WithNumbers(Line):
    """Needs numbers while it is built; zoo.network says so with a PluginError."""

    def __init__(self):
        super().__init__()
        try:
            self.scale = torch.linspace(1, 3, 3).tolist()
        except NotImplementedError as error:
            raise PluginError("no numbers") from error

    def forward(self, x_t, t, labels=None):
        return super().forward(x_t, t) * torch.tensor(self.scale)


STATE = {"w": torch.tensor([1.0, 2.0, 3.0]), "b": torch.tensor([0.5, 0.0, -0.5])}


@pytest.mark.parametrize("kind", [Line, WithBuffer, WithTensor, WithNumbers])
def test_a_network_is_built_with_its_weights(kind):
    network = network_with(kind, STATE, "here")
    scale = torch.arange(3.0) + 1 if kind is not Line else 1.0
    x = torch.ones(2, 3)
    assert torch.equal(network(x, torch.tensor(1.0)), (x * STATE["w"] + STATE["b"]) * scale)
    assert all(p.requires_grad and p.is_leaf for p in network.parameters())


@pytest.mark.parametrize("kind", [Line, WithBuffer, WithTensor, WithNumbers])
def test_trained_numbers_are_counted_without_weights(kind, monkeypatch):
    monkeypatch.setattr("zoo.folder.weights.network_of", lambda *_: kind())
    assert untrained_parameters(images().describe(), "here") == 6


def test_nothing_is_initialised_only_to_be_overwritten():
    before = torch.random.get_rng_state()
    network = network_with(Line, STATE, "here")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert network.w.data_ptr() == STATE["w"].data_ptr()


@pytest.mark.parametrize("kind", [Line, WithNumbers])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"w": None, "W": STATE["w"]},
            "here: tensor 'w' is missing; did you mean 'W'|there are W and b",
        ),
        ({"b": torch.zeros(4)}, r"tensor 'b' has shape \(4,\), the network needs \(3,\)"),
        ({"b": torch.zeros(3, 1)}, r"tensor 'b' has shape \(3, 1\)"),
        ({"c": torch.zeros(3)}, "tensor 'c' is not one of the network's"),
        ({"w": torch.zeros(3, dtype=torch.int32)}, "tensor 'w' is torch.int32, the network needs"),
    ],
)
def test_names_shapes_and_kinds_have_to_match(kind, change, message):
    tensors = {k: v for k, v in (STATE | change).items() if v is not None}
    with pytest.raises(ZooError, match=message):
        network_with(kind, tensors, "here")


class Large(Line):
    """Has far more numbers than its weights; `late` fails behind them, as a wrong option does."""

    built = 0

    def __init__(self, how, late):
        super().__init__()
        Large.built += 1
        if how == "parameter":
            self.more = nn.Parameter(torch.empty(2**24))
        else:
            self.register_buffer("more", torch.empty(2**24), persistent=False)
        if late:
            raise PluginError("a wrong option")


@pytest.mark.parametrize("how", ["parameter", "buffer"])
@pytest.mark.parametrize("late", [True, False])
def test_a_network_grows_no_larger_than_its_weights(how, late):
    Large.built = 0
    with pytest.raises(ZooError, match=r"^here: the network is far larger than its weights$"):
        network_with(lambda: Large(how, late), STATE, "here")
    assert Large.built == 1  # on the meta device, where it costs nothing


def test_a_failure_that_is_not_metas_is_told():
    def build():
        raise PluginError("no such luck")

    with pytest.raises(PluginError, match="no such luck"):
        network_with(build, STATE, "here")


def test_what_is_saved_is_read(tmp_path):
    network = Line()
    save_weights(tmp_path / "a.safetensors", network.state_dict())
    read = read_weights([tmp_path / "a.safetensors"])
    assert read.keys() == network.state_dict().keys()
    assert all(torch.equal(read[k], v) for k, v in network.state_dict().items())


def test_half_precision_is_for_numbers_with_a_fraction_only(tmp_path):
    network = Line()
    network.register_buffer("count", torch.tensor([2**40]))
    save_weights(tmp_path / "a.safetensors", network.state_dict(), torch.float16)
    read = load_file(tmp_path / "a.safetensors")
    assert (read["w"].dtype, read["count"].dtype) == (torch.float16, torch.int64)
    assert read["count"].item() == 2**40


def test_what_half_precision_cannot_hold_keeps_its_own(tmp_path):
    """65,504 is the largest number of float16; a mean of data far from 0 may be larger."""
    network = Line()
    torch.nn.init.constant_(network.b, 1e5)
    save_weights(tmp_path / "a.safetensors", network.state_dict(), torch.float16)
    found = load_file(tmp_path / "a.safetensors")
    assert (found["w"].dtype, found["b"].dtype) == (torch.float16, torch.float32)
    again = network_with(Line, read_weights([tmp_path / "a.safetensors"]), "a")
    assert torch.equal(again.b, network.b)
    torch.nn.init.constant_(network.b, torch.inf)  # no larger type would help
    save_weights(tmp_path / "a.safetensors", network.state_dict(), torch.float16)
    assert load_file(tmp_path / "a.safetensors")["b"].dtype == torch.float16


def test_tensors_that_share_numbers_are_saved_each(tmp_path):
    network = Line()
    network.b = network.w
    save_weights(tmp_path / "a.safetensors", network.state_dict())
    assert torch.equal(load_file(tmp_path / "a.safetensors")["b"], network.w)


def test_several_files_are_one_state_and_may_not_overlap(tmp_path):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    save_file({"w": STATE["w"]}, first)
    save_file({"b": STATE["b"]}, second)
    assert read_weights([first, second]).keys() == STATE.keys()
    save_file(STATE, second)
    with pytest.raises(ZooError, match=r"2\.safetensors repeats the tensor 'w'"):
        read_weights([first, second])


@pytest.mark.parametrize("raw", [b"", b"\x80\x04pickle", b"\xff" * 64, b"\2\0\0\0\0\0\0\0{}xx"])
def test_what_is_no_safetensors_file_is_refused(tmp_path, raw):
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw)
    with pytest.raises(ZooError, match=r"a\.safetensors is not a readable safetensors") as error:
        read_weights([path])
    assert len(str(error.value).splitlines()) == 1


def test_networks_built_in_another_thread_do_not_count(tmp_path):
    folder = images().save_pretrained(tmp_path / "m")
    stop, failures = threading.Event(), []

    def build_others():
        while not stop.is_set():
            torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(500))

    other = threading.Thread(target=build_others)
    other.start()
    try:
        for _ in range(10):
            try:
                zoo.load(folder)
            except ZooError as error:
                failures.append(str(error))
    finally:
        stop.set()
        other.join()
    assert failures == []
