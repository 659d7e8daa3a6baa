"""A consumer on memory adapters: what is put on the stream is landed, counted and accounted for."""

import asyncio
import contextlib
import io
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.clock import SystemClock
from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Entity, Window
from headrace.delivery.batch import RECORD_BYTES, BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.deliver import Delivery
from headrace.delivery.fleet import Fleet
from headrace.delivery.plan import Planner
from headrace.delivery.shard import ShardWorker, start_position
from headrace.delivery.window import DedupWindow
from headrace.errors import AccessError, UnavailableError
from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.layout import partition_of
from headrace.lake.memory import MemoryStore
from headrace.leases.keeper import CaughtUp, LeaseKeeper
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import SHARD_END, Lease, Ledger, lease_prefix
from headrace.quarantine import from_jsonl_gz
from headrace.runtime import Shutdown
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics

PATIENCE = 20.0
"""Seconds a condition may take; only a failure waits so long."""

transformer = Transformer(Policy(), Enricher(), anonymous_key=b"k")


def event(n: int, *, hour: int = 0, key: str | None = None) -> Entry:
    payload = b'{"event_id":"%d","session_id":"s","event_type":"page_view","timestamp":%d,"product_id":"P%d"}'
    return Entry(payload % (n, 1_775_692_800 + hour * 3600, n % 3), key or str(n))


