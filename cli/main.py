"""The `headrace` command. A subcommand's module is imported when it is called, so that `--help` is quick."""

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from headrace.errors import ConfigError, HeadraceError

COMMANDS = {
    "up": ("cli.up:up", "Start the local cloud and every service; Ctrl-C drains."),
    "run": ("cli.run:run", "Run one service in the foreground, as containers do."),
    "query": ("cli.query:query", "Ask Athena, and print the rows as a table, CSV or JSON."),
    "leases": ("cli.leases.app:app", "Who works on which shard; release, reset, come from KCL and go back."),
    "cost": ("cli.cost.app:cost", "What a rate of events costs on AWS, line by line."),
    "doctor": ("cli.doctor:doctor", "Show the settings and check what they point at."),
}
JOBS = {
    "medallion": ("cli.jobs:medallion", "Bronze to silver to gold: clean days and answers, run by run."),
    "partitions": ("cli.jobs:partitions", "Compare the bucket with the table's partitions, and repair."),
    "reconcile": ("cli.jobs:reconcile", "Prove that what was read is what landed, hour by hour."),
    "replay": ("cli.jobs:replay", "Put dead letters right and land them, once."),
    "simulate": ("cli.simulate:app", "Seeded shoppers: as an API, to the stream, in a file, or in bulk."),
}
_HELP = {"help_option_names": ["-h", "--help"]}
FAILED, MISUSED = 1, 2
"""Exit codes; 0 is success."""


class _Lazy(TyperCommand):
    """Stands for a command, `module:name` of a function or a Typer app, until it is called."""

    def __init__(self, name: str, target: str, about: str) -> None:
        super().__init__(name=name, help=about)
        self._target = target

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        module, name = self._target.split(":")
        target = getattr(importlib.import_module(module), name)
        if not isinstance(target, typer.Typer):
            app = typer.Typer(rich_markup_mode="rich", add_completion=False)
            app.command(self.name, context_settings=_HELP)(target)
            target = app
        return typer.main.get_command(target).make_context(info_name, args, parent, **extra)


class _Jobs(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, (target, about) in JOBS.items():
            self.add_command(_Lazy(name, target, about))


class _Commands(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, (target, about) in COMMANDS.items():
            self.add_command(_Lazy(name, target, about))
        jobs = "Run a job, or one of its steps.\n\nExample: [bold]headrace job simulate file --help[/bold]"
        self.add_command(
            _Jobs(name="job", help=jobs, short_help="Run a job, or one of its steps.", no_args_is_help=True)
        )


app = typer.Typer(
    cls=_Commands, rich_markup_mode="rich", add_completion=False, no_args_is_help=True, context_settings=_HELP
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.import_module("importlib.metadata").version("headrace"))
        raise typer.Exit


@app.callback()
def headrace(
    *,
    version: Annotated[  # noqa: ARG001 - answered by its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Events in; Parquet, live counts and SQL out.

    Start with [bold]headrace up[/bold]; in another shell: [bold]headrace query "SELECT count(*) FROM events"[/bold].
    """
    log = importlib.import_module("headrace.telemetry.log")
    log.configure("headrace", level="WARNING")


def main() -> None:
    """Run the command line and exit: 0 ok, 1 failed, 2 bad usage or configuration."""
    try:
        app()
    except ConfigError as error:
        sys.stderr.write("headrace: wrong configuration\n" + "".join(f"  {problem}\n" for problem in error.problems))
        sys.exit(MISUSED)
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {error}\n")
        sys.exit(FAILED)
