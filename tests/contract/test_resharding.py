"""A producer of aggregates while shards split and merge under it, and what lands of its events: each, once.

The consumer is the real one but for its loop: shards are taken in turn, parents first, each with the window that
`Recovery` rebuilds, and every record that Kinesis gives out goes through planner and delivery.
"""

import asyncio
import io
from collections.abc import Sequence
from graphlib import TopologicalSorter

import pyarrow.parquet as pq
import pytest

from headrace.clock import ManualClock, SystemClock
from headrace.counters.memory import MemoryCounters
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import Planner
from headrace.delivery.recover import Recovery
from headrace.errors import UnavailableError
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease, Ledger, lease_key
from headrace.stream.aggregate import AggregatingProducer
from headrace.stream.ports import Entry, Placer, Shard, ShardId, TrimHorizon
from headrace.stream.shard_map import ShardMap
from headrace.telemetry.metrics import Metrics
from tests.contract.engines import Gap
from tests.contract.stream_world import Stream, read, streams_without, to_end

KEYS = 29
EVENT = b'{"event_id":"%d","session_id":"s","event_type":"page_view","timestamp":1775692800,"product_id":"P"}'


def events(start: int, end: int) -> list[Entry]:
    return [Entry(EVENT % n, f"key-{n % KEYS}") for n in range(start, end)]


class Forgetful:
    """A placer that takes everything, and does not answer some of the calls."""

    def __init__(self, placer: Placer, every: int) -> None:
        self._placer = placer
        self._every = every
        self._calls = 0
        self.lost = 0

    async def put(self, entries: Sequence[Entry]) -> None:
        await self.place(entries)

    async def place(self, entries: Sequence[Entry]) -> Sequence[ShardId]:
        places = await self._placer.place(entries)
        self._calls += 1
        if self._calls % self._every == 0:
            self.lost += 1
            raise UnavailableError("nobody answered")
        return places


class Poller:
    """Puts page after page, each until it is taken, as the poller does: without an answer it comes again."""

    def __init__(self, stream: Stream, *, every: int = 1 << 30) -> None:
        self.placer = Forgetful(stream.producer, every)
        shards = ShardMap(stream.reader.shards, ManualClock())  # of its own accord it never asks again
        self._producer = AggregatingProducer(self.placer, shards, max_bytes=2_000)
        self.put = 0
        self._moved = asyncio.Event()

    async def run(self, pages: int, size: int) -> None:
        for page in range(pages):
            await self.page(events(page * size, (page + 1) * size))

    async def page(self, entries: Sequence[Entry]) -> None:
        while True:
            try:
                await self._producer.put(entries)
            except UnavailableError:
                continue
            break
        self.put += len(entries)
        self._moved.set()

    async def until(self, count: int) -> None:
        """Return once so many events are put."""
        async with asyncio.timeout(60):
            while self.put < count:
                self._moved.clear()
                await self._moved.wait()


