"""Shares, batches, compiled and half-precision networks: who draws a sample, and by what means."""

import os
import re
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
import torch._inductor.config
from environments import ROOT
from forked import run, zoo_command
from tiny_models import images, points

import zoo
from zoo.errors import ZooError
from zoo.interfaces import Network
from zoo.models.lift import lift
from zoo.models.model import FieldModel
from zoo.sampling.predict import fixed_batch_size, in_batches

# Fixed steps, one step size for a whole group, steps per sample.
SOLVERS = {"heun": {}, "torchdiffeq-bosh3": {"rtol": 0.3, "atol": 0.3}, "dopri5": {"rtol": 0.05}}


@pytest.fixture(scope="module")
def model():
    return images()


# The numbers of the samples


@pytest.fixture(scope="module")
def whole(model):
    """Return 40 samples by the solver of a name."""
    return cache(lambda name: model.sample(40, **drawn_by(name)))


def drawn_by(name):
    return {"seed": 0, "steps": 4, "solver": zoo.solver(name, **SOLVERS[name])}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(("first", "n"), [(0, 5), (16, 16), (7, 20), (39, 1)])
def test_samples_have_numbers_of_their_own(model, whole, name, first, n):
    drawn = model.sample(n, first=first, **drawn_by(name))
    assert torch.equal(drawn, whole(name)[first : first + n])


@pytest.mark.parametrize("name", ["heun", "torchdiffeq-bosh3"])
def test_and_labels_go_with_them(name):
    model = points(labels=3)
    labels = torch.arange(48) % 3
    options = drawn_by(name)
    whole = model.sample(48, labels=labels, **options)
    for first in (16, 32):
        part = model.sample(16, labels=labels[first : first + 16], first=first, **options)
        assert torch.equal(part, whole[first : first + 16])


@pytest.mark.parametrize("first", [-1, 0.5, True, "3"])
def test_a_wrong_first_number_is_refused(model, first):
    with pytest.raises(ZooError, match=r"first = .*; expected a whole number of at least 0"):
        model.sample(1, first=first)


# Several processes


def test_processes_that_share_the_work_give_what_one_gives(tmp_path):
    """37 samples are three groups: of two processes of torchrun one draws 16, the other 21."""
    model = images()
    folder = model.save_pretrained(tmp_path / "m")
    start = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    drawn = ("-m", "zoo", "sample", str(folder), "-n", "37", "--steps", "3", "-o", "x.npz")
    done = subprocess.run(
        [*start, *drawn],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"x.npz: 37 samples of {folder}, seed 0\n"
    with np.load(tmp_path / "x.npz") as archive:
        found = torch.from_numpy(archive["samples"])
    assert torch.equal(found, zoo.load(folder).sample(37, seed=0, steps=3))


def test_a_process_without_a_share_does_no_harm_and_failures_are_told_once(tmp_path):
    folder = points().save_pretrained(tmp_path / "m")
    drawn = ("sample", folder, "-n", 5, "--steps", 2, "-o", tmp_path / "x.npz")
    done = run(zoo_command, *drawn, processes=2)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["samples"].shape == (5, 2)
    failed = run(zoo_command, "sample", "./nowhere", processes=2)
    assert failed.returncode != 0
    assert failed.stderr.count("zoo: ") == 1


# Batches that the memory does not hold


class Small(Network):
    """An accelerator whose memory holds `most` samples, as far as anybody can tell."""

    def __init__(self, most):
        super().__init__()
        self.most, self.asked = most, []

    def forward(self, x_t, t, labels=None):
        self.asked.append(len(x_t))
        if len(x_t) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x_t / 2


HALVED = {
    "and-those-after-it": (7, (3, 30, 20), 1, [20, 10, 5, 5, 5, 5, 5, 2]),
    "by-multiples-of-the-least": (40, (0, 100, 96), 16, [96, 48, 16, 16, 16, 16, 16, 16, 4]),
}


@pytest.mark.parametrize(("most", "where", "least", "sizes"), HALVED.values(), ids=HALVED)
def test_a_batch_that_does_not_fit_is_halved(most, where, least, sizes):
    first, last, size = where
    asked = []

    def draw(begin, end):
        asked.append(end - begin)
        if end - begin > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.arange(begin, end)

    rows = torch.cat(list(in_batches(draw, first, last, size, least)))
    assert torch.equal(rows, torch.arange(first, last))
    assert asked == sizes


def test_what_does_not_fit_in_the_least_batch_is_an_error():
    def draw(first, last):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(in_batches(draw, 0, 8, 8, 1))


def test_sampling_goes_on_with_smaller_batches_and_the_same_samples(monkeypatch):
    def sampled(most):
        kernel = zoo.kernel("gaussian", dim=2)
        network = Small(most)
        parts = (kernel, zoo.prior("gaussian", kernel), network, zoo.solver("heun"), (2,))
        return FieldModel(*parts).sample(40, seed=0, steps=2, batch_size=32), network

    for module in ("models.sampling", "sampling.predict"):
        monkeypatch.setattr(f"zoo.{module}.fixed_batch_size", lambda dim: 4)
    plenty, _ = sampled(40)
    scarce, network = sampled(8)
    assert torch.equal(plenty, scarce)
    assert max(network.asked) <= 4  # tiles: what failed was looked at tile by tile


# torch.compile


def counting(seen):
    """A backend of torch.compile that notes the graphs it is given and runs them as they are."""

    def backend(graph, inputs):
        seen.append(graph)
        return graph

    return backend


@pytest.mark.parametrize("under", [None, "tanh"])
def test_a_compiled_model_gives_the_same_samples(fresh_compiler, under):
    def built():
        model = points(kernel="gaussian")
        return model if under is None else lift(model, under)

    seen = []
    plain, compiled = built(), built()
    assert compiled.compile(backend=counting(seen)) is compiled
    a, b = (m.sample(20, seed=0, steps=4) for m in (plain, compiled))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    graphs = len(seen)
    assert graphs >= 1
    compiled.sample(33, seed=1, steps=5)
    assert len(seen) == graphs, "another number of samples was compiled anew"


def one_memory(graph, inputs):
    """A backend that gives every answer in the same memory, as CUDA graphs do."""
    kept = []

    def run(*given):
        answers = graph(*given)
        kept[:] = kept or [answer.clone() for answer in answers]
        return [memory.copy_(answer) for memory, answer in zip(kept, answers, strict=True)]

    return run


class Whole(Network):
    """A network that is compiled as a whole, unlike those whose backbone alone is."""

    def __init__(self):
        super().__init__()
        self.pull = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, x, t, labels=None):
        return x * self.pull / (1 + t.reshape(-1, 1))


