"""The model card: a README.md that the Hugging Face Hub understands, written from facts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from zoo.config.condition import Condition
from zoo.config.distilled import Distilled
from zoo.config.model import Config, Data, Weights
from zoo.config.part import Part
from zoo.config.recipe import ARRAY, CardPlan, Recipe, TrainPlan, bundled_recipe, from_dict
from zoo.config.standardise import Standardise
from zoo.config.training import TrainingOutcome, TrainingRecord, facts
from zoo.errors import ZooError
from zoo.folder.results import TASK, eval_results, table
from zoo.hookspecs import Component
from zoo.host.registry import find

# What lies between these is written anew whenever the model is published; the rest is prose.
FACTS = "<!-- facts: written by fieldzoo, and again at every push -->"
END = "<!-- end of facts -->"
# How the Hub calls licenses.
LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# The Hub's value for a license that nobody stated.
UNKNOWN = "unknown"
_NOT_STATED = "Weights: not stated. Ask whoever published them before you use them."
_NON_COMMERCIAL = (
    "For non-commercial use only; the authors' own terms apply. fieldzoo ships no such weights."
)
# Columns that are listed.
_MOST_ROWS = 100
_OPTIMISERS = {"adamw": "AdamW", "muon": "Muon"}

_USE = """```python
import zoo

samples = zoo.load("{name}").sample(16, seed=0{given})  # ({shape})
```

or `zoo sample {name} -n 64 -o {file}{option}`."""
_EXPORT = (
    "`zoo export {} {}` writes it as a graph for ONNX Runtime or torch, with code that runs it."
)
# The order of the front matter; results come last.
_ORDER = ["license", "library_name", "pipeline_tag", "tags", "base_model", "datasets", "model_name"]


def _front_matter(name: str, config: Config, recipe: Recipe | None, license: str) -> str:
    from huggingface_hub import ModelCardData  # slow to import, and reading a card needs none

    card, student = _described(recipe), config.distilled
    base = student.teacher if student and _HUB_ID.fullmatch(student.teacher) else None
    distillation = ["distillation"] if student else []
    dataset = next(iter(card.datasets), "")
    data = ModelCardData(
        license=license,
        library_name="fieldzoo",
        pipeline_tag=TASK if len(config.data.shape) == 3 else None,
        tags=["field-diffusion", "ode", config.kernel.use, *distillation, *card.tags],
        base_model=base,
        datasets=[*card.datasets] or None,
        model_name=name,
        eval_results=eval_results(config.training, dataset) or None,
    )
    return f"---\n{data.to_yaml(original_order=_ORDER)}\n---"


def _recipe(training: TrainingRecord) -> Recipe | None:
    """Return the recipe in `training`, None if there is none that this version understands."""
    found = training.recipe
    try:
        return from_dict(found, "training.recipe") if found is not None else None
    except ZooError:
        return None


def _own_data(recipe: Recipe) -> bool:
    """Return whether anyone has the data, and a bundled recipe's name stands for its own data."""
    bundled = bundled_recipe(recipe.name)
    return recipe.data.use != ARRAY and (bundled is None or bundled.data.use == recipe.data.use)


def _described(recipe: Recipe | None) -> CardPlan:
    """Return what the recipe says for the card, nothing where it speaks of other data."""
    return recipe.card if recipe and _own_data(recipe) else CardPlan()


