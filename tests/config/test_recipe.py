import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.config.part import Part
from zoo.config.recipe import Recipe, bundled_recipes, differences, from_dict
from zoo.errors import ZooError
from zoo.training.recipes import load_recipe, parse_recipe

MINIMAL = """
name = "small"
[data]
use = "digits"
[kernel]
use = "gravity"
[network]
use = "unet"
"""


def refused(text):
    """Return the one-line error of a recipe."""
    with pytest.raises(ZooError) as caught:
        parse_recipe(text.encode(), "x.toml")
    message = str(caught.value)
    assert message.startswith("x.toml: ")
    assert "\n" not in message
    return message


def test_a_minimal_recipe_and_its_defaults():
    recipe = parse_recipe(MINIMAL.encode(), "x.toml")
    assert recipe.prior == Part("gravity")
    assert recipe.solver == Part("heun", {"steps": 18})
    assert recipe.license is None
    assert (recipe.train.level_mean, recipe.train.level_std) == (-1.2, 1.2)


def test_options_of_parts_are_free():
    text = MINIMAL + 'width = 32\nattention = [0, 1]\n[prior]\nuse = "other"\nscale = 2.5\n'
    recipe = parse_recipe(text.encode(), "x.toml")
    assert recipe.network.options == {"width": 32, "attention": [0, 1]}
    assert recipe.prior == Part("other", {"scale": 2.5})


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_load_and_survive_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    stored = recipe.to_dict()
    assert json.loads(json.dumps(stored)) == stored
    assert from_dict(stored, "config.json") == recipe


@pytest.mark.parametrize("kernel", ["gravity", "pfgmpp", "tanh", "exp", "flow"])
def test_the_recipes_that_are_to_be_compared_differ_in_kernel_and_grid_alone(kernel):
    other, gaussian = (load_recipe(f"{k}-fashion-mnist") for k in (kernel, "gaussian"))
    for part in ("data", "network", "train", "license"):
        assert getattr(other, part) == getattr(gaussian, part)
    assert {**other.solver.options, "grid": []} == {**gaussian.solver.options, "grid": []}
    assert other.solver.use == gaussian.solver.use
    assert other.kernel != gaussian.kernel


CIFAR = ["flow-cifar10", "gaussian-cifar10", "gravity-cifar10", "pfgmpp-cifar10"]


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_recipes_have_the_settings_of_edm(name):
    """arXiv:2206.00364, table 7, and appendix F.2 for the augmentation."""
    recipe = load_recipe(name)
    plan = recipe.train
    assert (plan.images, plan.batch, plan.lr, plan.ema_halflife) == (200e6, 512, 1e-3, 500e3)
    assert (plan.warmup, plan.schedule, plan.betas) == (10e6, "constant", (0.9, 0.999))
    assert (plan.level_mean, plan.level_std, recipe.data.augment) == (-1.2, 1.2, 0.12)
    assert recipe.solver == Part("heun", {"steps": 18})  # 35 evaluations
    expected = {"width": 128, "multipliers": [2, 2, 2], "blocks": 4, "attention": [16]}
    expected |= {"augment": 9, "dropout": 0.13, "sigma_data": 0.5}
    assert recipe.network == Part("ddpmpp", expected)


def test_cifar_recipes_differ_in_the_kernel_alone():
    raw = [load_recipe(name).to_dict() for name in CIFAR]
    own = ("name", "kernel", "prior", "card")
    assert len({json.dumps({k: v for k, v in r.items() if k not in own}) for r in raw}) == 1
    assert [r["kernel"]["use"] for r in raw] == ["flow", "gaussian", "gravity", "pfgmpp"]
    assert raw[3]["kernel"]["D"] == 2048


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_recipes_build_edms_network_of_55_7_million_parameters(name):
    """55.7 M, as published; 128 x 9 of them read the augmentation labels."""
    import torch

    from zoo.host.build import kernel_of, network_of, prior_of, solver_of

    recipe = load_recipe(name)
    kernel = kernel_of(recipe.kernel, 3 * 32 * 32)
    prior_of(recipe.prior, kernel)
    solver_of(recipe.solver)
    with torch.device("meta"):
        network = network_of(recipe.network, (3, 32, 32), kernel)
    assert sum(p.numel() for p in network.parameters()) == 55_733_891


