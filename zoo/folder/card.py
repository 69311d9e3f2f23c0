"""The model card: a README.md that the Hugging Face Hub understands, written from facts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from zoo.config.model import Config, Data, Weights
from zoo.config.part import Part
from zoo.config.recipe import CardPlan, Recipe, bundled_recipes, from_dict
from zoo.config.training import Outcome, TrainingRecord, facts
from zoo.errors import ZooError
from zoo.folder.read import PICTURE
from zoo.folder.results import model_index, table

if TYPE_CHECKING:
    from zoo.hookspecs import Component


# What lies between these is written anew whenever the model is published; the rest is prose.
FACTS = "<!-- facts: written by fieldzoo, and again at every push -->"
END = "<!-- end of facts -->"
NO_LICENCE = "license: unknown"
# How the Hub calls licences.
LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_OPTIMISERS = {"adamw": "AdamW", "muon": "Muon"}

# Text that YAML reads as the same text without quotes.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ._/-]*[A-Za-z0-9]\Z")
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null"}


def scalar(text: str) -> str:
    """Return `text` as one YAML scalar; JSON's strings are YAML's."""
    plain = _PLAIN.match(text) and text.lower() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)


def _front_matter(name: str, config: Config, recipe: Recipe | None, licence: str) -> str:
    card = recipe.card if recipe else CardPlan()
    lines = [f"license: {licence}", "library_name: fieldzoo"]
    if len(config.data.shape) == 3:
        lines.append("pipeline_tag: unconditional-image-generation")
    tags = dict.fromkeys(["field-diffusion", "ode", config.kernel.use, *card.tags])
    for key, values in (("tags", tags), ("datasets", card.datasets)):
        if values:
            lines += [f"{key}:", *(f"- {scalar(v)}" for v in values)]
    lines.append(f"model_name: {scalar(name)}")
    lines += model_index(name, config.training, next(iter(card.datasets), ""))
    return "\n".join(["---", *lines, "---"])


def _recipe(training: TrainingRecord) -> Recipe | None:
    """Return the recipe in `training`, None if there is none that this version understands."""
    found = training.recipe
    try:
        return from_dict(found, "training.recipe") if found is not None else None
    except ZooError:
        return None


def _component(kind: str, part: Part) -> Component | None:
    """Return the component's record, None where its plugin is not installed."""
    from zoo.host.registry import find

    try:
        return find(kind, part.use).component
    except ZooError:
        return None


def _part_row(label: str, kind: str, part: Part) -> str:
    known = _component(kind, part)
    options = ", ".join(f"{k} = {json.dumps(v)}" for k, v in part.options.items())
    facts = "; ".join(filter(None, [known.summary if known else "", options])) or "no options"
    return f"| {label} | `{part.use}` | {_cell(facts)} |"


def _with_steps(solver: Part) -> Part:
    """Return the solver with the number of steps that it takes unless told otherwise."""
    from zoo.config.model import DEFAULT_STEPS

    return Part(solver.use, {"steps": DEFAULT_STEPS} | solver.options)


def _formula(kernel: Part) -> list[str]:
    """Return the kernel's formula as a block, nothing where its plugin gives none."""
    known = _component("kernels", kernel)
    if known is None or not known.formula:
        return []
    return [
        "The kernel, where r = |x_t - x_0| and d is the number of coordinates:",
        "",
        f"    {known.formula}",
        "",
    ]


def _size(data: Data, parameters: int) -> str:
    """Return how large model and data are: "1,000 parameters; data of shape 1x8x8 in [-1, 1]."."""
    told = f"data of shape {'x'.join(map(str, data.shape))}"
    told += f" in [{data.range[0]:g}, {data.range[1]:g}]" if data.range else ""
    told += f", {data.labels} classes" if data.labels else ""
    told += f" ({data.name})" if data.name else ""
    return f"{parameters:,} parameters; {told}." if parameters else f"D{told[1:]}."


def _files(weights: Weights) -> list[str]:
    """Return the table of weight files, and where they are if not beside the card."""
    if not weights.files:
        return []
    at = f" at `{weights.revision}`" if weights.revision else ""
    where = [f"In `{weights.repo}`{at}:", ""] if weights.repo else []
    rows = [f"| `{n}` | {file.size:,} | `{file.sha256}` |" for n, file in weights.files.items()]
    return [*where, "| file | bytes | sha256 |", "|---|---|---|", *rows, ""]