def write_card(
    name: str, config: Config, *, parameters: int = 0, picture: str = "", license: str = ""
) -> str:
    """Return the card's text: front matter and, between FACTS and END, the facts of `config`.

    Its commands are right for a model of the zoo; others are `loaded_as` something else.

    Args:
        name: of the model.
        config: its config.json.
        parameters: of the network; 0 where they were not counted.
        picture: file name of a picture in the card's folder.
        license: of the weights; "" for the recipe's, UNKNOWN if none.
    """
    recipe = _recipe(config.training)
    student = config.distilled
    license = license or (student and student.license) or (recipe and recipe.license) or UNKNOWN
    # A recipe's summary speaks of the kernel that the network was trained under.
    own = config.lifted_from is None and student is None
    summary = _described(recipe).summary if own else ""
    kind = "few-step" if student else "field diffusion"
    source = f", distilled from {student.teacher}" if student and student.teacher else ""
    shape = "x".join(map(str, config.data.shape))
    terms = config.training.data_license
    rights = [
        _NOT_STATED if license == UNKNOWN else f"Weights: {license}.",
        _NON_COMMERCIAL if "-nc" in license else "",
        f"Data: {terms}." if terms else "",
    ]
    paragraphs = [
        _front_matter(name, config, recipe, license),
        f"# {name}",
        summary or f"A {kind} model of data of shape {shape}{_cell(source)}.",
        f"![samples]({picture})" if picture else "",
        FACTS,
        _use(name, config),
        _parts(config),
        _formula(config.data, config.kernel),
        _size(config.data, parameters),
        _columns(config.data),
        _files(config.weights),
        *_distilled(student, config.data.unit),
        *_training(recipe, config.training.outcome, config.data.unit, student is not None),
        _origin(config.training.other.get("converted_from")),
        "\n".join(table(config.training)).rstrip("\n"),
        "## License",
        "\n".join(filter(None, rights)),
        END,
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _use(name: str, config: Config) -> str:
    """Return code and commands that draw samples, and that export what can be."""
    data, student = config.data, config.distilled
    drawn = _USE.format(
        name=name,
        shape=", ".join(map(str, (16, *data.shape))),
        file="rows.csv" if data.columns else "grid.png",
        given=", condition=c" if data.condition else "",
        option=" --condition c.npy" if data.condition else "",
    )
    if data.latent is not None:
        return drawn
    return f"{drawn}\n{_EXPORT.format(name, 'OUT --what sampler' if student else 'OUT')}"


def _cell(text: str) -> str:
    """Return `text` as one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table of cells under a line of titles such as "| file | bytes |"."""
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *(f"| {' | '.join(row)} |" for row in rows)])


def _component(kind: str, part: Part) -> Component | None:
    """Return the component's record, None where its plugin is not installed."""
    try:
        return find(kind, part.use).component
    except ZooError:
        return None


def _parts(config: Config) -> str:
    """Return the table of the four parts, and of the kernel before a lift."""
    solver = Part(config.solver.use, {"steps": config.steps, **config.solver.options})
    parts = [
        ("field kernel", "kernels", config.kernel),
        ("lifted from", "kernels", config.lifted_from),
        ("prior sampler", "priors", config.prior),
        ("network", "networks", config.network),
        ("solver", "solvers", solver),
    ]
    rows = []
    for label, kind, part in parts:
        if part is not None:
            known = _component(kind, part)
            options = ", ".join(f"{k} = {json.dumps(v)}" for k, v in part.options.items())
            said = "; ".join(filter(None, [known.summary if known else "", options]))
            rows.append((label, f"`{part.use}`", _cell(said or "no options")))
    return _table("| part | component | |", rows)


def _formula(data: Data, kernel: Part) -> str:
    """Return the kernel's formula as a block, nothing where its plugin gives none."""
    known = _component("kernels", kernel)
    if known is None or not known.formula:
        return ""
    known_as = "coordinates of the latents" if data.latent else "coordinates"
    where = f"The kernel, where r = |x_t - x_0| and d is the number of {known_as}:"
    return f"{where}\n\n    {known.formula}"


def _size(data: Data, parameters: int) -> str:
    """Return how large model and data are: "1,000 parameters; data of shape 1x8x8 in [-1, 1]."."""
    text = f"{parameters:,} parameters; data" if parameters else "Data"
    text += f" of shape {'x'.join(map(str, data.shape))}"
    text += f" in [{data.range[0]:g}, {data.range[1]:g}]" if data.range else ""
    text += f", decoded from {data.latent}" if data.latent else ""
    text += f", given {data.condition}" if data.condition else ""
    text += f", {data.labels} classes" if data.labels else ""
    text += f" ({_cell(', '.join(data.classes))})" if data.classes else ""
    text += f" ({data.name})" if data.name else ""
    known = f" {standardised(data.standardise)}." if data.standardise else ""
    return f"{text}.{known}{_condition(data.condition)}"


def _condition(condition: Condition | None) -> str:
    """Return what conditions are made of and how the network sees them."""
    if condition is None:
        return ""
    made = f" Conditions: `{_cell(condition.source)}`." if ":" in condition.source else ""
    return made + (
        f" {standardised(condition.standardise, 'Conditions standardised')}."
        if condition.standardise
        else ""
    )


def _columns(data: Data) -> str:
    """Return the table of the columns with their types and, where known, means and scales."""
    if not data.columns:
        return ""
    known = data.standardise
    rows = []
    for i, column in enumerate(data.columns[:_MOST_ROWS]):
        name = _cell(str(column.name)).replace("`", "'") or " "
        facts = ("", "") if known is None else (f"{known.mean[i]:.6g}", f"{known.scale[i]:.4g}")
        rows.append((f"`{name}`", column.dtype, *facts))
    left = len(data.columns) - len(rows)
    more = f"\n\nAnd {left:,} more columns, in `config.json`." if left else ""
    return _table("| column | type | mean | scale |", rows) + more


