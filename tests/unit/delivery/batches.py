"""One shard on memory adapters, driven a step at a time."""

import asyncio
from collections.abc import Sequence

import msgspec

from headrace.clock import SystemClock
from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Counts, Entity, Window
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Attempt, Delivery
from headrace.delivery.manifest import Manifest
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.recover import Recovery
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.layout import manifest_prefix
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease, LeaseKey
from headrace.stream.ports import Record
from headrace.telemetry.metrics import Metrics

LINEAGE = "l"
KEY = LeaseKey("account:stream:1:shard")
NOW = 1_775_700_000.0

_planner = Planner(Transformer(Policy(), Enricher(), anonymous_key=b"k"), BatchPolicy(), lineage=LINEAGE)


def record(n: int, *, product: str = "P", arrived: float = NOW) -> Record:
    """The n-th record of the shard: a view of a product within an hour of its own."""
    payload = {
        "event_id": f"e{n}", "session_id": "s", "event_type": "page_view",
        "timestamp": 1_775_692_800 + n % 2 * 3600, "product_id": product,
    }  # fmt: skip
    return Record(
        data=msgspec.json.encode(payload),
        sequence_number=str(n),
        partition_key="k",
        approximate_arrival_timestamp=arrived,
    )


def broken(n: int) -> Record:
    """The n-th record, and no JSON."""
    return msgspec.structs.replace(record(n), data=b"{")


def planned(records: Sequence[Record], lease: Lease, window: DedupWindow | None = None) -> BatchPlan:
    """What the records become."""
    return _planner.plan(records, lease, now=NOW, window=window or DedupWindow(0))


class Shard:
    """A shard's row and all places its batches go to. `work` is what a worker holds of it."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.row = Lease(key=KEY)
        """As it is before anybody takes it."""
        self.store = store or MemoryStore()
        self.counters = MemoryCounters()
        self.leases = MemoryLeaseStore()
        self.metrics = Metrics()
        self.reports: list[tuple[str, int, str]] = []
        self.delivery = Delivery(
            self.store, self.counters, self.leases,
            lineage=LINEAGE, metrics=self.metrics, clock=SystemClock(),
            report=lambda reason, count, example: self.reports.append((reason, count, example)),
        )  # fmt: skip
        self.recovery = Recovery(self.delivery, self.leases)

    async def take(self, owner: str = "me") -> Lease:
        """The lease, taken from whoever has it."""
        await self.leases.create([self.row])
        seen = await self.leases.get(self.row.key)
        assert seen is not None
        return await self.leases.take(seen, owner)

    def plan(self, records: Sequence[Record], lease: Lease, window: DedupWindow | None = None) -> BatchPlan:
        """What the records become."""
        return planned(records, lease, window)

    def attempt(self, records: Sequence[Record], lease: Lease) -> Attempt:
        """The records on their way."""
        return self.delivery.attempt(self.plan(records, lease), lease)

    async def deliver(self, records: Sequence[Record], lease: Lease, window: DedupWindow | None = None) -> Lease:
        """A whole batch, committed."""
        return await self.delivery.attempt(self.plan(records, lease, window), lease).run(caught_up_at=None)

    async def declare(self, records: Sequence[Record], lease: Lease) -> tuple[Manifest, Lease]:
        """A batch up to its decision: what a crash right behind it leaves."""
        manifest = await self.delivery.stage(self.plan(records, lease), lease)
        return manifest, await self.delivery.declare(manifest, lease)

    def visible(self) -> list[str]:
        """Keys of the objects of the table."""
        return sorted(key for key in self.store.objects if key.startswith("events/"))

    def manifests(self) -> list[str]:
        """Keys of all manifests."""
        return sorted(key for key in self.store.objects if key.startswith(manifest_prefix(LINEAGE, "shard")))

    async def views(self, product: str = "P") -> int:
        """All views counted of a product."""
        counts: Counts = await self.counters.counts(Entity.PRODUCT, product, Window.ALL, now=NOW)
        return counts.views


async def settled(shard: Shard, lease: Lease) -> Lease:
    """A lease without unfinished business."""
    async with asyncio.timeout(10):
        return await shard.recovery.settle(lease)