class Consumer:
    """Lands what the shards of a stream hold."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._leases = MemoryLeaseStore()
        clock = SystemClock()
        self._delivery = Delivery(
            self._store, MemoryCounters(), self._leases, lineage="l", metrics=Metrics(), clock=clock
        )
        self._recovery = Recovery(self._delivery, self._leases)
        self._planner = Planner(
            Transformer(Policy(), Enricher(), anonymous_key=b"k"), BatchPolicy(rows=150), lineage="l"
        )

    async def land(self, stream: Stream) -> Ledger:
        """All of a stream that nobody has read so far → the sum of its shards' ledgers."""
        info, total = await stream.reader.info(), Ledger()
        shards = {shard.shard_id: shard for shard in await stream.reader.shards()}
        for shard_id in TopologicalSorter({one.shard_id: one.parents for one in shards.values()}).static_order():
            shard = shards[shard_id]
            fresh = Lease(key=lease_key(info, shard_id), parents=shard.parents)
            total = total.plus((await self._land(stream, shard, fresh)).ledger)
        return total

    async def _land(self, stream: Stream, shard: Shard, fresh: Lease) -> Lease:
        await self._leases.create([fresh])
        lease = await self._leases.take(fresh, "me")
        window = await self._recovery.window(lease, 600.0)
        read_out = to_end if shard.closed else read
        records = await read_out(stream, shard.shard_id, TrimHorizon())
        while records:
            plan = self._planner.plan(records, lease, now=0.0, window=window, hash_range=shard.hash_range)
            lease = await self._delivery.attempt(plan, lease).run(caught_up_at=None)
            window.remember(plan.event_ids, plan.last_arrival)
            del records[: plan.records]
        return await self._leases.end(lease, caught_up_at=None) if shard.closed else lease

    async def ids(self) -> list[int]:
        """Of all rows."""
        keys = [found.key async for found in self._store.list("events/")]
        tables = [pq.read_table(io.BytesIO(await self._store.get(key)), columns=["event_id"]) for key in keys]
        return sorted(int(event_id) for table in tables for event_id in table["event_id"].to_pylist())


async def open_shards(stream: Stream) -> list[Shard]:
    shards = [shard for shard in await stream.reader.shards() if not shard.closed]
    return sorted(shards, key=lambda shard: shard.hash_range)


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_events_put_while_the_stream_is_resharded_are_read_once_each(stream: Stream) -> None:
    poller = Poller(stream, every=7)
    async with asyncio.TaskGroup() as group:
        group.create_task(poller.run(pages=24, size=100))
        await poller.until(400)
        await stream.split((await open_shards(stream))[1])
        await poller.until(900)
        first, second, *_ = await open_shards(stream)
        await stream.merge(first, second)
        await poller.until(1_400)
        await stream.split((await open_shards(stream))[0])
        *_, last_but_one, last = await open_shards(stream)
        await stream.merge(last_but_one, last)
    await poller.page(events(300, 1_500))  # as a poller does that was killed before its cursor moved
    consumer = Consumer()
    ledger = await consumer.land(stream)
    assert await consumer.ids() == list(range(2_400))
    assert ledger.foreign > 0
    assert ledger.duplicates >= 1_200
    assert poller.placer.lost > 0


@streams_without(Gap.FORGETS_CLOSED_SHARDS, Gap.COUNT_EMPTIES)
async def test_a_stream_whose_shard_count_is_updated_under_load_loses_nothing(stream: Stream) -> None:
    poller = Poller(stream, every=9)
    async with asyncio.TaskGroup() as group:
        group.create_task(poller.run(pages=20, size=100))
        await poller.until(300)
        await stream.resize(8)
        await poller.until(1_000)
        await stream.resize(4)
    consumer = Consumer()
    await consumer.land(stream)
    assert await consumer.ids() == list(range(2_000))
    assert len(await open_shards(stream)) == 4


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
@pytest.mark.parametrize("reshard", ["split", "merge"])
async def test_a_page_that_comes_again_after_a_reshard_is_dropped_as_a_repeat(stream: Stream, reshard: str) -> None:
    poller = Poller(stream)
    await poller.page(events(0, 300))
    first, second, *_ = await open_shards(stream)
    if reshard == "split":
        await stream.split(first)
    else:
        await stream.merge(first, second)
    await poller.page(events(0, 300))
    consumer = Consumer()
    ledger = await consumer.land(stream)
    assert await consumer.ids() == list(range(300))
    assert (ledger.received, ledger.duplicates) == (600, 300)


@streams_without(Gap.FORGETS_CLOSED_SHARDS, Gap.NAMES_AGAIN)
async def test_shards_on_many_pages_are_all_listed(stream: Stream) -> None:
    for _ in range(3):
        await stream.split((await open_shards(stream))[0])
    shards = await stream.reader.shards()
    assert len({shard.shard_id for shard in shards}) == len(shards) == 10
    assert sum(shard.closed for shard in shards) == 3
