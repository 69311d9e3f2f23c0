"""Who may import whom, and what stays unimported until it is needed."""

import ast
import inspect
import json
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from fake_distributions import install_model, run_python

from zoo import hookspecs
from zoo.cli import COMMANDS
from zoo.host.hooks import HOOKS

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(p for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").is_file())
EXAMPLE = ROOT / "docs" / "example-plugin"
HEAVY = [
    *("torch", "torchvision", "timm", "diffusers", "huggingface_hub", "torchdiffeq"),
    *("safetensors", "numpy", "scipy", "sklearn", "matplotlib", "PIL"),
]


def imported_by(code: str, path: Path | None = None) -> set[str]:
    """The heavy packages that a fresh process has imported after `code`."""
    report = (
        f"import sys, json; print('\\n' + json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    done = run_python("-c", f"{code}\n{report}", path=path)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def command(*args: str) -> str:
    return (
        f"from zoo.cli import main\ntry: main({[*args]})\nexcept SystemExit as e: assert not e.code"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import zoo",
        "import zoo; assert 'gravity-wind' in zoo.list_models()",
        "import zoo; from zoo.host import hooks; [zoo.components(k) for k in hooks.KINDS]",
        "import zoo\ntry: zoo.kernel('gravty', dim=2)\nexcept zoo.ZooError: pass",
        command("--help"),
        command("--version"),
        command("list"),
        command("list", "gravity-*", "--json"),
        command("show", "gravity-wind"),
        command("plugins"),
        command("leaderboard"),
        command("components"),
        *(command(name, "--help") for name in COMMANDS),
    ],
    ids=lambda code: " ".join(code.split())[:70],
)
def test_the_torch_line(code, tmp_path):
    install_model(tmp_path, "zoo-wind", "gravity-wind")
    assert imported_by(code, tmp_path) == set()


def test_the_test_above_would_see_a_heavy_import():
    assert imported_by("import numpy") == {"numpy"}


def test_the_help_of_the_group_imports_no_command():
    code = command("--help") + "\nimport sys, json\n"
    code += "print('\\n' + json.dumps([m for m in sys.modules if m.startswith('zoo')]))"
    modules = set(json.loads(run_python("-c", code).stdout.splitlines()[-1]))
    assert "zoo.cli" in modules
    assert not modules & {f"zoo.cli.{name}" for name in COMMANDS}
    assert not any(name.startswith("zoo_") for name in modules)


def imports(file: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_the_host_imports_no_plugin():
    files = sorted((ROOT / "zoo").rglob("*.py"))
    assert files
    for file in files:
        assert not {m for m in imports(file) if m.startswith("zoo_")}, file


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_a_plugin_reaches_only_into_public_modules_of_the_host(plugin):
    for file in plugin.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zoo."):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert not [n for n in names if n.startswith("_")], file


# All that authors of components import; what else a plugin uses is not promised to stay.
CONTRACT = {"zoo", "zoo.interfaces", "zoo.networks", "zoo.numerics", "zoo.testing", "zoo.formats"}
AUTHORS = [*PLUGINS, *sorted((ROOT / "docs").glob("example-*")), ROOT / "zoo" / "scaffold"]


def from_zoo(file: Path) -> dict[str, set[str]]:
    """The modules of the host that a file imports, each with the names taken from it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "zoo":
            found.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "zoo":
                    found.setdefault(alias.name, set())
    return found


@pytest.mark.parametrize("author", AUTHORS, ids=lambda p: p.name)
def test_authors_import_what_the_contract_names_alone(author):
    files = [f for f in author.rglob("*.py") if author.name != "scaffold" or "template" in f.parts]
    assert files
    for file in files:
        for module, names in from_zoo(file).items():
            assert module in CONTRACT, file
            public = set(getattr(import_module(module), "__all__", ()))
            assert names <= public, f"{file} imports {sorted(names - public)} from {module}"


@pytest.mark.parametrize("module", ["zoo.interfaces", "zoo.networks", "zoo.numerics"])
def test_the_contract_names_what_is_there(module):
    contract = import_module(module)
    assert len(contract.__all__) == len(set(contract.__all__))
    assert [name for name in contract.__all__ if not hasattr(contract, name)] == []
    assert [name for name in contract.__all__ if name.startswith("_")] == []


def test_only_training_knows_training():
    """Sampling and evaluation stand on their own: zoo/training/ serves those that train alone."""
    users = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "zoo").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zoo.training")
    }
    others = {user for user in users if not user.startswith("zoo/training/")}
    commands = {f"zoo/cli/{name}.py" for name in ("distill", "ema", "fit", "train")}
    assert others == {*commands, "zoo/sklearn/density.py"}


def test_every_plugin_of_the_source_tree_has_its_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {value.partition(":")[0] for value in project["entry-points"]["zoo"].values()}
    assert declared == {plugin.name for plugin in PLUGINS}


def hook_functions(folder: Path) -> set[str]:
    """The functions marked @hookimpl in a package's __init__.py files."""
    return {
        node.name
        for file in folder.rglob("__init__.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == "hookimpl" for d in node.decorator_list)
    }


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_its_signature_and_exercised(hook):
    function = getattr(hookspecs, hook)
    assert inspect.getdoc(function)
    guide = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert f"`{hook}{inspect.signature(function, eval_str=False)}`".replace("'", "") in guide
    users = [p for p in (*PLUGINS, EXAMPLE) if hook in hook_functions(p)]
    assert users


def test_the_hooks_are_all_of_hookspecs():
    marked = {n for n, f in vars(hookspecs).items() if hasattr(f, "zoo_spec")}
    assert marked == set(HOOKS)
