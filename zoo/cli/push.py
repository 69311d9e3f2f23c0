"""`zoo push NAME REPO`: publish a model, or the whole zoo, on the Hub."""

from __future__ import annotations

import click

from zoo.cli.options import option
from zoo.errors import ZooError
from zoo.host.plugins import OWN
from zoo.models.names import entries


@click.command()
@click.argument("name", required=False)
@click.argument("repo", required=False)
@option("--all", "everything", is_flag=True, help="Publish every model of the zoo itself.")
@option("--namespace", help="With --all: the user or organisation to publish under.")
@option(
    "--private", is_flag=True, help="Create a private repository; refuse an existing public one."
)
@option("--revision", help="Branch to commit to; created if it does not exist.")
@option("--create-pr", is_flag=True, help="Open a pull request instead.")
@option("--token", help="Access token with the right to write [that of `hf auth login`].")
def command(
    name: str | None,
    repo: str | None,
    everything: bool,
    namespace: str | None,
    private: bool,
    revision: str | None,
    create_pr: bool,
    token: str | None,
) -> None:
    """Publish the model NAME (or ./folder) as the Hub repository REPO (owner/name)."""
    from zoo.folder.card import UNKNOWN
    from zoo.folder.card_edit import license_of
    from zoo.folder.read import CARD, read_card
    from zoo.hub import Access
    from zoo.hub.publish import check_repository
    from zoo.models.locate import folder_of
    from zoo.models.push import push

    if create_pr and revision is not None:
        raise click.UsageError(
            "a pull request goes to main; give --revision or --create-pr, not both"
        )
    for ref, target in _plan(name, repo, everything, namespace):
        check_repository(target, revision, create_pr)
        folder = folder_of(ref, access=Access(token))
        if license_of(read_card(folder)) in ("", UNKNOWN):
            click.echo(
                f"zoo: {ref} states no license for its weights, and nobody may use them: write "
                f"`license: ...` at the top of {folder / CARD}, and push again",
                err=True,
            )
        url = push(
            folder, target, private=private, token=token, revision=revision, create_pr=create_pr
        )
        click.echo(url)


def _plan(
    name: str | None, repo: str | None, everything: bool, namespace: str | None
) -> list[tuple[str, str]]:
    """Return (reference, repository) of each model to publish."""
    if everything:
        if name or not namespace:
            raise click.UsageError("--all goes with --namespace ORG and without a name")
        own = [e for e in entries() if e.source == OWN]
        if broken := [e for e in own if e.error]:
            raise ZooError(f"nothing was pushed: {broken[0].name}: {broken[0].error}")
        return [(f"{OWN}:{e.name}", f"{namespace}/{e.name}") for e in own]
    if name is None or repo is None:
        raise click.UsageError("give NAME and REPO, or --all --namespace ORG")
    if namespace:
        raise click.UsageError("--namespace goes with --all; REPO is owner/name")
    return [(name, repo)]
