"""A batch of default size from records to durable objects: exactly once, and by plain PUTs of the same objects.

Both ways plan alike and leave the counters out, which would be the same. What is compared is what the promise costs:
multipart uploads, the manifest with its hashes, the intent and the commit.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bench.headrace_path import NOW
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.counters.ports import Deltas
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import Planner
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore, table_definition
from headrace.leases.model import Lease, LeaseKey
from headrace.stream.ports import Record
from headrace.telemetry.metrics import Metrics

BUCKET, TABLE, LINEAGE = "bench", "bench-control", "bench"
WINDOW_SECONDS = 600.0
REPEATS = 4


class Uncounted:
    """A `CounterWriter` that leaves the counting out."""

    async def apply(self, origin: str, batch_no: int, deltas: Deltas, *, now: float, ledger: Mapping[str, int]) -> None:
        """Nothing."""


async def measure(payloads: Sequence[bytes]) -> tuple[float, float]:
    """CPU in µs per event: (exactly once, plain PUTs), each the least of some batches. Needs the local cloud."""
    records = [
        Record(data=payload, sequence_number=str(n), partition_key="k", approximate_arrival_timestamp=NOW)
        for n, payload in enumerate(payloads)
    ]
    clock, metrics = SystemClock(), Metrics()
    planner = Planner(Transformer(Policy(), Enricher(), anonymous_key=b"bench"), BatchPolicy(), lineage=LINEAGE)
    async with AwsSession("us-east-1") as aws:
        s3, dynamodb = await aws.client("s3"), await aws.client("dynamodb")
        await s3.create_bucket(Bucket=BUCKET)
        await dynamodb.create_table(**table_definition(TABLE))
        store, leases = S3Store(s3, BUCKET), DynamoLeaseStore(dynamodb, TABLE)
        delivery = Delivery(store, Uncounted(), leases, lineage=LINEAGE, metrics=metrics, clock=clock)
        key = LeaseKey("account:bench:1:shardId-000000000000")
        await leases.create([Lease(key=key)])
        lease = await leases.take(Lease(key=key), "bench")

        async def exactly_once() -> None:
            nonlocal lease
            plan = planner.plan(records, lease, now=NOW, window=DedupWindow(WINDOW_SECONDS))
            lease = await delivery.attempt(plan, lease).run(caught_up_at=None)

        async def by_puts() -> None:
            plan = planner.plan(records, lease, now=NOW, window=DedupWindow(0))
            for planned in plan.objects:
                await store.put(planned.key, planned.body)

        return await _least(exactly_once, len(records)), await _least(by_puts, len(records))


async def _least(work: Callable[[], Awaitable[None]], items: int) -> float:
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        await work()
        found.append(time.process_time() - start)
    return min(found) / items * 1e6
