"""`headrace job reconcile`: proof that what was read is what landed, hour by hour."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.aws.session import AwsSession
from headrace.catalog.results import ResultColumn, Row
from headrace.clock import SystemClock
from headrace.counters.dynamodb_ledger import DynamoLedgerReader
from headrace.counters.ledger import KEPT_HOURS
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.quarantine import REPLAY
from headrace.settings import load
from headrace.state.dynamodb import DynamoStateStore
from headrace.stream.connect import open_reader
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics
from jobs.command import CloudFor, Style, Write, progress, publish
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.places import Places
from jobs.reconcile.reconcile import reconcile
from jobs.reconcile.shard import Hours

JOB = "reconcile"

COLUMNS = tuple(ResultColumn(name=name, type=kind) for name, kind in (
    ("what", "varchar"), ("state", "varchar"), ("compared", "bigint"),
    ("where", "varchar"), ("expected", "varchar"), ("found", "varchar"),
))  # fmt: skip


def build(cloud_for: CloudFor, write: Write) -> typer.Typer:
    """The command; which cloud is meant and how rows look is the command line's to say."""
    app = typer.Typer(name=JOB, rich_markup_mode="rich", add_completion=False)

    @app.command(name=JOB)
    def command(
        *,
        hours: Annotated[
            int,
            typer.Option(min=1, max=KEPT_HOURS, help="How many full hours to look back; the current one is included."),
        ] = 24,
        style: Annotated[Style, typer.Option("--format", help="How the result is printed.")] = Style.TABLE,
        metrics_file: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Write headrace_reconciliation_mismatch_total here, for Prometheus."),
        ] = None,
        data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the local cloud.")] = Path(".headrace"),
    ) -> None:
        """Compare what was read with what landed: control rows, manifests, ledger, objects and their footers.

        Changes nothing, and may run while everything else does. Exit status 0: all agrees; 1: something does not.

        Example: [bold]headrace job reconcile --hours 48[/bold]
        """
        metrics = Metrics()
        audit = asyncio.run(_run(cloud_for, data, hours, metrics))
        write(COLUMNS, rows_of(audit), style)
        publish(JOB, metrics, metrics_file, "headrace_reconciliation_mismatch_total")
        Console(stderr=True, highlight=False, soft_wrap=True).print(summary(audit), style="dim")
        raise typer.Exit(1 if audit.mismatches else 0)

    return app


def rows_of(audit: Audit) -> list[Row]:
    """A row for each kind of comparison, each followed by a row for each that does not agree."""
    rows: list[Row] = []
    for check in Check:
        differing = [found for found in audit.mismatches if found.check is check]
        state = "differ" if differing else "agree"
        rows.append((str(check), state, audit.compared[check], "", "", ""))
        rows += [(str(check), "mismatch", 1, it.where, it.expected, it.found) for it in differing]
    rows += [("batches", "in flight", 1, key, "", "") for key in audit.in_flight]
    return rows


def summary(audit: Audit) -> str:
    """What was found, in a line."""
    compared = f"{sum(audit.compared.values()):,} comparisons"
    if not (count := len(audit.mismatches)):
        return f"{compared}: all agrees"
    return f"{compared}: {count:,} mismatch{'' if count == 1 else 'es'}"


async def _run(cloud_for: CloudFor, data: Path, count: int, metrics: Metrics) -> Audit:
    clock = SystemClock()
    async with cloud_for(data):
        settings = load()
        async with AwsSession(settings.region) as aws, open_reader(settings, aws, metrics, clock) as stream:
            dynamodb = await aws.client("dynamodb")
            places = Places(
                store=S3Store(await aws.client("s3"), settings.bucket),
                leases=DynamoLeaseStore(dynamodb, settings.control_table),
                ledger=DynamoLedgerReader(dynamodb, settings.counters_table),
                state=DynamoStateStore(dynamodb, settings.state_table),
            )
            hours = Hours.back(count, now=clock.now())
            streams = {await stream.info(): stream.shards, REPLAY: None}
            audit = await reconcile(places, settings.application, streams, hours, progress)
    _account(audit, metrics)
    return audit


def _account(audit: Audit, metrics: Metrics) -> None:
    for check in Check:
        count = sum(found.check is check for found in audit.mismatches)
        metrics.reconciliation_mismatch.labels(check).inc(count)
    if audit.mismatches:
        get_logger().error("reconcile.mismatch", mismatches=len(audit.mismatches), compared=audit.compared.total())
