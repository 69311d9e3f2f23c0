"""`zoo pull REF`: fetch a model from the Hub."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("ref")
@click.option("--revision", help="Branch, tag or commit; also REF@REVISION.")
@click.option(
    "--token", help="Access token, for a private or gated model [that of `hf auth login`]."
)
@click.option(
    "--cache-dir", type=click.Path(path_type=Path), help="Folder to use instead of the Hub's cache."
)
def command(ref: str, revision: str | None, token: str | None, cache_dir: Path | None) -> None:
    """Fetch and check the files of the model REF (owner/name on the Hub, or a name of the zoo)."""
    from zoo.models.locate import pull

    click.echo(pull(ref, revision=revision, token=token, cache_dir=cache_dir))
