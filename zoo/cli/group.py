"""A click group whose commands are imported when they are called, and whose errors are one line."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from zoo.cli import streams
from zoo.errors import ZooError, ZooWarning, did_you_mean, one_line

INTERRUPTED = 130  # exit status of a process that SIGINT ended


class LazyGroup(click.Group):
    """The commands of a table, each zoo.cli.<name>.command, with "_" for "-".

    Exit status: 0, 1 for a failure, 2 for wrong usage, 130 when interrupted. Errors are one line
    on stderr; `--debug`, before or after the command's name, shows the traceback instead.
    """

    def __init__(self, name: str, *, commands: Mapping[str, str], help: str) -> None:
        super().__init__(name, help=help, params=[_debug()])
        self.table = dict(commands)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the table's order."""
        return [*self.table]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, None if it is not in the table."""
        if cmd_name not in self.table:
            return None
        command: click.Command = import_module(f"zoo.cli.{cmd_name.replace('-', '_')}").command
        if not any(param.name == "debug" for param in command.params):
            command.params.append(_debug())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return (name, command, remaining arguments); an unknown name is a usage error."""
        if args[0] not in self.table and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; {did_you_mean(args[0], self.table)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help from the table, so that `zoo --help` imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([*self.table.items()])

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the command line and exit with its status; arguments as for click.Group.main."""
        given = options.get("args", args[0] if args else None)
        debug = "--debug" in (sys.argv[1:] if given is None else given)
        streams.prepare()
        called = Path(sys.argv[0]).stem if sys.argv else ""
        options = {"prog_name": called if called == "hf-zoo" else "zoo", **options}
        options["standalone_mode"] = False
        try:
            with _warnings_in_one_line():
                status = super().main(*args, **options)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            _stop_usage(error)
        except ZooError as error:
            if debug:
                raise
            _stop(str(error), 1)
        except Exception as error:
            if debug:
                raise
            if isinstance(error, OSError) and (reason := streams.reason_of_output(error)):
                _stop(f"cannot write to standard output: {reason}", 1)
            if "usable temporary directory" in str(error):  # which torch asks for, through dill
                _stop("there is no temporary folder to write into; set TMPDIR to one", 1)
            text = f"internal error: {type(error).__name__}: {one_line(error)}{_place(error)}"
            _stop(f"{text} (run again with --debug for the traceback)", 1)
        sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show the zoo's own warnings as its errors, in the main one of several processes."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, ZooWarning):
            before(message, category, *where, **more)
        elif os.environ.get("RANK", "0") == "0":
            click.echo(f"zoo: warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _stop(message: str, status: int) -> NoReturn:
    with suppress(OSError):  # a full disk may hold standard error too
        click.echo("zoo: " + " ".join(message.split()), err=True)
    sys.exit(status)


def _stop_usage(error: click.ClickException) -> NoReturn:
    """Print a click error in one line, with the command that prints help."""
    context = getattr(error, "ctx", None)
    if context is None:
        _stop(error.format_message(), error.exit_code)
    if type(error).__name__ == "NoArgsIsHelpError":  # click >= 8.2: `zoo` alone
        click.echo(context.get_help(), err=True)
        sys.exit(error.exit_code)
    message = error.format_message().rstrip(".")
    _stop(f"{message} (see `{context.command_path} --help`)", error.exit_code)


def _place(error: Exception) -> str:
    """Return " (zoo_yukawa/kernel.py:12)" of an error of another's plugin, else ""."""
    from zoo.host.places import place_in
    from zoo.host.plugins import OWN, plugins

    return place_in(error, only={p.package for p in plugins() if p.distribution != OWN})


def _debug() -> click.Option:
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, help="Show tracebacks of errors."
    )
