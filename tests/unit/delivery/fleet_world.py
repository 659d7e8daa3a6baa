"""A consumer process on memory adapters, and a store that fails for a while."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.clock import SystemClock
from headrace.counters.memory import MemoryCounters
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.deliver import Delivery
from headrace.delivery.fleet import Fleet
from headrace.delivery.plan import Planner
from headrace.delivery.recover import Recovery
from headrace.delivery.shard import ShardWorker
from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import StagedObject
from headrace.leases.holding import CaughtUp
from headrace.leases.keeper import LeaseKeeper
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import TRIM_HORIZON, Lease, Ledger, lease_prefix
from headrace.leases.sync import ShardSync
from headrace.runtime import Shutdown
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry, ShardId
from headrace.stream.shard_map import ShardMap
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics

PATIENCE = 20.0
"""Seconds a condition may take; only a failure waits so long."""

CONFIRM_SECONDS = 0.1

IDLE_SECONDS = 0.005
"""Between two reads at the tip: shards that never pause starve the thread that plans."""

transformer = Transformer(Policy(), Enricher(), anonymous_key=b"k")


def event(n: int, *, hour: int = 0, key: str | None = None) -> Entry:
    payload = b'{"event_id":"%d","session_id":"s","event_type":"page_view","timestamp":%d,"product_id":"P%d"}'
    return Entry(payload % (n, 1_775_692_800 + hour * 3600, n % 3), key or str(n))


class World:
    """Everything outside of one consumer process. It outlives the consumers that `run` starts."""

    def __init__(self, shards: int = 2) -> None:
        self.clock = SystemClock()
        self.stream = MemoryStream(self.clock, shards=shards, idle_seconds=IDLE_SECONDS)
        self.store = MemoryStore()
        self.counters = MemoryCounters()
        self.leases = MemoryLeaseStore()
        self.policy = BatchPolicy(rows=50, age=0.05)
        self.metrics = Metrics()
        self.health = Health()
        self.buffer_bytes = 1 << 20
        self.trip_after = 0
        self.start = TRIM_HORIZON
        self.start_time: float | None = None
        self.reports: list[tuple[str, int, str]] = []

    @contextlib.asynccontextmanager
    async def run(self, store: MemoryStore | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """A consumer while the block runs; it drains at the end of it."""
        shutdown = Shutdown(PATIENCE)
        info = await self.stream.info()
        delivery = Delivery(
            store or self.store, self.counters, self.leases,
            lineage="l", metrics=self.metrics, clock=self.clock,
            report=lambda reason, count, example: self.reports.append((reason, count, example)),
        )  # fmt: skip
        recovery = Recovery(delivery, self.leases)
        planner = Planner(transformer, self.policy, lineage="l")
        budget = self.budget = BufferBudget(self.buffer_bytes)
        sync = ShardSync(
            self.leases, self.stream, info, start=self.start,
            clock=self.clock, metrics=self.metrics, confirm_seconds=CONFIRM_SECONDS,
        )  # fmt: skip
        shard_map = ShardMap(self.stream.shards, self.clock)

        def make_keeper(caught_up: CaughtUp) -> LeaseKeeper:
            return LeaseKeeper(
                self.leases, sync, owner="me", failover=0.3,
                caught_up=caught_up, clock=self.clock, metrics=self.metrics,
            )  # fmt: skip

        def make_worker(lease: Lease) -> ShardWorker:
            return ShardWorker(
                lease, self.stream.open, planner, delivery, recovery,
                info=info, before_end=sync.run, policy=self.policy, budget=budget,
                dedup_seconds=600, trip_after=self.trip_after,
                clock=self.clock, metrics=self.metrics, health=self.health, hash_range=shard_map.hash_range,
                is_gone=sync.is_gone, start_time=self.start_time,
            )  # fmt: skip

        self.fleet = Fleet(make_keeper, make_worker, metrics=self.metrics, health=self.health)
        running = asyncio.create_task(self.fleet.run(shutdown))
        try:
            yield running
        finally:
            shutdown.request()
            await asyncio.wait({running}, timeout=PATIENCE)
        running.result()

    def forget(self, shard_id: ShardId) -> None:
        """What retention does to a shard that was closed long ago."""
        del self.stream._shards._logs[shard_id]

    async def rows(self) -> pa.Table:
        tables = [
            pq.read_table(io.BytesIO(await self.store.get(found.key)), schema=EVENT_SCHEMA)
            async for found in self.store.list("events/")
        ]
        return pa.concat_tables([EVENT_SCHEMA.empty_table(), *tables])

    async def ids(self) -> list[str]:
        return sorted((await self.rows())["event_id"].to_pylist(), key=int)

    async def ledger(self) -> Ledger:
        total = Ledger()
        for lease in await self.leases.list(lease_prefix(await self.stream.info())):
            total = total.plus(lease.ledger)
        return total

    async def until(self, condition: Callable[[Ledger], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition(await self.ledger()):
                await asyncio.sleep(0.01)


class Unreliable(MemoryStore):
    """A store whose first uploads fail. What it holds is the inner one's."""

    def __init__(self, inner: MemoryStore, failures: int, error: Exception) -> None:
        super().__init__()
        self.__dict__.update(inner.__dict__)
        self.failures = failures
        self._error = error

    async def stage(self, key: str, body: bytes) -> StagedObject:
        if self.failures:
            self.failures -= 1
            raise self._error
        return await super().stage(key, body)