def _cell(text: str) -> str:
    """Return `text` as one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _repeated_by(recipe: Recipe) -> str:
    if recipe.name in bundled_recipes():
        return f"Repeat it with `zoo train {recipe.name}`; the recipe is in `config.json`."
    return "The recipe is in `config.json`: `zoo train FOLDER/config.json` repeats it."


def _training(recipe: Recipe | None, outcome: Outcome | None) -> list[str]:
    lines = []
    if recipe is not None:
        plan = recipe.train
        falls = "cosine" if plan.schedule == "cosine" else "then a constant rate"
        begun = f", from the weights of `{plan.start}`" if plan.start else ""
        lines += [
            f"{plan.images:,} images of {recipe.data.use} in batches of {plan.batch}{begun}: "
            f"{_OPTIMISERS[plan.optimizer]}, learning rate {plan.lr:g} with warmup and {falls}, "
            f"gradients clipped at {plan.clip:g}, weights averaged with a half-life of "
            f"{plan.ema_halflife:,.0f} images, {plan.precision}, seed {plan.seed}.",
            "",
            _repeated_by(recipe),
            "",
        ]
    known = facts(outcome) if outcome else {}
    rows = [(k.replace("_", " "), str(v)) for k, v in known.items()]
    if rows:
        lines += ["| result | |", "|---|---|"]
        lines += [*(f"| {_cell(what)} | {_cell(value)} |" for what, value in rows), ""]
    return ["## Training", "", *lines] if lines else []


def write_card(
    name: str,
    config: Config,
    *,
    parameters: int = 0,
    picture: str = "",
    licence: str = "",
) -> str:
    """Return the card's text: front matter and, between FACTS and END, all that is known.

    Args:
        name: of the model.
        config: its config.json.
        parameters: of the network; 0 where they were not counted.
        picture: file name of a picture beside the card.
        licence: of the weights; "" for the recipe's, "unknown" (a value of the Hub's) if none.
    """
    recipe = _recipe(config.training)
    licence = licence or (recipe.license if recipe else "unknown")
    # A recipe's summary speaks of the kernel that the network was trained under.
    summary = recipe.card.summary if recipe and config.lifted_from is None else ""
    shape = "x".join(map(str, config.data.shape))
    lines = [
        _front_matter(name, config, recipe, licence),
        "",
        f"# {name}",
        "",
        summary or f"A field diffusion model of data of shape {shape}.",
        "",
        *([f"![samples]({picture})", ""] if picture else []),
        FACTS,
        "",
        *_use(name, config.data),
        *_parts(config),
        *_formula(config.kernel),
        _size(config.data, parameters),
        "",
        *_files(config.weights),
        *_training(recipe, config.training.outcome),
        *table(config.training),
        "## Licence",
        "",
        f"Weights: {licence}.",
        *([f"Data: {terms}."] if (terms := config.training.data_licence) else []),
        "",
        END,
    ]
    return "\n".join(lines) + "\n"


def with_caption(card: str, caption: str) -> str:
    """Return the card with the picture above its facts, captioned; as it is if it shows one."""
    shown = f"![{caption}]({PICTURE})"
    if f"]({PICTURE})" in card or FACTS not in card:
        return card.replace(f"![samples]({PICTURE})", shown)
    return card.replace(FACTS, f"{shown}\n\n{FACTS}", 1)


def _use(name: str, data: Data) -> list[str]:
    """Return how to draw samples, in Python and on the command line."""
    shape = ", ".join(map(str, (16, *data.shape)))
    return [
        "```python",
        "import zoo",
        "",
        f'samples = zoo.load("{name}").sample(16, seed=0)  # ({shape})',
        "```",
        "",
        f"or `zoo sample {name} -n 64 -o grid.png`.",
        "",
    ]


def _parts(config: Config) -> list[str]:
    """Return the table of the four parts, and of the kernel before a lift."""
    rows = [
        _part_row("field kernel", "kernels", config.kernel),
        *([_part_row("lifted from", "kernels", config.lifted_from)] if config.lifted_from else []),
        _part_row("prior sampler", "priors", config.prior),
        _part_row("network", "networks", config.network),
        _part_row("solver", "solvers", _with_steps(config.solver)),
    ]
    return ["| part | component | |", "|---|---|---|", *rows, ""]