def test_the_conditional_recipe_adds_labels_and_time_to_learn_them():
    plain, conditional = (
        load_recipe("gravity-fashion-mnist"),
        load_recipe("gravity-fashion-mnist-cond"),
    )
    options = {**plain.network.options, "labels": 10}
    assert options.pop("groups") == 10  # its classes are its groups
    assert conditional.network.options == options
    own = ("images", "lr", "warmup", "ema_halflife", "level_mean")
    changed = {key: getattr(conditional.train, key) for key in own}
    assert conditional.train == msgspec.structs.replace(plain.train, **changed)
    assert conditional.train.images > plain.train.images
    assert conditional.train.label_dropout == 0.1
    for part in ("data", "kernel", "prior", "license"):
        assert getattr(plain, part) == getattr(conditional, part)


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_name_parts_that_there_are(name):
    recipe = load_recipe(name)
    assert recipe.kernel.use in zoo.components("kernels")
    assert recipe.prior.use in zoo.components("priors")
    assert recipe.network.use in zoo.components("networks")
    assert recipe.solver.use in zoo.components("solvers")


def test_a_path_and_a_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    assert load_recipe(path) == load_recipe(str(path))
    assert isinstance(load_recipe("gravity-digits"), Recipe)


def test_a_trained_models_config_holds_its_recipe():
    folder = Path(zoo.__file__).parent.parent / "model_cards" / "gravity-digits"
    recipe = load_recipe(folder / "config.json")
    assert recipe == load_recipe(str(folder / "config.json"))
    assert recipe.name == "gravity-digits"
    assert recipe.train.images == 300_000


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"training": {}}', '{"training": {"recipe": 3}}']
)
def test_a_json_file_without_a_recipe_is_one_line(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ZooError, match=r"config\.json: (not a JSON file|holds no recipe)"):
        load_recipe(path)


def test_a_path_wins_over_a_bundled_name(tmp_path, monkeypatch):
    (tmp_path / "gravity-digits.toml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load_recipe("gravity-digits.toml").name == "small"
    assert load_recipe("gravity-digits").name == "gravity-digits"


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("gravity-digit", "did you mean 'gravity-digits'"),
        ("gravity-digits.toml", "did you mean 'gravity-digits'"),
        ("./nowhere/gravity-digits.toml", "did you mean 'gravity-digits'"),
        ("zzz", "there are exp-fashion-mnist"),
        ("", "there are exp-fashion-mnist"),
    ],
)
def test_an_absent_recipe(ref, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError) as caught:
        load_recipe(ref)
    assert hint in str(caught.value)


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(ZooError, match="no such recipe file"):
        load_recipe(tmp_path)


def test_what_is_no_path_is_told():
    with pytest.raises(ZooError, match="expected a path"):
        load_recipe("~no-such-user/mine.toml")


@dataclass
class Case:
    add: str
    message: str


@pytest.mark.parametrize(
    "case",
    [
        Case("[train]\nbach = 3", "unknown key 'train.bach'; did you mean 'batch'?"),
        Case("[tran]\nbatch = 3", "unknown key 'tran'; did you mean 'train'?"),
        Case("[data2]\nx = 1", "did you mean 'data'?"),
        Case("[card]\nlr = 0.1", "unknown key 'card.lr'; it belongs to [train]"),
        Case("[train]\nlicense = 'mit'", "it belongs to the top of the file"),
        Case("[train]\nbatch = 'many'", "train.batch = 'many': expected int, got str"),
        Case("[train]\nbatch = 2.5", "train.batch = 2.5: expected int, got float"),
        Case("[train]\nbatch = true", "train.batch = True: expected int, got bool"),
        Case("[train]\nimages = -1", "train.images = -1: expected int >= 1"),
        Case("[train]\nimages = 0", "train.images = 0: expected int >= 1"),
        Case("[train]\nlr = 0.0", "train.lr = 0.0: expected float > 0"),
        Case("[train]\nlr = nan", "train.lr = nan; numbers have to be finite"),
        Case("[train]\nlr = inf", "train.lr = inf; numbers have to be finite"),
        Case("[train]\nseed = -1", "train.seed = -1"),
        Case(f"[train]\nseed = {2**63}", "train.seed is too large"),
        Case("[train]\nbetas = [0.9, 1.0]", "train.betas[1] = 1.0: expected float < 1.0"),
        Case("[train]\nbetas = [0.9]", "train.betas: expected array of length 2"),
        Case("[train]\nlabel_dropout = 1.5", "train.label_dropout = 1.5"),
        Case(
            "[train]\nprecision = 'bf61'",
            "'bf61': no such choice; did you mean 'bf16'?",
        ),
        Case("[train]\noptimizer = 'sgd'", "no such choice; there are adamw and muon"),
        Case("[train]\nlr = 1e-4\nlr_min = 1e-3", "train.lr_min = 0.001 is above"),
        Case("[train]\nimages = 100\nwarmup = 100", "train.warmup = 100 leaves nothing"),
        Case("[solver]\nsteps = 3", "solver: expected"),
        Case("[solver]\nuse = 'heun'\nsteps = 0", "solver.steps = 0; expected 1 to"),
        Case("[solver]\nuse = 'heun'\nsteps = 'x'", "solver.steps = 'x'; expected 1 to"),
        Case("[solver]\nuse = 'heun'\nsteps = 2.5", "solver.steps = 2.5; expected 1 to"),
        Case("[solver]\nuse = 'a.b:C d'", "solver: use = 'a.b:C d'"),
        Case("[solver]\nuse = 'a - at `$.b`'", "expected a component name"),
        Case('[train]\n"a\\nb" = 1', r"unknown key 'train.a\nb'"),
        Case("[solver]\nuse = 'heun'\nrtol = inf", "solver.rtol = inf"),
        Case("[prior]\nuse = 'p'\nsince = 2020-01-01", "prior.since is a date"),
        Case("[train", "not a TOML file"),
        Case("[data]\nuse = 'twice'", "not a TOML file"),
    ],
    ids=lambda case: case.add.replace("\n", " "),
)
def test_a_wrong_recipe_is_told_in_one_line(case):
    assert case.message in refused(MINIMAL + case.add + "\n")


