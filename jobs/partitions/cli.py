"""`headrace job partitions`: what is in the bucket, what the table knows of it, and a repair."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.catalog.inventory import Inventory, take_inventory
from headrace.catalog.results import ResultColumn, Row
from headrace.clock import SystemClock
from headrace.lake.layout import HourPartition
from headrace.lake.s3 import S3Store
from headrace.settings import Settings, load
from jobs.command import CloudFor, Style, Write, progress
from jobs.partitions.repair import Action, Difference, State, differences, repair

COUNTED = tuple(ResultColumn(name=name, type=kind) for name, kind in (
    ("state", "varchar"), ("partitions", "bigint"), ("first", "varchar"), ("last", "varchar"),
))  # fmt: skip
LISTED = tuple(ResultColumn(name=name, type="varchar") for name in ("partition", "state", "action"))


def build(cloud_for: CloudFor, write: Write) -> typer.Typer:
    """The command; which cloud is meant and how rows look is the command line's to say."""
    app = typer.Typer(name="partitions", rich_markup_mode="rich", add_completion=False)

    @app.command()
    def partitions(
        *,
        mend: Annotated[bool, typer.Option("--repair", help="Add what is missing, drop what is orphaned.")] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Change nothing, list what --repair would do.")
        ] = False,
        each: Annotated[bool, typer.Option("--list", help="Each partition that differs, instead of counts.")] = False,
        style: Annotated[Style, typer.Option("--format", help="How the result is printed.")] = Style.TABLE,
        data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the local cloud.")] = Path(".headrace"),
    ) -> None:
        """Compare the hours in the bucket with the table's partitions, and repair what differs.

        Missing partitions have objects that no query sees; orphaned ones are registered without any.
        Exit status 0: no difference is left; 1: some are.

        Example: [bold]headrace job partitions --repair[/bold]
        """
        inventory, found = asyncio.run(_run(cloud_for, data, mend=mend, dry_run=dry_run))
        rows = listed(found) if each or dry_run else counted(inventory)
        write(LISTED if each or dry_run else COUNTED, rows, style)
        Console(stderr=True, highlight=False, soft_wrap=True).print(summary(found), style="dim")
        raise typer.Exit(1 if any(it.action in _LEFT for it in found) else 0)

    return app


_LEFT = {Action.NONE, Action.ADD, Action.DROP}
"""Actions that leave a difference where it was."""


def counted(inventory: Inventory) -> list[Row]:
    """A row for each state, as it was before a repair: how many partitions, the first and the last hour."""
    groups: list[tuple[State, Iterable[HourPartition]]] = [
        (State.IN_BUCKET, inventory.landed),
        (State.REGISTERED, inventory.registered),
        (State.MISSING, inventory.missing),
        (State.ORPHANED, inventory.orphaned),
    ]
    return [_counted(state, sorted(hours)) for state, hours in groups]


def listed(found: Sequence[Difference]) -> list[Row]:
    """A row for each difference."""
    return [(it.partition.path, str(it.state), str(it.action)) for it in found]


def summary(found: Sequence[Difference]) -> str:
    """What was done, in a line."""
    if not found:
        return "bucket and table agree"
    told = {action: sum(it.action is action for it in found) for action in Action}
    if left := told[Action.NONE]:
        return f"{left:,} partition{' differs' if left == 1 else 's differ'}; --repair mends that, --list shows each"
    return ", ".join(f"{count:,} {action}" for action, count in told.items() if count)


def _counted(state: State, hours: Sequence[HourPartition]) -> Row:
    return (str(state), len(hours), hours[0].path if hours else None, hours[-1].path if hours else None)


async def _run(cloud_for: CloudFor, data: Path, *, mend: bool, dry_run: bool) -> tuple[Inventory, Sequence[Difference]]:
    async with cloud_for(data):
        settings = load()
        async with AwsSession(settings.region) as aws:
            catalog = await _catalog(aws, settings)
            store = S3Store(await aws.client("s3"), settings.bucket)
            if mend and not dry_run:
                await catalog.ensure_table()
            with progress("folders listed", None) as advance:
                inventory = await take_inventory(catalog, store, partial(advance, 1))
            found = differences(inventory, planned=dry_run)
            if mend and not dry_run and found:
                with progress("partitions repaired", len(found)) as advance:
                    found = await repair(catalog, store, inventory, advance)
    return inventory, found


async def _catalog(aws: AwsSession, settings: Settings) -> AthenaCatalog:
    athena = AthenaClient(
        await aws.client("athena"),
        clock=SystemClock(),
        workgroup=settings.workgroup,
        output=settings.athena_output_url,
    )
    table = EventsTable(database=settings.database, name=settings.table, bucket=settings.bucket)
    return AthenaCatalog(athena, table, concurrency=settings.ddl_concurrency)
