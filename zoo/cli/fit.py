"""`zoo fit TABLE`: fit a model to a table in a file, write its folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from zoo.cli.options import COUNT, PATH, device_option, key_value, names, option
from zoo.cli.output import echo_json
from zoo.errors import shown


@click.command()
@click.argument("table", type=PATH)
@option("-o", "--out", type=PATH, required=True, help="Folder of the model.")
@option("--kernel", default="pfgmpp", help="Field kernel, see `zoo components kernels`.")
@option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Option of the kernel.")
@option("--labels", metavar="COLUMN", help="Column of classes, to sample with --label.")
@option(
    "--condition",
    metavar="COLUMN,...",
    callback=names,
    help="Columns that the others are drawn given; of an .npz file its array of that name.",
)
@option("--minutes", type=float, help="About so long to train.")
@option("--rows", type=COUNT, help="Rows to train on, repetitions counted, instead of --minutes.")
@option("--validation", type=float, default=0.1, help="Fraction of the rows to hold out.")
@option("--seed", type=int, default=0, help="Of the split, the weights and the noise.")
@device_option
@option("--json", "as_json", is_flag=True, help="Print what was fitted as JSON.")
def command(
    table: Path,
    out: Path,
    kernel: str,
    settings: tuple[str, ...],
    labels: str | None,
    condition: list[str],
    minutes: float | None,
    rows: int | None,
    validation: float,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Fit a model to TABLE, a .csv, .tsv, .parquet or .npz file of numbers.

    Network, noise levels and budget are chosen for the data and printed in one line. The folder
    gets card, config.json and model.safetensors: `zoo sample FOLDER -n 1000 -o out.csv` draws rows
    with the same columns.
    """
    if minutes is not None and rows is not None:
        raise click.UsageError("--minutes and --rows both say how long to train; leave one out")
    field = {"use": kernel, **dict(map(key_value, settings))}
    from zoo.folder.atomic import check_free
    from zoo.training.fit import fit

    check_free(out)
    data, classes, given = _read(table, labels, condition)
    model = fit(
        data,
        kernel=field,
        labels=classes,
        condition=given,
        minutes=minutes,
        images=rows,
        validation=validation,
        seed=seed,
        device=device,
    )
    target = model.save_pretrained(out)
    if as_json:
        echo_json(_facts(model, target))
        return
    ref = target.as_posix() if target.is_absolute() else f"./{target.as_posix()}"
    click.echo(f"{target}: try `zoo sample {shlex.quote(ref)} -n 1000 -o {_files(model)}`")


def _files(model: Any) -> str:
    """Return which file samples can be written to, and of which kind their conditions are."""
    from zoo.folder.picture import default_suffix

    rows = len(model.shape) == 1
    target = "rows.csv" if rows else f"samples{default_suffix(model.shape)}"
    if model.condition is None:
        return target
    kind = ".csv" if len(model.condition.shape) == 1 else ".npy"
    return f"{target} --condition FILE{kind}"


def _read(path: Path, labels: str | None, condition: list[str]) -> tuple[Any, Any, Any]:
    """Return the data in a file as `zoo.fit` takes them, their classes and their conditions."""
    if path.suffix != ".npz":
        from zoo.data.table import check_values
        from zoo.data.table_file import read_table, split_off

        if not condition:
            return *read_table(path, labels), None
        # Of the conditions, and of them alone, one may be constant.
        rows, classes, columns = split_off(*read_table(path, labels, constant=True), condition)
        check_values(rows, str(path))
        return rows, classes, columns
    from zoo.data.condition import of_array
    from zoo.data.npz import read_arrays
    from zoo.data.request import Request

    if labels is not None:
        raise click.UsageError("--labels names a column; an .npz file has labels as its array y")
    if len(condition) > 1:
        raise click.UsageError("--condition names one array of an .npz file")
    name = condition[0] if condition else None
    found = read_arrays(Request(str(path), str(path), "train", condition=name))
    if name is None or found.condition is None:
        return found
    count = len(found.x) if found.x.ndim else 0
    given = of_array(found.condition, count, source=name, where=f"{path}: {shown(name, 60)}")
    return found.x, found.labels, given


def _facts(model: Any, folder: Path) -> dict[str, Any]:
    from zoo.config.training import facts

    outcome = model.config.training.outcome
    return {
        "folder": str(folder),
        "columns": [column.name for column in model.data.columns],
        "shape": [*model.shape],
        "recipe": model.config.training.recipe,
        **(facts(outcome) if outcome else {}),
    }
