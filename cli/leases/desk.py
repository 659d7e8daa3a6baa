"""What the commands on leases have before them: the stream, its rows and the bucket, in the right cloud."""

import contextlib
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from cli.cloud import cloud_for
from headrace.aws.session import AwsSession
from headrace.clock import Clock, SystemClock
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.counters.ports import CounterWriter
from headrace.lake.ports import ObjectStore
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.kcl_table import KclTable
from headrace.leases.model import Lease, lineage
from headrace.leases.ports import LeaseStore
from headrace.settings import load
from headrace.stream.connect import open_reader
from headrace.stream.ports import StreamInfo, StreamReader
from headrace.telemetry.metrics import Metrics
from headrace.terminal import printable

told = Console(stderr=True, highlight=False, soft_wrap=True)
"""Where people are told what is about to happen; results go to stdout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The places, and what they are called."""

    leases: LeaseStore
    store: ObjectStore
    counters: CounterWriter
    stream: StreamReader
    application: str
    clock: Clock
    metrics: Metrics

    def lineage(self, info: StreamInfo) -> str:
        """The lineage of the application's use of a stream."""
        return lineage(self.application, info)


def operator() -> str:
    """An owner's name that is unique to this run."""
    return f"headrace-leases:{socket.gethostname()}:{uuid.uuid4().hex[:8]}"


@contextlib.asynccontextmanager
async def desk_at(data: Path) -> AsyncIterator[Desk]:
    """The desk of the cloud that belongs to a data folder, while the block runs."""
    clock, metrics = SystemClock(), Metrics()
    async with cloud_for(data):
        settings = load()
        async with AwsSession(settings.region) as aws, open_reader(settings, aws, metrics, clock) as stream:
            dynamodb = await aws.client("dynamodb")
            yield Desk(
                leases=DynamoLeaseStore(dynamodb, settings.control_table),
                store=S3Store(await aws.client("s3"), settings.bucket),
                counters=DynamoCounterWriter(dynamodb, settings.counters_table),
                stream=stream,
                application=settings.application,
                clock=clock,
                metrics=metrics,
            )


@contextlib.asynccontextmanager
async def kcl_table(name: str) -> AsyncIterator[KclTable]:
    """A table of KCL's in the cloud that the desk is in."""
    async with AwsSession(load().region) as aws:
        yield KclTable(await aws.client("dynamodb"), name)


def pick(leases: Sequence[Lease], shards: Collection[str]) -> list[Lease]:
    """The rows of the named shards. Raises `typer.BadParameter` for names that no row has."""
    known = {lease.shard_id: lease for lease in leases}
    if unknown := [shard for shard in dict.fromkeys(shards) if shard not in known]:
        raise typer.BadParameter(f"no row of {', '.join(unknown)}; `headrace leases` lists them")
    return [lease for lease in leases if lease.shard_id in shards]


def tell(lines: Sequence[str], style: str = "") -> None:
    """Lines for a person."""
    for line in lines:
        told.print(printable(line), style=style, markup=False)


def confirmed(question: str, *, yes: bool, dry_run: bool) -> bool:
    """Whether to go on: never in a dry run, else with `--yes` or when a person at a terminal says so."""
    if dry_run:
        tell(["dry run: nothing was changed"], "dim")
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: say --yes, or --dry-run to see what would be done")
    return typer.confirm(question, err=True)
