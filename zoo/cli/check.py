"""`zoo check PLUGIN`: do its components satisfy their laws?"""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import click

from zoo.cli.output import echo_json
from zoo.errors import ZooError
from zoo.testing import CheckFailure, checks


@click.command()
@click.argument("plugin")
@click.option("-k", "pattern", default="*", help='Only checks whose name matches, "gravity-*-d2".')
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(plugin: str, pattern: str, as_json: bool) -> int:
    """Run every check on the components of PLUGIN, a name of `zoo plugins`; one line each.

    Exit status 1 if any fails. The same checks run under pytest: see zoo.testing.
    """
    chosen = [check for check in checks(plugin) if fnmatchcase(check.__name__, pattern)]
    if not chosen:
        raise ZooError(f"no check of {plugin!r} matches {pattern!r}; zoo check {plugin} runs all")
    results = []
    said: dict[str, str] = {}
    for check in chosen:
        start = time.perf_counter()
        failure = None
        try:
            check()
        except CheckFailure as found:
            failure = str(found)
        seconds = time.perf_counter() - start
        results.append({"check": check.__name__, "failure": failure, "seconds": seconds})
        if not as_json:
            click.echo(_line(check.__name__, failure, said))
    failed = sum(1 for result in results if result["failure"])
    if as_json:
        echo_json(results)
    else:
        click.echo(f"{plugin}: {len(results) - failed} of {len(results)} checks pass")
    return 1 if failed else 0


def _line(name: str, failure: str | None, said: dict[str, str]) -> str:
    """Return the line of one check; `said` has the first check that failed of each cause."""
    if not failure:
        return f"ok    {name}"
    first = said.setdefault(failure.removeprefix(f"{name}: "), name)
    return f"FAIL  {failure}" if first == name else f"FAIL  {name}: as {first}"
