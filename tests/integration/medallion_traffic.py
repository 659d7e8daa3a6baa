"""The generator's files in memory: put into a bucket as bronze, or landed as the transformer lands a stream."""

import asyncio
import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import Planner
from headrace.delivery.window import DedupWindow
from headrace.events.mapping import load_mapping
from headrace.events.transform import Transformer
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import Lease, LeaseKey
from headrace.settings import Settings
from headrace.stream.ports import Record
from headrace.telemetry.metrics import Metrics
from jobs.simulate.bulk.plan import Flaws, Plan
from jobs.simulate.bulk.run import run

MAPPING = load_mapping(Path(__file__).parents[2] / "examples" / "bulk.toml")
MINUTE = re.compile(r"year=(\d+)/month=(\d+)/day=(\d+)/hour=(\d+)/minute=(\d+)/")


class Bulk:
    """Files of one run of the generator, up to noon of 9 April 2026."""

    def __init__(self, events: int = 900, minutes: int = 3, **flaws: float) -> None:
        self.files: dict[str, bytes] = {}
        plan = Plan(
            seed=7, events=events, end=datetime(2026, 4, 9, 12, tzinfo=UTC), minutes=minutes, files_per_minute=1,
            flaws=Flaws(**flaws),
        )  # fmt: skip
        self.summary = asyncio.run(run(plan, self, clock=SystemClock(), on_events=lambda _: None))

    async def put(self, key: str, body: bytes) -> None:
        """For the generator."""
        self.files[key] = body

    def records(self) -> Iterator[Record]:
        """The events on a stream, each as if it had arrived in the minute of its file."""
        for key in sorted(self.files):
            for line in gzip.decompress(self.files[key]).splitlines():
                for number, mapped in enumerate(MAPPING.apply(msgspec.json.decode(line))):
                    yield Record(
                        data=msgspec.json.encode(mapped),
                        sequence_number=str(number),
                        partition_key="k",
                        approximate_arrival_timestamp=_minute_of(key),
                    )


async def land(settings: Settings, records: list[Record]) -> None:
    """A batch of the transformer, from records to objects below `events/`."""
    async with AwsSession(settings.region) as aws:
        dynamodb = await aws.client("dynamodb")
        leases = DynamoLeaseStore(dynamodb, settings.control_table)
        delivery = Delivery(
            S3Store(await aws.client("s3"), settings.bucket),
            DynamoCounterWriter(dynamodb, settings.counters_table),
            leases, lineage="l", metrics=Metrics(), clock=SystemClock(),
        )  # fmt: skip
        key = LeaseKey("account:stream:1:shard")
        await leases.create([Lease(key=key)])
        seen = await leases.get(key)
        assert seen is not None
        lease = await leases.take(seen, "me")
        planner = Planner(Transformer.of(settings), BatchPolicy(), lineage="l")
        plan = planner.plan(records, lease, now=SystemClock().now(), window=DedupWindow(0))
        await delivery.attempt(plan, lease).run(caught_up_at=None)


def _minute_of(key: str) -> float:
    found = MINUTE.search(key)
    assert found
    year, month, day, hour, minute = map(int, found.groups())
    return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
