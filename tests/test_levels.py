"""The levels of the code: nothing imports upwards, nothing in a circle, few files stand loose.

Every import counts: those inside functions and under TYPE_CHECKING too.
"""

import ast
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLUGINS = tuple(
    sorted(p.name for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").is_file())
)
# From the lowest up. A package imports packages of lower levels and itself, no other.
# `zoo` is the face: it names what it offers and imports it when asked.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("zoo.errors", "zoo.hookspecs", "zoo.__about__"),
    ("zoo", "zoo.config", "zoo.numerics", "zoo.files"),
    ("zoo.interfaces",),
    ("zoo.formats", "zoo.host", "zoo.networks", "zoo.sampling"),
    ("zoo.folder", "zoo.posterior", "zoo.scaffold", *PLUGINS),
    ("zoo.hub",),
    ("zoo.models", "zoo.data"),
    ("zoo.training", "zoo.evaluation", "zoo.exporting", "zoo.plotting", "zoo.testing"),
    ("zoo.cli", "zoo.sklearn"),
    ("zoo.__main__",),
)
LEVEL = {package: i for i, packages in enumerate(LEVELS, 1) for package in packages}
MOST_LOOSE = 6


def module_name(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    """Every module of the host and the plugins, by name; templates are not ours."""
    found = {}
    for root, top in ((ROOT, "zoo"), (ROOT / "plugins", "")):
        for file in sorted((root / top).rglob("*.py")):
            if "template" not in file.parts:
                found[module_name(file, root)] = file
    return found


MODULES = modules()


def imported(file: Path) -> Iterator[str]:
    """The modules of ours that a file imports anywhere; a name that is a module is one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES:
                    yield inner
                elif node.module in MODULES:
                    yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.Call) and called(node) in IMPORTERS and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and name.value in MODULES:
                yield str(name.value)


IMPORTERS = {"import_module", "__import__"}


def called(call: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def package_of(module: str) -> str:
    first, *rest = module.split(".")
    return ".".join([first, *rest[:1]]) if first == "zoo" else first


def upward(arrows: Iterable[tuple[str, str]]) -> list[str]:
    """The imports that do not lead from a package to one of a lower level."""
    return [
        f"{a} (level {LEVEL[package_of(a)]}) imports {b} (level {LEVEL[package_of(b)]})"
        for a, b in sorted(set(arrows))
        if package_of(a) != package_of(b) and LEVEL[package_of(a)] <= LEVEL[package_of(b)]
    ]


ARROWS = [(name, other) for name, file in MODULES.items() for other in imported(file)]


def test_every_package_has_a_level():
    assert {package_of(name) for name in MODULES} <= LEVEL.keys()
    assert len(LEVELS) <= 10


def test_nothing_imports_upwards():
    assert not upward(ARROWS)


def test_an_upward_import_is_found_and_named(tmp_path):
    file = tmp_path / "added.py"
    file.write_text("def late():\n    from zoo.models.load import load\n    return load\n")
    arrows = [("zoo.interfaces.kernel", other) for other in imported(file)]
    expected = "zoo.interfaces.kernel (level 3) imports zoo.models.load (level 7)"
    assert upward(arrows) == [expected]


@pytest.mark.parametrize("by", ["import_module", "importlib.import_module", "__import__"])
def test_an_import_by_name_is_found_too(tmp_path, by):
    file = tmp_path / "added.py"
    file.write_text(f"def late(name):\n    {by}(name)\n    return {by}('zoo.models.load')\n")
    assert [*imported(file)] == ["zoo.models.load"]


def circle(arrows: Iterable[tuple[str, str]]) -> list[str]:
    graph: dict[str, set[str]] = {}
    for a, b in arrows:
        if a != b:
            graph.setdefault(a, set()).add(b)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle():
    assert not circle(ARROWS)


def test_a_circle_is_found_and_named():
    assert set(circle([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])) == {"a", "b", "c"}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_imports_no_other_plugin(plugin):
    others = {b for a, b in ARROWS if package_of(a) == plugin and package_of(b) in PLUGINS}
    assert {package_of(other) for other in others} <= {plugin}


def test_few_files_stand_loose():
    assert len(list((ROOT / "zoo").glob("*.py"))) <= MOST_LOOSE
