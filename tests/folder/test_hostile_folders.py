"""Model folders made to do harm: samples or one line come of them, in little time and memory."""

import copy
import json
from functools import cache

import pytest
import torch
from cage import Cage, hostile
from hypothesis import given
from hypothesis import strategies as st

import zoo

MLP = {"use": "mlp", "width": 8, "blocks": 1}
UNET = {"use": "unet", "width": 8, "multipliers": [1], "blocks": 1}
SHAPES = {"mlp": (2,), "unet": (1, 4, 4)}


@pytest.fixture(scope="module")
def cage(tmp_path_factory):
    cage = Cage(tmp_path_factory.mktemp("cage"))
    for network in SHAPES:
        folder = model(cage, network)
        assert cage.check("sample", folder)["kind"] == ""
    yield cage
    cage.stop()


@cache
def _made(home, use):
    torch.manual_seed(0)
    shape = SHAPES[use]
    kernel = zoo.kernel("gravity", dim=int(torch.Size(shape).numel()))
    options = {k: v for k, v in (MLP if use == "mlp" else UNET).items() if k != "use"}
    network = zoo.network(use, shape=shape, kernel=kernel, **options)
    prior, solver = zoo.prior("gravity", kernel), zoo.solver("heun")
    made = zoo.FieldModel(
        kernel=kernel, prior=prior, network=network, solver=solver, shape=shape
    ).save_pretrained(home / f"model-{use}")
    return made, json.loads((made / "config.json").read_text())


def model(cage, use, change=lambda config: None):
    """Return a folder with a small model whose config.json is changed."""
    folder, config = _made(cage.home, use)
    config = copy.deepcopy(config)
    change(config)
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "config.json").write_text(text, errors="surrogatepass")
    return folder


def merged(config, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict) and "use" not in value:
            merged(config[key], value)
        else:
            config[key] = value


