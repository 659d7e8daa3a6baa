"""A consumer on memory adapters: what is put on the stream is landed, counted and accounted for."""

import asyncio
import hashlib
import io
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator

import pyarrow.parquet as pq
import pytest

from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Entity, Window
from headrace.delivery.batch import RECORD_BYTES, BatchPolicy
from headrace.errors import AccessError, HaltedError, RequestError, UnavailableError
from headrace.lake.layout import partition_of
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectInfo
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import SHARD_END, Lease, lease_prefix
from headrace.quarantine import from_jsonl_gz
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry
from tests.unit.delivery.fleet_world import PATIENCE, Unreliable, World, event


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


async def test_a_decided_batch_that_is_abandoned_at_a_stop_is_finished_by_the_next_owner() -> None:
    world = World(shards=1)
    granted, world.counters = world.counters, DeniedCounters()
    await world.stream.put([event(n) for n in range(10)])
    async with world.run():
        async with asyncio.timeout(PATIENCE):
            while not await refused(world):
                await asyncio.sleep(0.01)
    [row] = await world.leases.list(lease_prefix(await world.stream.info()))
    assert row.intent is not None
    assert hashlib.sha256(await world.store.get(row.intent.manifest)).hexdigest() == row.intent.sha256
    world.counters = granted
    async with world.run():
        await world.until(lambda ledger: ledger.received == 10)
    assert await world.ids() == [str(n) for n in range(10)]


async def test_a_request_that_is_refused_as_malformed_halts_its_shard_and_not_the_process() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    async with world.run(Unreliable(world.store, 10**6, RequestError("malformed"))) as running:
        with pytest.raises(RequestError):
            await eventually_refused(world)
        assert not running.done()
        assert world.metrics.registry.get_sample_value("headrace_shards_halted") == 1
    assert (await world.ledger()).received == 0


async def test_a_batch_is_delivered_when_it_is_due_though_the_next_read_takes_an_hour() -> None:
    world = World(shards=1)
    world.stream = MemoryStream(world.clock, shards=1, idle_seconds=3600.0)
    world.policy = BatchPolicy(age=0.05)
    await world.stream.put([event(n) for n in range(10)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 10)
    assert await world.ids() == [str(n) for n in range(10)]


async def test_a_stop_does_not_wait_for_a_shard_that_cannot_settle() -> None:
    world = World(shards=1)
    world.leases = TakenFrom()
    await world.stream.put([event(n) for n in range(10)])
    async with world.run(Silent()):
        async with asyncio.timeout(PATIENCE):
            while not world.leases.taken:
                await asyncio.sleep(0.01)
        asked = world.clock.monotonic()
    assert world.clock.monotonic() - asked < PATIENCE / 4


class TakenFrom(MemoryLeaseStore):
    """Leases that tell when one was taken."""

    taken = False

    async def take(self, seen: Lease, owner: str) -> Lease:
        taken = await super().take(seen, owner)
        self.taken = True
        return taken


class Silent(MemoryStore):
    """A store that cannot list, and so never says whether a row is up to date."""

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        raise UnavailableError("down")
        yield


class DeniedCounters(MemoryCounters):
    """Nobody may write."""

    async def apply(self, *_: object, **__: object) -> None:
        raise AccessError("denied")


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
            while world.budget.held < world.buffer_bytes / 2 or store.failures == 10**6:
                await asyncio.sleep(0.01)
        page = 10 * (len(event(119).data) + RECORD_BYTES)
        assert world.budget.held < world.buffer_bytes + 2 * page
        store.failures = 0
        await world.until(lambda ledger: ledger.received == 120)
    assert await world.ids() == [str(n) for n in range(120)]
    assert world.budget.held == 0


async def test_shards_that_are_behind_fill_large_batches_in_turn_where_memory_is_short() -> None:
    world = World(shards=4)
    world.stream.page_records = 10
    world.policy = BatchPolicy(age=PATIENCE)  # only the full memory makes a batch due
    world.buffer_bytes = 120 * (len(event(99).data) + RECORD_BYTES)
    keys = await keys_of_shards(world)
    await world.stream.put([event(n, key=keys[n % 4]) for n in range(400)])
    async with world.run():
        await world.until(lambda ledger: ledger.received >= 320)
    manifests = [key for key in world.store.objects if key.startswith("_intents/")]
    assert len(manifests) <= 24  # side by side the shards would fill one page each: 32 and more
    assert len(set(await world.ids())) == (await world.ledger()).received


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

    async def end(self, held: Lease, *, caught_up_at: float | None) -> Lease:
        if not self.refused:
            self.refused += 1
            raise UnavailableError("down")
        return await super().end(held, caught_up_at=caught_up_at)


async def test_an_idle_shard_is_complete_through_now() -> None:
    world = World(shards=1)
    before = world.clock.now()
    async with world.run():
        async with asyncio.timeout(PATIENCE):
            while (caught_up_at := await caught_up(world)) <= before:
                await asyncio.sleep(0.01)
    assert caught_up_at <= world.clock.now()


async def caught_up(world: World) -> float:
    leases = await world.leases.list(lease_prefix(await world.stream.info()))
    return max((lease.caught_up_at or 0.0 for lease in leases), default=0.0)


async def test_a_stream_of_nothing_but_dead_letters_stops_its_shard_and_no_other() -> None:
    world = World(shards=2)
    world.trip_after = 30
    world.policy = BatchPolicy(rows=10, age=0.05)
    good, bad = (await keys_of_shards(world))[:2]
    await world.stream.put([Entry(b"{", bad) for _ in range(100)])
    await world.stream.put([event(n, key=good) for n in range(20)])
    async with world.run():
        await world.until(lambda ledger: (ledger.dead_lettered, ledger.committed) == (30, 20))
        with pytest.raises(HaltedError, match="malformed_json"):
            await eventually_refused(world)
        assert world.metrics.registry.get_sample_value("headrace_shards_halted") == 1
        await world.stream.put([event(n, key=good) for n in range(20, 40)])
        await world.until(lambda ledger: ledger.committed == 40)
        assert world.budget.held == 0  # what the halted shard had gathered takes no room from the others
    assert (await world.ledger()).dead_lettered == 30


async def test_good_events_among_the_bad_ones_keep_the_shard_going() -> None:
    world = World(shards=1)
    world.trip_after = 30
    world.policy = BatchPolicy(rows=10, age=0.05)
    await world.stream.put([event(n) if n % 20 == 0 else Entry(b"{", "k") for n in range(100)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 100)
        await world.fleet.check()


async def eventually_refused(world: World) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await world.fleet.check()
            await asyncio.sleep(0.01)


async def keys_of_shards(world: World) -> list[str]:
    """A partition key for each shard, in order of the shards."""
    keys: dict[str, str] = {}
    for n in range(64):
        hash_key = int.from_bytes(hashlib.md5(str(n).encode(), usedforsecurity=False).digest())
        for shard in await world.stream.shards():
            if shard.hash_range[0] <= hash_key <= shard.hash_range[1]:
                keys.setdefault(shard.shard_id, str(n))
    return [keys[shard_id] for shard_id in sorted(keys)]
