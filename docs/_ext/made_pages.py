"""Pages that are made of what is there: the API of every public name, components, and models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import zoo
from zoo.folder.read import read_config
from zoo.host.plugins import OWN, plugins

# Module -> what its page says first.
MODULES = {
    "zoo": "What people use: `import zoo`.",
    "zoo.interfaces": "What authors of components derive from, and helpers for them.",
    "zoo.testing": "The conformance checks of `zoo check`.",
    "zoo.sklearn": "`zoo.fit` as an estimator of scikit-learn.",
}
CARDS = Path(__file__).parents[2] / "model_cards"


def _entry(module: str, name: str) -> str:
    """Return the directive that documents one public name."""
    value = getattr(import_module(module), name)
    if isclass(value):
        return f".. autoclass:: {module}.{name}\n   :members:\n   :show-inheritance:\n"
    if isroutine(value):
        return f".. autofunction:: {module}.{name}\n"
    return f".. autodata:: {module}.{name}\n   :no-value:\n"


def _rest(title: str, *parts: str) -> str:
    return f"{title}\n{'=' * len(title)}\n\n" + "\n\n".join(parts) + "\n"


def api_page(module: str) -> str:
    """Return the page of a module: what it is for, and every public name."""
    names = sorted(set(import_module(module).__all__) - {"__version__"}, key=str.lower)
    words = MODULES[module].replace("`", "``")
    return _rest(module, words, *(_entry(module, name) for name in names))


def component_page(kind: str) -> str:
    """Return the page of the zoo's own components of a kind, "kernels": a class each."""
    parts = []
    for record in plugins():
        for component in record.components.get(kind, ()) if record.distribution == OWN else ():
            module, _, name = component.target.partition(":")
            heading = f"{component.name}\n{'-' * len(component.name)}"
            options = "   :no-index:\n   :show-inheritance:\n"
            parts.append(f"{heading}\n\n.. autoclass:: {module}.{name}\n{options}")
    return _rest(kind.capitalize(), *parts)


def model_page(folder: Path) -> str:
    """Return a model's card without its front matter."""
    return (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def gallery(names: Sequence[str]) -> str:
    """Return the page of the shipped models: their pictures, kernels and first sentences."""
    rows = []
    for name in names:
        config = read_config(CARDS / name)
        picture = f"![samples](models/{name}/samples.png)" if has_picture(name) else ""
        rows.append(f"| [{name}](models/{name}/card.md) | `{config.kernel.use}` | {picture} |")
    text = "# Models\n\nWhat this distribution ships: `zoo.load(NAME)`.\n\n"
    table = "\n".join(["| model | kernel | samples |", "|---|---|---|", *rows])
    return f"{text}{table}\n\n{_contents('models/*/card')}"


def has_picture(name: str) -> bool:
    """Return whether the model ships a picture of samples."""
    return (CARDS / name / "samples.png").is_file()


def _contents(*pages: str, glob: bool = True) -> str:
    """Return a list of contents in MyST."""
    options = ":hidden:\n:glob:\n" if glob else ":maxdepth: 1\n"
    return "```{toctree}\n" + options + "\n" + "\n".join(pages) + "\n```\n"


def make(app: Sphinx) -> None:
    """Write the pages into docs/made/, which git ignores."""
    made = Path(app.srcdir) / "made"
    shutil.rmtree(made, ignore_errors=True)
    kinds = sorted({kind for record in plugins() for kind in record.components})
    pages = {module.replace(".", "-"): api_page(module) for module in MODULES}
    pages |= {kind: component_page(kind) for kind in kinds}
    made.mkdir()
    for name, text in pages.items():
        (made / f"{name}.rst").write_text(text, encoding="utf-8")
    index = "# API reference\n\n" + _contents(*pages, glob=False)
    (made / "api.md").write_text(index, encoding="utf-8")
    names = [name for name in zoo.list_models() if (CARDS / name / "README.md").is_file()]
    for name in names:
        folder = made / "models" / name
        folder.mkdir(parents=True)
        (folder / "card.md").write_text(model_page(CARDS / name), encoding="utf-8")
        if has_picture(name):
            shutil.copy(CARDS / name / "samples.png", folder)
    (made / "models.md").write_text(gallery(names), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages before Sphinx looks for sources."""
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True}
