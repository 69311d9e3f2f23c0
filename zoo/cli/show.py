"""`zoo show`: config.json and the card of one model."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from zoo.cli.output import echo_json, megabytes
from zoo.config.condition import Condition
from zoo.config.model import Config, dump_config
from zoo.config.part import Part
from zoo.errors import ZooError
from zoo.files import real_path
from zoo.folder.card import standardised
from zoo.folder.card_edit import loaded_as
from zoo.folder.read import is_own, read_card, read_config
from zoo.folder.run import refuse_run
from zoo.host.requirements import missing_requirements
from zoo.models.names import ModelEntry, find_model, folder_hint, parse_ref


def _entry(ref: str) -> ModelEntry:
    parsed = parse_ref(ref)
    if isinstance(parsed, str):
        return find_model(parsed)
    if isinstance(parsed, Path):
        folder = real_path(parsed)
        if folder.is_dir() and not is_own(folder):
            refuse_run(parsed, ref)
            raise ZooError(
                f"{ref} is not a model folder of the zoo; if it is in a format that is known here, "
                f"`zoo pull {shlex.quote(ref)}` prints the one that is made of it"
            )
        config = read_config(folder)
        return ModelEntry(folder.name, folder, ref, config, needs=missing_requirements(config))
    raise ZooError(
        f"{ref!r} is of the Hub{folder_hint(ref)}; show takes a name of `zoo list` or a folder, "
        f"such as `zoo pull {shlex.quote(ref)}` prints"
    )


def _part(part: Part) -> str:
    written = part.encode().items()
    options = " ".join(f"{key}={json.dumps(value)}" for key, value in written if key != "use")
    return f"{part.use}  {options}".rstrip()


def _weights(config: Config) -> str:
    files = [f"{name} {megabytes(file.size)}" for name, file in config.weights.files.items()]
    place = "@".join(filter(None, [config.weights.repo, config.weights.revision]))
    return ", ".join([*files, *([f"at {place}"] if place else [])]) or "none"


def _guidance(config: Config) -> str:
    known = config.guidance
    if known is None:
        return ""
    at = "" if known.interval is None else " at levels {:g} to {:g}".format(*known.interval)
    return f"{known.weight:g} by {known.guide}{at}"


def _student(config: Config) -> str:
    known = config.distilled
    return "" if known is None else f"{known}; it has no field: no encode, no likelihood"


def _without_front_matter(card: str) -> str:
    """Return the card without the YAML between its first two lines of `---`."""
    if not card.startswith("---\n"):
        return card
    return card.partition("\n---\n")[2].lstrip("\n")


def _rows(entry: ModelEntry, config: Config) -> list[tuple[str, str]]:
    data = config.data
    span = f" in [{data.range[0]:g}, {data.range[1]:g}]" if data.range else ""
    labels = f", {data.labels} labels" if data.labels else ""
    return [
        ("name", entry.name),
        ("source", entry.source),
        ("folder", str(entry.folder)),
        ("data", f"{data.name} {data.shape}{span}{labels}".strip()),
        ("decoded from", str(data.latent or "")),
        ("classes", ", ".join(f"{number} {name}" for number, name in enumerate(data.classes))),
        ("", standardised(data.standardise) if data.standardise else ""),
        *_condition(data.condition),
        ("kernel", _part(config.kernel)),
        ("lifted from", _part(config.lifted_from) if config.lifted_from else ""),
        ("prior", _part(config.prior)),
        ("network", _part(config.network)),
        ("solver", _part(config.solver)),
        ("guidance", _guidance(config)),
        ("student", _student(config)),
        ("weights", _weights(config)),
        ("requires", ", ".join(config.requires)),
        ("needs", ", ".join(entry.needs) and "pip install " + " ".join(map(repr, entry.needs))),
        *_training(config),
    ]


def _condition(known: Condition | None) -> list[tuple[str, str]]:
    if known is None:
        return []
    source = f", {known.source}" if known.source else ""
    scaled = standardised(known.standardise) if known.standardise else ""
    return [("condition", f"{known}{source}"), ("", scaled)]


def _training(config: Config) -> list[tuple[str, str]]:
    """Return the facts of one number or word; recipe, outcome and figures are in the card."""
    known = config.training.encode()
    plain = {k: v for k, v in known.items() if not isinstance(v, dict | list)}
    return [(f"training.{key}", json.dumps(value)) for key, value in plain.items()]


@click.command()
@click.argument("ref", metavar="NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(ref: str, as_json: bool) -> None:
    """Show the parts, the weights, the training and the card of the model NAME (or ./folder)."""
    entry = _entry(ref)
    if entry.config is None:
        raise ZooError(f"model {entry.name!r}: {entry.error}")
    card = read_card(entry.folder)
    if as_json:
        echo_json(
            {
                "name": entry.name,
                "source": entry.source,
                "folder": str(entry.folder),
                "needs": [*entry.needs],
                "config": json.loads(dump_config(entry.config)),
                "card": card,
            }
        )
        return
    rows = [(key, text) for key, text in _rows(entry, entry.config) if text]
    width = max(len(key) for key, _ in rows)
    click.echo("\n".join(f"{key:<{width}}  {text}" for key, text in rows))
    if card:
        click.echo("\n" + _without_front_matter(loaded_as(card, ref)).rstrip())
