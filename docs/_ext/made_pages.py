"""Pages that are made of what is there: the API of every public name, components, and models."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path
from typing import Any

from docstrings import as_restructured_text
from sphinx.application import Sphinx

import zoo
from zoo.folder.read import read_config
from zoo.host.plugins import OWN, plugins

# Module -> what its page says first.
MODULES = {
    "zoo": "What people use: `import zoo`.",
    "zoo.interfaces": "What authors of components derive from, and helpers for them.",
    "zoo.posterior": "What can be observed of a sample: operators for `model.posterior`.",
    "zoo.networks": "For authors of networks: preconditioning, mixture skips, Gaussian denoisers.",
    "zoo.numerics": "For authors of kernels: special functions, roots, formulas, derivatives.",
    "zoo.formats": "For authors of formats: checkpoints read as data.",
    "zoo.testing": "The conformance checks of `zoo check`.",
    "zoo.sklearn": "`zoo.fit` as an estimator of scikit-learn.",
}
AUTHORS = "zoo.interfaces"  # whose names some other modules have too
CARDS = Path(__file__).parents[2] / "model_cards"


def _entry(module: str, name: str) -> str:
    """Return the directive that documents one public name."""
    value = getattr(import_module(module), name)
    if isclass(value):
        elsewhere = module != AUTHORS and getattr(import_module(AUTHORS), name, None) is value
        options = "   :no-index:\n" if elsewhere else "   :members:\n"
        return f".. autoclass:: {module}.{name}\n{options}{_options(value)}"
    if isroutine(value):
        return f".. autofunction:: {module}.{name}\n"
    said = f"\n   {comment_of(module, name)}\n"
    plain = isinstance(value, (int, float, tuple))
    return f".. py:data:: {module}.{name}\n" + (f"   :value: {value}\n" * plain) + said


def _options(value: type) -> str:
    """Return what is said of a class: bases of this package, and no fields of tuples by number."""
    ours = any(base.__module__.startswith("zoo") for base in value.__bases__)
    fields = ", ".join(getattr(value, "_fields", ()))
    return "   :show-inheritance:\n" * ours + f"   :exclude-members: {fields}\n" * bool(fields)


def comment_of(module: str, name: str) -> str:
    """Return the comment above a constant, in whichever module below this one defines it."""
    pattern = rf"^((?:# .*\n)+)(?:\w+, )*{name}(?:, \w+)* = "
    for other in sorted(sys.modules):
        if other.startswith(f"{module}."):
            file = getattr(sys.modules[other], "__file__", None) or ""
            text = Path(file).read_text(encoding="utf-8") if file.endswith(".py") else ""
            if found := re.search(pattern, text, flags=re.M):
                return as_restructured_text(found[1].replace("# ", "").replace("\n", " ").strip())
    raise LookupError(f"{module}.{name} has no comment above it")


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
            heading = f"{component.name}\n{'-' * max(3, len(component.name))}"
            value = getattr(import_module(module), name)
            if isinstance(value, partial):
                value, module, name = value.func, value.func.__module__, value.func.__name__
            how = _options(value) if isclass(value) else ""
            directive = f".. auto{'class' if isclass(value) else 'function'}:: {module}.{name}"
            parts.append(f"{heading}\n\n{directive}\n   :no-index:\n{how}")
    return _rest(kind.capitalize(), *parts)


def model_page(folder: Path) -> str:
    """Return a model's card without its front matter."""
    return (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def gallery(names: Sequence[str]) -> str:
    """Return the page of the shipped models: pictures, kernels, data, and where weights are."""
    rows = []
    for name in sorted(names, key=lambda name: not has_picture(name)):
        config = read_config(CARDS / name)
        picture = f"![samples](models/{name}/samples.png){{width=160px}}"
        data = f"{config.data.name}, {' x '.join(map(str, config.data.shape))}"
        given = "class" if config.data.labels else "condition" if config.data.condition else ""
        weights = config.weights.repo or "here"
        link = f"[{name}](models/{name}/card.md)"
        cells = picture if has_picture(name) else "", link, f"`{config.kernel.use}`", data, given
        rows.append(f"| {' | '.join([*cells, weights])} |")
    head = "| samples | model | kernel | data | given | weights |\n|---|---|---|---|---|---|"
    text = "# Models\n\n`zoo.load(NAME)` loads one. Weights not `here` are fetched."
    return "\n".join([f"{text}\n\n{head}", *rows, "", _contents("models/*/card")])


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


def copy_live(app: Sphinx, error: Exception | None) -> None:
    """Put the page of docs/live/ beside the site, as live/."""
    if error is None:
        ignored = shutil.ignore_patterns("README.md")
        live = Path(app.srcdir) / "live"
        shutil.copytree(live, Path(app.outdir) / "live", ignore=ignored, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages before Sphinx looks for sources, and add the live page when it is done."""
    app.connect("builder-inited", make)
    app.connect("build-finished", copy_live)
    return {"parallel_read_safe": True}