BIG = {"use": "mlp", "width": 14_000, "blocks": 1}
KNOWN = {
    "a wrong option behind a large network": {"network": {**BIG, "sigma_data": "x"}},
    "another": {"network": {**BIG, "labels": 10**9}},
    "a mixture that is none": {
        "data": {"shape": [1, 4, 4]},
        "kernel": {"use": "gravity"},
        "network": {"use": "unet", "width": 1500, "components": 1, "basis": "x"},
    },
    "as many blocks": {"network": {"use": "mlp", "width": 8, "blocks": 10**9}},
    "a large shape": {"data": {"shape": [1, 2**30, 2]}, "network": UNET},
    "a less large shape": {"data": {"shape": [1, 2**13, 2**13]}, "network": UNET},
    "a level of 1e35": {"prior": {"use": "gravity", "largest_level": 1e35}},
    "a level of 1e300": {"prior": {"use": "gravity", "largest_level": 1e300}},
    "a level of 1e-300": {"prior": {"use": "gravity", "largest_level": 1e-300}},
    "a grid's width": {"solver": {"use": "heun", "grid": {"use": "focus", "width": 2**64}}},
    "a grid's rho": {"solver": {"use": "heun", "grid": {"use": "edm", "rho": 2**64}}},
    "a grid's levels": {"solver": {"use": "heun", "grid": [2**70, 1]}},
    "flow after its end": {"kernel": {"use": "flow", "t_max": 1.7e308}, "prior": {"use": "flow"}},
    "gaussian late": {
        "kernel": {"use": "gaussian", "t_max": 1.7e308},
        "prior": {"use": "gaussian"},
    },
    "gravity late": {"kernel": {"use": "gravity", "t_max": 1e300}},
    "gravity early": {"kernel": {"use": "gravity", "t_min": 1e-300}},
    "a level of 2^64": {"prior": {"use": "gravity", "largest_level": 2**64}},
    "constants": {"kernel": {"use": "gravity", "pfgm": {"sigma": 2**64, "M": 2**70}}},
    "turns": {"kernel": {"use": "rotating", "omega": 1e300}, "prior": {"use": "rotating"}},
    "D": {"kernel": {"use": "pfgmpp", "D": 1e300}, "prior": {"use": "pfgmpp"}},
    "solver": {
        "solver": {"use": "dopri5", "rtol": 1e-300, "atol": 1e-300, "max_evaluations": 10**9}
    },
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_ones(cage, name):
    changes = KNOWN[name]
    use = "unet" if changes.get("network", MLP)["use"] == "unet" else "mlp"
    cage.check("sample", model(cage, use, lambda config: merged(config, changes)))


# Any

NAMES = {f"{kind[:-1]}": zoo.components(kind) for kind in ("kernels", "priors", "solvers")}
# These are as slow as they are asked to be accurate.
NAMES["solver"] = [n for n in NAMES["solver"] if not n.startswith(("torchdiffeq", "exp-adaptive"))]
NAMES["network"] = [name for name in zoo.components("networks") if name != "diffusers"]  # slow
TABLES = sorted([*NAMES, "data", "weights", "top"])
TIMES = ["t_min", "t_max", "D", "draw", "pfgm", "schedule", "beta_min", "beta_max", "betas"]
FORMS = ["psi", "phi", "covariance", "omega", "map", "inverse", "log_det", "steps", "alpha"]
LIMITS = ["rtol", "atol", "max_evaluations"]
SIZES = ["width", "blocks", "multipliers", "patch", "attention", "labels", "heads", "depth"]
MIXTURE = ["dropout", "sigma_data", "components", "basis", "groups", "augment", "gamma"]
OPTIONS = {
    "kernel": [*TIMES, *FORMS],
    "prior": ["largest_level"],
    "solver": ["steps", "grid", "order", "scale", "churn", "rho", *LIMITS],
    "network": [*SIZES, *MIXTURE],
}
LARGE = [1e5, 1e35, 1e300, 1.7e308, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30]
NUMBERS = st.sampled_from([0, 1, 2, 3, -1, 0.5, 1e-5, 1e-300, 5e-324, -(2**63), *LARGE])
FORMULAS = ["1/(1+i)", "t", "(r/t)**2", "x", "x + t*z", "exp(-r)"]
TEXTS = st.sampled_from(["", "edm", "log", "time", "a" * 300, "\x1b[31m", "\u202e", *FORMULAS])
KEYS = st.sampled_from(["use", "rho", "pivot", "width", "M", "x"])
VALUES = st.recursive(
    NUMBERS | TEXTS | st.none() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["use", "rho", "pivot", "width", "M", "x"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


@st.composite
def changes(draw):
    """Return the changes of a config.json: other components, options and values."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        table = draw(st.sampled_from(TABLES))
        if table in NAMES and draw(st.integers(0, 3)) == 0:
            found.append((table, "use", draw(st.sampled_from(NAMES[table]))))
        elif table in NAMES:
            found.append((table, draw(st.sampled_from(OPTIONS[table])), draw(VALUES)))
        elif table == "data":
            key = draw(st.sampled_from(["shape", "range", "labels", "name"]))
            sizes = st.lists(st.sampled_from([1, 2, 4, 16, 2**26, 2**31]), max_size=4)
            found.append((table, key, draw(sizes | VALUES)))
        elif table == "weights":
            found.append(
                (table, draw(st.sampled_from(["files", "repo", "revision"])), draw(VALUES))
            )
        else:
            key = st.sampled_from(["format", "requires", "training", "lifted_from", "solver", "x"])
            found.append((None, draw(key), draw(VALUES)))
    return found


@hostile(200)
@given(st.sampled_from(["mlp", "unet"]), changes())
def test_any_config(cage, use, found):
    def change(config):
        for table, key, value in found:
            place = config if table is None else config[table]
            if isinstance(place, dict):
                place[key] = value
            if table == "kernel" and key == "use":
                config["prior"] = {"use": value}

    cage.check("sample", model(cage, use, change))


@hostile(50)
@given(
    st.sampled_from(["mlp", "unet"]),
    st.integers(0, 10**4),
    st.binary(max_size=3),
    st.integers(0, 9),
)
def test_any_change_of_the_text(cage, use, at, new, left_out):
    folder = model(cage, use)
    raw = (folder / "config.json").read_bytes()
    at %= len(raw)
    (folder / "config.json").write_bytes(raw[:at] + new + raw[at + left_out :])
    cage.check("sample", folder)
