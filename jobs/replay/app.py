"""Wiring of the replay, and the way through all objects."""

import hashlib
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.concurrency import for_each
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.recover import Recovery
from headrace.errors import HaltedError, NotFoundError
from headrace.events.transform import Transformer
from headrace.lake.ports import ObjectStore
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import lineage
from headrace.quarantine import REPLAY
from headrace.settings import Settings
from headrace.telemetry.metrics import Metrics
from jobs.command import progress
from jobs.replay.lots import Lot, Selection, find_objects, read_lots
from jobs.replay.mend import Mending
from jobs.replay.rehearse import Change, Rehearsal
from jobs.replay.replayer import Outcome, Replayer
from jobs.replay.report import Report

OBJECTS_AT_ONCE = 4

Handle = Callable[[Lot], Awaitable[Outcome]]
OnObject = Callable[[int], object]
"""Told how many objects more are done."""


async def run(settings: Settings, selection: Selection, mending: Mending, report: Report) -> list[Change]:
    """Replay what is selected, or rehearse it if the report is of a dry run; then the first lines are returned."""
    clock = SystemClock()
    async with AwsSession(settings.region) as aws:
        store = S3Store(await aws.client("s3"), settings.bucket)
        dynamodb = await aws.client("dynamodb")
        leases = DynamoLeaseStore(dynamodb, settings.control_table)
        transform = Transformer.of(settings)
        origin = lineage(settings.application, REPLAY)
        keys = await find_objects(store, selection, origin)
        with progress("objects", len(keys)) as advance:
            if report.dry_run:
                rehearsal = Rehearsal(
                    transform=transform, mending=mending, leases=leases,
                    dedup_seconds=settings.dedup_window, clock=clock,
                )  # fmt: skip
                await go_through(store, keys, selection, rehearsal.rehearse, report, advance, at_once=1)
                return rehearsal.changes
            delivery = Delivery(
                store, DynamoCounterWriter(dynamodb, settings.counters_table), leases,
                lineage=origin, metrics=Metrics(), clock=clock,
            )  # fmt: skip
            owner = f"replay:{socket.gethostname()}:{uuid.uuid4().hex[:8]}"
            replayer = Replayer(
                transform, mending, delivery, Recovery(delivery, leases), leases,
                policy=BatchPolicy.of(settings), owner=owner, failover=settings.failover_seconds,
                dedup_seconds=settings.dedup_window, clock=clock,
            )  # fmt: skip
            await go_through(store, in_order_of(owner, keys), selection, replayer.replay, report, advance)
            return []


def in_order_of(owner: str, keys: Sequence[str]) -> list[str]:
    """Each process goes through the objects in an order of its own, so that two rarely meet at one."""
    return sorted(keys, key=lambda key: hashlib.sha256(f"{owner} {key}".encode()).digest())


async def go_through(
    store: ObjectStore,
    keys: Sequence[str],
    selection: Selection,
    handle: Handle,
    report: Report,
    on_object: OnObject = lambda _: None,
    *,
    at_once: int = OBJECTS_AT_ONCE,
) -> None:
    """Handle the lots of all objects. One that cannot go on is a problem of the report; the others do not notice."""

    async def one_object(key: str) -> None:
        try:
            for lot in await read_lots(store, key, selection):
                report.add(lot, await handle(lot))
        except (HaltedError, NotFoundError) as error:
            report.problems.append(f"{key}: {error}")
        on_object(1)

    await for_each(keys, one_object, limit=at_once)
