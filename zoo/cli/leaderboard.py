"""`zoo leaderboard`: figures of models, side by side where they compare."""

from __future__ import annotations

import click
import msgspec

from zoo.cli.output import echo_json
from zoo.models.leaderboard import leaderboard


@click.command()
@click.argument("patterns", metavar="[PATTERN|FOLDER]...", nargs=-1)
@click.option("--hub", is_flag=True, help="With the models on the Hugging Face Hub.")
@click.option("--by", default="frechet", help="The figure to sort by, such as kid or recall.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(patterns: tuple[str, ...], hub: bool, by: str, as_json: bool) -> None:
    """Compare models by the distance of their samples to held-out data, with 95 % intervals.

    Figures are those in config.json, and on the Hub those in .eval_results/. A table each for the
    same data, split, features, shape, condition, number of samples and classes; nothing is
    measured here.
    """
    found = leaderboard(*patterns, hub=hub, by=by)
    for note in found.notes:
        click.echo(f"zoo: {note}", err=True)
    if as_json:
        echo_json(msgspec.to_builtins(found))
    else:
        click.echo(str(found))
