"""Whatever the public functions are given, the answer is a result or a ZooError of one line.

`pytest --hypothesis-profile=explore` tries other values in every run.
"""

import math
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import points

import zoo
from zoo.interfaces import Flow

X = torch.tensor([[0.25, -0.5], [1.0, 0.75]])
QUICK = {"solver": "euler", "steps": 2}
# It fails as late as can be, so that nothing is trained.
RECIPE = {
    "name": "r",
    "kernel": {"use": "gaussian"},
    "network": {"use": "mlp", "width": 4, "blocks": 1},
    "train": {"images": 4, "batch": 4, "warmup": 0, "reference_batch": 4096},
}

ODD = [
    *(None, True, False, ..., object(), print, int, zoo, NotImplemented),
    *(0, 1, -1, 2, 3, 2**63, -(2**70), 10**400, 10**6000),
    *(0.0, 0.5, 1.0, -1.0, 1e-300, 1e300, math.nan, math.inf, -math.inf, 1j),
    *(Fraction(1, 2), Decimal("0.5"), np.float32(0.5), np.int64(2), np.bool_(True)),
    *("", "x", "gravity", "heun", "mlp", "float16", "cpu", "cuda", "nan", "~nobody/x", "a\0b"),
    *("a" * 10_000, "\x1b[31mred", "../..", "path:", "hub:x", b"x", bytearray(b"x")),
    *([], (), {}, set(), [1], [0.5, 0.5], [[0.5, 0.5]], [[1, 2], [3]], ["a"], [None], [[[]]]),
    *((2,), (1, 2), range(2), iter([1]), {"use": "heun"}, {"use": "edm", "rho": "x"}),
    *(np.zeros(2), np.zeros((2, 2)), np.array(["a"]), np.array([None]), np.zeros((0, 2))),
    *(np.ones((2, 2), int), np.ones((2, 2), bool), np.ones((2, 2), complex)),
    *(np.ones((2, 2), np.float16), np.ones((2, 2), np.longdouble), np.ones((2, 2), ">f8")),
    *(X, X.double(), X.half(), X.int(), X.bool(), X.to(torch.complex64), X[:0], X[0], X.T[:1]),
    *(X.to_sparse(), X.to("meta"), X / 0, torch.tensor(1.0), torch.tensor([0, 1])),
    *(X.clone().requires_grad_(), torch.tensor([0.5, 0.5]), torch.Generator(), torch.float16),
    *(torch.int8, torch.device("cpu"), torch.nn.Linear(2, 2), Path("x"), Path("/dev/null")),
    *(zoo.solver("euler"), zoo.kernel("tanh", dim=3), points("gaussian")),
]
values = st.one_of(
    st.sampled_from(ODD),
    st.integers(-5, 5),
    st.floats(),
    st.text(max_size=8),
    st.lists(
        st.one_of(st.floats(), st.integers(-2, 3), st.none(), st.text(max_size=2)), max_size=4
    ),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def methods(model):
    """The methods of models, with arguments that are right."""
    return {
        "sample": (model.sample, {"n": 2, "seed": 0, "labels": 1, "guidance": 1.0, **QUICK}),
        "sample-others": (
            model.sample,
            {"batch_size": 2, "generator": None, "prior": None, "progress": False, "first": 0},
        ),
        "trajectory": (model.trajectory, {"n": 2, "seed": 0, "keep": True, **QUICK}),
        "field": (model.field, {"x": X, "t": 1.0, "labels": 1, "guidance": 2.0}),
        "denoise": (model.denoise, {"x": X, "t": 1.0, "labels": [0, 1], "guidance": 2.0}),
        "encode": (model.encode, {"x_0": X, "labels": 0, "guidance": 2.0, **QUICK}),
        "decode": (model.decode, {"x_T": X, "labels": 0, "guidance": 2.0, **QUICK}),
        "log_prob": (
            model.log_prob,
            {"x_0": X, "exact": None, "probes": 2, "steps": 1, "seed": 0, "labels": 1},
        ),
        "log_likelihood": (
            model.log_likelihood,
            {"x_0": X, "exact": False, "probes": 2, "seed": 0, "batch_size": 2, **QUICK},
        ),
        "save": (model.save, {"folder": "m", "dtype": None}),
    }


def functions(model):
    """The functions of `zoo`, with arguments that are right."""
    kernel, parts = model.kernel, ("kernel", "prior", "network", "solver")
    return {
        "list_models": (zoo.list_models, {"pattern": "*"}),
        "components": (zoo.components, {"kind": "kernels"}),
        "kernel": (zoo.kernel, {"name": "gravity", "dim": 2, "t_min": None, "t_max": 40.0}),
        "kernel-psi": (zoo.kernel, {"name": "psi", "dim": 2, "psi": "tanh(r/t)"}),
        "kernel-flow": (zoo.kernel, {"name": "anisotropic", "dim": 2, "covariance": 1.0}),
        "kernel-vp": (zoo.kernel, {"name": "vp", "dim": 2, "schedule": "linear"}),
        "prior": (zoo.prior, {"name": "gravity", "kernel": kernel}),
        "network": (
            zoo.network,
            {"name": "mlp", "shape": (2,), "kernel": kernel, "width": 8, "labels": 0},
        ),
        "solver": (zoo.solver, {"name": "heun", "grid": "edm"}),
        "solver-exp": (zoo.solver, {"name": "exp-abm3", "grid": "focus", "scale": 0.5}),
        "solver-dopri5": (
            zoo.solver,
            {"name": "dopri5", "rtol": 1e-3, "atol": 1e-3, "max_evaluations": 9},
        ),
        "FieldModel": (
            zoo.FieldModel,
            {**{name: getattr(model, name) for name in parts}, "shape": (2,)},
        ),
        "exact": (zoo.exact, {"kernel": "gaussian", "data": X, "prior": None, "solver": None}),
        "lift": (
            zoo.lift,
            {"model": points("gaussian"), "kernel": "tanh", "prior": None, "solver": None},
        ),
        "load": (
            zoo.load,
            {
                **{"ref": "gravity-digits", "kernel": None, "solver": None, "device": None},
                **{"dtype": None, "revision": None, "token": None, "cache_dir": None},
                "local_files_only": True,
            },
        ),
        "pull": (zoo.pull, {"ref": "gravity-digits", "revision": None, "local_files_only": True}),
        "push": (zoo.push, {"model": model, "repo_id": "not a repository", "private": False}),
        "train": (
            zoo.train,
            {"recipe": RECIPE, "folder": None, "data": X, "resume": False, "device": "cpu"},
        ),
        "ema": (zoo.ema, {"run": "runs", "length": 0.05}),
        "optimise_grid": (
            zoo.optimise_grid,
            {"model": model, "solver": "heun", "steps": 2, "n": 2, "rounds": 1},
        ),
        "integrate": (
            model.solver.integrate,
            {
                "flow": Flow(kernel, lambda x, t: x / 2),
                **{"x": X.double(), "t_from": 2.0, "t_to": 1.0, "steps": 2},
            },
        ),
        "kernel.sample": (kernel.sample, {"x_0": X, "t": 1.0}),
        "kernel.velocity": (kernel.velocity, {"x_t": X, "x_0": X, "t": 1.0}),
        "kernel.log_density": (kernel.log_density, {"x_t": X, "x_0": X, "t": 1.0}),
    }


MODEL = points(labels=3)
CALLS = methods(MODEL) | functions(MODEL)


@pytest.fixture(scope="module")
def _elsewhere(tmp_path_factory):
    """Files go to an empty folder, and there is no Hub."""
    before, place = Path.cwd(), tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        os.chdir(place)
        yield
        os.chdir(before)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_is_taken_or_told(call, data):
    function, good = CALLS[call]
    names = data.draw(st.lists(st.sampled_from([*good]), min_size=1, max_size=2, unique=True))
    given = {name: data.draw(values, label=name) for name in names}
    try:
        function(**{**good, **given})
    except zoo.ZooError as error:
        text = str(error)
        assert len(text) <= 500
        assert "\n" not in text
        assert "\x1b" not in text


FLAGS = [
    (call, name)
    for call, (_, good) in CALLS.items()
    for name in good
    if name in ("progress", "keep", "exact", "private", "resume", "local_files_only")
]


GOOD_NAME = {"push": {"repo_id": "a/b"}}  # where CALLS has one that is refused


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("value", [np.zeros(2), np.zeros((0, 2)), X, NotImplemented, "no", 2])
@pytest.mark.parametrize(("call", "name"), FLAGS)
def test_what_is_neither_true_nor_false_is_told(call, name, value):
    function, good = CALLS[call]
    with pytest.raises(zoo.ZooError, match=f"{name} = .*; expected True or False"):
        function(**{**good, **GOOD_NAME.get(call, {}), name: value})


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("token", [True, 3, b"hf_secretsecretsecret", ["hf_secretsecretsecret"]])
@pytest.mark.parametrize("call", ["load", "pull", "push"])
def test_a_token_that_is_no_text_is_told_and_not_shown(call, token):
    function, good = CALLS[call]
    asked = {**good, **GOOD_NAME.get(call, {"ref": "x"}), "token": token}
    with pytest.raises(zoo.ZooError, match=r"token is a \w+; expected text") as error:
        function(**asked)
    assert "secret" not in str(error.value)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("guidance", [-(2**70), 2**64, Fraction(1, 2), np.float32(2)])
def test_guidance_may_be_any_finite_number(guidance):
    got = MODEL.field(X, 1.0, labels=1, guidance=guidance)
    assert torch.equal(got, MODEL.field(X, 1.0, labels=1, guidance=float(guidance)))


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("call", CALLS)
def test_what_is_right_is_taken(call):
    function, good = CALLS[call]
    if call in ("push", "train", "optimise_grid", "ema"):
        with pytest.raises(zoo.ZooError):
            function(**good)
    else:
        function(**good)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("call", CALLS)
def test_a_keyword_that_there_is_not_is_told(call):
    function, good = CALLS[call]
    with pytest.raises((TypeError, zoo.ZooError), match="no_such_option"):
        function(**good, no_such_option=1)