@pytest.mark.parametrize("part", ["name", "data", "kernel", "network"])
def test_what_a_recipe_cannot_do_without(part):
    lines = [s for s in MINIMAL.splitlines() if not s.startswith("name" if part == "name" else "#")]
    text = "\n".join(lines)
    if part != "name":
        use = {"data": "digits", "kernel": "gravity", "network": "unet"}[part]
        text = text.replace(f'[{part}]\nuse = "{use}"', "")
    assert f"{part} is missing" in refused(text)


def test_a_part_is_a_table():
    assert "kernel = 'gravity': expected" in refused('kernel = "gravity"\n')
    assert "kernel: expected" in refused(MINIMAL.replace('"gravity"', "3"))
    assert "train = 3: expected a table" in refused("train = 3\n" + MINIMAL)


def test_what_two_recipes_differ_in():
    def changed(**options):
        return msgspec.structs.replace(
            before, train=msgspec.structs.replace(before.train, **options)
        )

    before = parse_recipe(MINIMAL.encode(), "x.toml")
    assert differences(before, before) == ""
    assert differences(before, changed(lr=2e-3)) == "train.lr was 0.001, is 0.002"
    assert differences(before, changed(start="a")) == "train.start was absent, is 'a'"
    many = changed(lr=2e-3, batch=8, seed=3, clip=2.0, images=10**6)
    assert differences(before, many).endswith("; and 2 more")
    wider = msgspec.structs.replace(before, network=Part("unet", {"width": 8}))
    assert differences(before, wider) == "network.width was absent, is 8"


@pytest.mark.parametrize("name", ["", "A", "a/b", "../a", "-a", r"a\n"])
def test_a_name_is_a_folder_name(name):
    assert "name" in refused(MINIMAL.replace('"small"', f'"{name}"'))


def test_bytes_that_are_no_text():
    with pytest.raises(ZooError, match="not a TOML file"):
        parse_recipe(b"\xff\xfe", "x.toml")
    with pytest.raises(ZooError, match="at most"):
        parse_recipe(b"#" * 2_000_000, "x.toml")
    with pytest.raises(ZooError, match="not a TOML file"):
        parse_recipe(b"a = " + b"[" * 100_000, "x.toml")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
paths = st.sampled_from(
    [
        "name",
        "data",
        "data.use",
        "data.size",
        "kernel",
        "kernel.use",
        "solver",
        "train",
        "train.images",
        "train.betas",
        "train.precision",
        "train.odd",
        "card",
        "card.tags",
        "odd.key",
    ]
)


@given(paths, values)
@settings(deadline=None)
def test_any_value_anywhere_is_accepted_or_told_in_one_line(path, value):
    raw = load_recipe("gravity-digits").to_dict()
    *tables, key = path.split(".")
    inner = raw
    for table in tables:
        inner = inner.setdefault(table, {})
    inner[key] = value
    try:
        recipe = from_dict(raw, "x.toml")
    except ZooError as error:
        message = str(error)
    else:
        assert from_dict(recipe.to_dict(), "x.toml") == recipe
        return
    assert message.startswith("x.toml: ")
    assert len(message.splitlines()) == 1


def test_recipes_are_read_without_torch():
    code = (
        "import sys; from zoo.training.recipes import load_recipe\n"
        "load_recipe('gravity-digits'); print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "timm"} & set(run.stdout.split())


def test_keys_that_are_no_text_circles_and_tangles_are_told():
    circle = {}
    circle["x"] = [circle]
    tangle = []
    for _ in range(19):
        tangle = [tangle, tangle]
    for odd, said in (
        ({1: 2}, "1 is no name of a key"),
        ({"train": {None: 2}}, "train: None is no name of a key"),
        ({"train": circle}, "holds more than a recipe has"),
        ({"train": {"betas": tangle}}, "holds more than a recipe has"),
    ):
        with pytest.raises(ZooError, match=said):
            from_dict({"name": "x", **odd}, "recipe")