def standardised(known: Standardise, what: str = "Standardised") -> str:
    """Return the map of standardised data in words."""
    mean, scale = (_ends(values) for values in (known.mean, known.scale))
    return f"{what} for the network: x = mean + scale z, mean {mean}, scale {scale}"


def _ends(values: Sequence[float]) -> str:
    """Return few numbers, or the range of many."""
    if len(values) > 4:
        return f"{min(values):.4g} to {max(values):.4g}"
    return ", ".join(f"{value:.4g}" for value in values)


def _files(weights: Weights) -> str:
    """Return the table of weight files, and their repository if it is another one."""
    if not weights.files:
        return ""
    at = f" at `{weights.revision}`" if weights.revision else ""
    where = f"In `{weights.repo}`{at}:\n\n" if weights.repo else ""
    rows = [(f"`{n}`", f"{file.size:,}", f"`{file.sha256}`") for n, file in weights.files.items()]
    return where + _table("| file | bytes | sha256 |", rows)


def _distilled(student: Distilled | None, unit: str) -> list[str]:
    """Return what a student is, and how it was made."""
    if student is None:
        return []
    count = student.evaluations
    guided = "" if student.guidance is None else f", with guidance {student.guidance:g}"
    guided += f" by {student.guide}" if student.guide else ""
    told = [
        "It maps noise to data and has no field: no other steps or solver, no `encode`, no "
        "`decode`, no likelihood, no posterior.",
        f"Made by `zoo distill --evaluations {count}`: begun with the weights of its teacher and "
        f"trained on {student.trained:,} starts of {student.trajectories:,} trajectories of it by "
        f"`exp-abm3`, {student.teacher_evaluations} evaluations each{guided}, seed {student.seed}. "
        "It has the faults of its teacher.",
    ]
    sure = "" if student.standard_error is None else f" ± {student.standard_error:.1g}"
    if student.error is not None and student.error_before is not None:
        told.append(
            f"From held-out starts its {unit} are {student.error:.3g} from its teacher's{sure} "
            "(root mean square per coordinate, as the network knows them); by the steps that "
            f"training began with, those of the teacher's network are {student.error_before:.3g}."
        )
    title = str(student)
    return [f"## {title[0].upper()}{title[1:]}", *told]


def _training(
    recipe: Recipe | None, outcome: TrainingOutcome | None, unit: str, of_teacher: bool = False
) -> list[str]:
    found = []
    if recipe is not None:
        plan = recipe.train
        falls = "cosine" if plan.schedule == "cosine" else "then a constant rate"
        begun = f", from the weights of `{plan.start}`" if plan.start else ""
        found = [
            f"{plan.images:,} {unit} of {recipe.data.use} in batches of {plan.batch}{begun}: "
            f"{_OPTIMISERS[plan.optimizer]}, learning rate {plan.lr:g} with warmup and {falls}, "
            f"gradients clipped at {plan.clip:g}, weights averaged "
            f"{_averaged(plan, outcome, unit)}, {plan.precision}, seed {plan.seed}.",
            *([] if of_teacher else [_repeat(recipe)]),
        ]
    if known := facts(outcome) if outcome else {}:
        rows = [
            (_cell(k.replace("images", unit).replace("_", " ")), _cell(str(v)))
            for k, v in known.items()
        ]
        found.append(_table("| result | |", rows))
    title = "## Training of its teacher" if of_teacher else "## Training"
    return [title, *found] if found else []


def _averaged(plan: TrainPlan, outcome: TrainingOutcome | None, unit: str) -> str:
    if outcome is not None and outcome.ema_length is not None:
        return f"over a relative length of {outcome.ema_length:g} (`zoo ema`)"
    return f"with a half-life of {plan.ema_halflife:,.0f} {unit}"


def _repeat(recipe: Recipe) -> str:
    """Return which command repeats the training, where one does."""
    if recipe == bundled_recipe(recipe.name):
        return f"Repeat it with `zoo train {recipe.name}`; the recipe is in `config.json`."
    if _own_data(recipe):
        return "The recipe is in `config.json`: `zoo train FOLDER/config.json` repeats it."
    return "The recipe is in `config.json`."


def _origin(source: object) -> str:
    """Return whose weights were converted, nothing where they are the zoo's own."""
    if not isinstance(source, dict):
        return ""
    return (
        f"Converted from `{_cell(str(source.get('file')))}` by `zoo convert`: the network and its "
        "weights were trained by the authors of that file and not by fieldzoo."
    )