class World:
    """Everything outside of one consumer process. It outlives the consumers that `run` starts."""

    def __init__(self, shards: int = 2) -> None:
        self.clock = SystemClock()
        self.stream = MemoryStream(shards=shards, clock=self.clock)
        self.store = MemoryStore()
        self.counters = MemoryCounters()
        self.leases = MemoryLeaseStore()
        self.policy = BatchPolicy(rows=50, age=0.05)
        self.metrics = Metrics()
        self.health = Health()
        self.buffer_bytes = 1 << 20
        self.reports: list[tuple[str, int, str]] = []

    @contextlib.asynccontextmanager
    async def run(self, store: MemoryStore | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """A consumer while the block runs; it drains at the end of it."""
        shutdown = Shutdown(PATIENCE)
        info = await self.stream.info()
        delivery = Delivery(
            store or self.store, self.counters, self.leases, lineage="l", metrics=self.metrics, clock=self.clock
        )
        planner = Planner(transformer, self.policy, lineage="l")
        budget = self.budget = BufferBudget(self.buffer_bytes)

        def make_keeper(caught_up: CaughtUp) -> LeaseKeeper:
            return LeaseKeeper(
                self.leases, self.stream, info, owner="me", failover=0.3, start="TRIM_HORIZON",
                caught_up=caught_up, clock=self.clock, metrics=self.metrics,
            )  # fmt: skip

        def make_worker(lease: Lease, keeper: LeaseKeeper) -> ShardWorker:
            return ShardWorker(
                lease, self.stream.open(lease.shard_id, start_position(lease)), planner, delivery, self.leases,
                before_end=keeper.sync, policy=self.policy, window=DedupWindow(600), budget=budget,
                clock=self.clock, metrics=self.metrics, health=self.health,
                report=lambda reason, count, example: self.reports.append((reason, count, example)),
            )  # fmt: skip

        self.fleet = Fleet(make_keeper, make_worker, metrics=self.metrics, health=self.health)
        running = asyncio.create_task(self.fleet.run(shutdown))
        try:
            yield running
        finally:
            shutdown.request()
            await asyncio.wait({running}, timeout=PATIENCE)
        running.result()

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


async def test_every_record_lands_once_in_the_folder_of_its_hour() -> None:
    world = World()
    await world.stream.put([event(n, hour=n % 5) for n in range(400)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 400)
    assert await world.ids() == [str(n) for n in range(400)]
    async for found in world.store.list("events/"):
        partition = partition_of(found.key)
        assert partition is not None
        [hour] = set(pq.read_table(io.BytesIO(await world.store.get(found.key)))["event_time"].to_pylist())
        assert partition.hour == f"{hour:%H}"


async def test_counts_equal_the_rows() -> None:
    world = World()
    await world.stream.put([event(n) for n in range(100)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 100)
    landed = Counter((await world.rows())["product_id"].to_pylist())
    for product, views in landed.items():
        counts = await world.counters.counts(Entity.PRODUCT, product, Window.ALL, now=world.clock.now())
        assert counts.views == views


async def test_poison_goes_to_the_dead_letters_and_its_neighbours_land() -> None:
    world = World(shards=1)
    await world.stream.put([event(0), Entry(b"\xff{", "k"), event(1), Entry(b'{"event_type":"x"}', "k"), event(2)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 5)
    assert await world.ids() == ["0", "1", "2"]
    [letters] = [found.key async for found in world.store.list("failed_transformation_records/")]
    envelopes = from_jsonl_gz(await world.store.get(letters))
    assert [(letter.reason, b64decode(letter.payload)) for letter in envelopes] == [
        ("malformed_json", b"\xff{"),
        ("missing_field", b'{"event_type":"x"}'),
    ]
    assert all(letter.position.startswith("shardId-") for letter in envelopes)
    assert (await world.ledger()).dead_lettered == 2
    assert sorted(world.reports) == [("malformed_json", 1, letters), ("missing_field", 1, letters)]


async def test_an_event_put_twice_lands_once() -> None:
    world = World(shards=1)
    await world.stream.put([event(1), event(1), event(2)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 3)
        await world.stream.put([event(2), event(3)])
        await world.until(lambda ledger: ledger.received == 5)
    assert await world.ids() == ["1", "2", "3"]
    assert (await world.ledger()).duplicates == 2


async def test_what_is_gathered_when_told_to_stop_is_delivered_and_the_next_one_goes_on_behind_it() -> None:
    world = World()
    world.policy = BatchPolicy(age=3600.0)  # nothing is due by itself
    await world.stream.put([event(n) for n in range(100)])
    async with world.run():
        await world.until(lambda _: world.metrics.registry.get_sample_value("headrace_leases_held") == 2)
        received = "headrace_records_received_total"
        async with asyncio.timeout(PATIENCE):
            while (
                sum(
                    world.metrics.registry.get_sample_value(received, {"shard": shard.shard_id}) or 0
                    for shard in await world.stream.shards()
                )
                < 100
            ):
                await asyncio.sleep(0.01)
        assert await world.ids() == []
    assert len(await world.ids()) == 100
    await world.stream.put([event(n) for n in range(100, 150)])
    world.policy = BatchPolicy(age=0.05)
    async with world.run():
        await world.until(lambda ledger: ledger.received == 150)
    assert await world.ids() == [str(n) for n in range(150)]


async def test_a_split_shard_is_read_to_its_end_and_then_its_children() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(50)])
    [parent] = await world.stream.shards()
    world.stream.split(parent.shard_id)
    await world.stream.put([event(n) for n in range(50, 100)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 100)
    assert await world.ids() == [str(n) for n in range(100)]
    rows = await world.leases.list(lease_prefix(await world.stream.info()))
    assert [row.checkpoint == SHARD_END for row in rows] == [True, False, False]


async def test_a_batch_is_cut_where_it_would_touch_too_many_partitions() -> None:
    world = World(shards=1)
    world.policy = BatchPolicy(rows=1000, partitions=3, age=0.05)
    await world.stream.put([event(n, hour=n // 2) for n in range(20)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
    keys = [found.key async for found in world.store.list("events/")]
    batches = Counter(key.rsplit("-", 2)[1] for key in keys)
    assert await world.ids() == [str(n) for n in range(20)]
    assert max(batches.values()) == 3
    assert len(keys) == 10


class Unreliable(MemoryStore):
    """A store that fails its first writes."""

    def __init__(self, inner: MemoryStore, failures: int, error: Exception) -> None:
        super().__init__()
        self._inner = inner
        self.failures = failures
        self._error = error

    async def put(self, key: str, body: bytes, *, metadata: object = None) -> None:
        if self.failures:
            self.failures -= 1
            raise self._error
        await self._inner.put(key, body)


async def test_a_store_that_is_down_for_a_while_loses_nothing() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    async with world.run(Unreliable(world.store, 2, UnavailableError("down"))):
        await world.until(lambda ledger: ledger.received == 10)
    assert await world.ids() == [str(n) for n in range(10)]


async def test_a_store_that_refuses_us_holds_the_shard_at_its_place_until_it_lets_us_in() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    store = Unreliable(world.store, 10**6, AccessError("denied"))
    async with world.run(store) as running:
        async with asyncio.timeout(PATIENCE):
            while not await refused(world):
                await asyncio.sleep(0.01)
        assert (await world.ledger()).received == 0
        assert not running.done()
        store.failures = 0
        await world.until(lambda ledger: ledger.received == 10)
        await world.fleet.check()
    assert await world.ids() == [str(n) for n in range(10)]


async def refused(world: World) -> bool:
    try:
        await world.fleet.check()
    except AccessError:
        return True
    return False


async def test_no_more_is_fetched_than_the_process_may_hold_and_all_of_it_lands_in_the_end() -> None:
    world = World(shards=2)
    world.stream.page_records = 10
    world.policy = BatchPolicy(age=1.0)  # the full memory makes it due before
    world.buffer_bytes = 8_000
    await world.stream.put([event(n) for n in range(120)])
    store = Unreliable(world.store, 10**6, UnavailableError("down"))
    async with world.run(store):
        async with asyncio.timeout(PATIENCE):
            while not world.budget.full or store.failures == 10**6:
                await asyncio.sleep(0.01)
        page = 10 * (len(event(119).data) + RECORD_BYTES)
        assert world.budget.held < world.buffer_bytes + 2 * page
        store.failures = 0
        await world.until(lambda ledger: ledger.received == 120)
    assert await world.ids() == [str(n) for n in range(120)]
    assert world.budget.held == 0


async def test_an_end_of_a_shard_that_cannot_be_told_yet_is_told_later() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    [parent] = await world.stream.shards()
    world.stream.split(parent.shard_id)
    await world.stream.put([event(n) for n in range(10, 20)])
    world.leases = EndsLate()
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
    assert await world.ids() == [str(n) for n in range(20)]
    assert world.leases.refused == 1


class EndsLate(MemoryLeaseStore):
    """Leases whose store is out of reach when the first shard ends."""

    refused = 0

    async def commit(self, held: Lease, *, checkpoint: str, **more: Any) -> Lease:
        if checkpoint == SHARD_END and not self.refused:
            self.refused += 1
            raise UnavailableError("down")
        return await super().commit(held, checkpoint=checkpoint, **more)


async def test_an_idle_shard_is_complete_through_now() -> None:
    world = World(shards=1)
    before = world.clock.now()
    async with world.run():
        async with asyncio.timeout(PATIENCE):
            while True:
                [lease, *_] = await world.leases.list(lease_prefix(await world.stream.info())) or [None]
                if lease is not None and (lease.caught_up_at or 0) > before:
                    break
                await asyncio.sleep(0.01)
    assert lease.caught_up_at is not None
    assert lease.caught_up_at <= world.clock.now()
