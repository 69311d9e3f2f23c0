"""`zoo pull REF`: fetch a model from the Hub."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, key_value, option


@click.command()
@click.argument("ref")
@option("--revision", help="Branch, tag or commit; also REF@REVISION.")
@option("--token", help="Access token, for a private or gated model [that of `hf auth login`].")
@option("--cache-dir", type=PATH, help="Folder to use instead of the Hub's cache.")
@option("--set", "options", multiple=True, help="KEY=VALUE, an option of another library's format.")
def command(
    ref: str,
    revision: str | None,
    token: str | None,
    cache_dir: Path | None,
    options: tuple[str, ...],
) -> None:
    """Fetch and check the files of the model REF (owner/name on the Hub, or a name of the zoo)."""
    from zoo.models.locate import pull

    given = dict(map(key_value, options))
    folder = pull(ref, revision=revision, token=token, cache_dir=cache_dir, format_options=given)
    click.echo(folder)
