"""`headrace query`: a statement through the Athena API, its rows on stdout."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal

from cli.cloud import DEFAULT_DATA, cloud_for
from cli.output import Format, write_rows
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.catalog.results import QueryResult
from headrace.clock import SystemClock
from headrace.errors import NotFoundError
from headrace.settings import load
from headrace.sql import loader


def query(
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help="One statement in Athena's dialect.")] = None,
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="A named query instead; a name that is none lists them.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day, UTC.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last day, UTC, included.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the named query; may be repeated.")
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="How the rows are printed.")] = Format.TABLE,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where the local cloud keeps its state.")] = DEFAULT_DATA,
) -> None:
    """Ask Athena, and print the rows as a table, CSV or JSON. Ctrl-C cancels the statement.

    Example: [bold]headrace query "SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC"[/bold]

    Example: [bold]headrace query --name top_products --from 2026-04-01 --param limit=5 --format json[/bold]
    """
    status = Console(stderr=True, highlight=False, soft_wrap=True)
    statement = statement_of(sql, name, first, last, param or [], table=load().table)
    try:
        result = asyncio.run(_ask(statement, data))
    except KeyboardInterrupt:
        status.print("cancelled")
        raise typer.Exit(1) from None
    write_rows(result.columns, result.rows, style, sys.stdout)
    status.print(_summary(result), style="dim")


def statement_of(
    sql: str | None, name: str | None, first: str | None, last: str | None, params: list[str], *, table: str = "events"
) -> str:
    """The statement that the command line asks for; `table` is the table of events.

    Raises `typer.BadParameter` for one that makes no sense.
    """
    days = {key: value for key, value in (("from", first), ("to", last)) if value is not None}
    if (sql is None) == (name is None):
        raise typer.BadParameter("give either a statement or --name")
    if sql is not None:
        if days or params:
            raise typer.BadParameter("--from, --to and --param go with --name")
        return sql
    assert name is not None
    values = dict(days)
    for param in params:
        key, equals, value = param.partition("=")
        if not equals or key in values:
            raise typer.BadParameter(f"{param!r}: " + ("given twice" if equals else "must look like k=v"))
        values[key] = value
    try:
        return loader.load(name).render(values, table=table)
    except (NotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


async def _ask(statement: str, data: Path) -> QueryResult:
    async with cloud_for(data):
        settings = load()
        async with AwsSession(settings.region) as aws:
            athena = AthenaClient(
                await aws.client("athena"),
                clock=SystemClock(),
                workgroup=settings.workgroup,
                output=settings.athena_output_url,
                database=settings.database,
            )
            return await athena.query(statement)


def _summary(result: QueryResult) -> str:
    count = len(result.rows)
    rows = f"{count:,} row{'' if count == 1 else 's'}"
    return f"{rows} · {decimal(result.execution.scanned_bytes)} scanned · {result.execution.seconds:.2f} s"