@pytest.mark.parametrize("solver", ["heun", "exp-heun", "exp-abm4", "dopri5", "torchdiffeq-rk4"])
@pytest.mark.parametrize("under", [None, "tanh", "vp"])
def test_compiled_code_may_give_every_answer_in_the_same_memory(fresh_compiler, under, solver):
    like = points(kernel="gaussian")

    def built():
        return FieldModel(like.kernel, like.prior, Whole(), like.solver, (2,))

    plain, compiled = built(), built().compile(backend=one_memory)
    if under:
        plain, compiled = lift(plain, under), lift(compiled, under)
    # One tile, whose answer is not put together from several.
    options = {"n": fixed_batch_size(2), "seed": 0, "steps": 5, "solver": solver}
    a, b = (model.sample(**options) for model in (plain, compiled))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_code_of_the_cpus_compiler_gives_the_same_samples(fresh_compiler):
    """Half a minute and more on a busy machine: C++ is compiled; needs a compiler."""
    plain, compiled = images(), images().compile()
    a, b = (m.sample(20, seed=0, steps=4) for m in (plain, compiled))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_a_compiled_model_is_saved_as_any_other(tmp_path, fresh_compiler):
    model = points().compile(backend=counting([]))
    model.sample(2, steps=2)
    again = zoo.load(model.save_pretrained(tmp_path / "m"))
    assert torch.equal(again.sample(4, seed=0, steps=3), points().sample(4, seed=0, steps=3))


# Half precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", ["gravity", "gaussian", "flow"])
def test_half_precision_is_for_the_networks_products_alone(tmp_path, kernel, dtype):
    folder = images(kernel=kernel).save_pretrained(tmp_path / "m")
    full, half = zoo.load(folder), zoo.load(folder, dtype=dtype)
    assert half.dtype == dtype
    near = full.prior.sample(2, full.shape, torch.Generator().manual_seed(0)).sign()
    far = 1e6 * near if kernel == "gravity" else near  # float16 ends at 65,504, gravity does not
    for x in (near, far):
        expected, found = (m.field(x, m.kernel.t_max * 0.998) for m in (full, half))
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
    a, b = (m.sample(8, seed=0, steps=6) for m in (full, half))
    assert b.dtype == torch.float32
    assert (a - b).abs().mean() < 0.03


def test_a_lifted_model_in_half_precision(tmp_path):
    folder = images(kernel="gaussian").save_pretrained(tmp_path / "m")
    full, half = (zoo.load(folder, kernel="gravity", dtype=d) for d in (None, torch.float16))
    a, b = (m.sample(8, seed=0, steps=6) for m in (full, half))
    assert (a - b).abs().mean() < 0.03


def test_the_page_on_sampling_says_what_is_so():
    """Its blocks run, and what a comment says of the numbers holds."""
    text = (ROOT / "docs" / "sampling.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S))
    names = {}
    exec(compile(code, "docs/sampling.md", "exec"), names)
    assert names["images"].shape == (20, 1, 8, 8)
    assert torch.equal(names["rest"], names["images"][16:])
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
