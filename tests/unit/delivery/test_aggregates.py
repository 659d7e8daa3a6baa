"""A consumer and aggregates: of our producer, of KPL's, and those that KCL stopped in."""

import pytest

from headrace.clock import ManualClock
from headrace.leases.model import WHOLE, Lease, Ledger, lease_key, lease_prefix
from headrace.stream.aggregate import AggregatingProducer
from headrace.stream.kpl import encode
from headrace.stream.ports import Entry, ShardId, TrimHorizon
from headrace.stream.shard_map import ShardMap
from tests.unit.delivery.fleet_world import World, event

FIRST = ShardId("shardId-000000000000")


def producer_of(world: World, *, max_bytes: int = 2_000) -> AggregatingProducer:
    return AggregatingProducer(world.stream, ShardMap(world.stream.shards, ManualClock()), max_bytes=max_bytes)


async def test_what_is_put_in_aggregates_lands_once_each_as_if_it_had_not_been() -> None:
    world = World()
    await producer_of(world).put([event(n, hour=n % 3) for n in range(300)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 300)
    assert await world.ids() == [str(n) for n in range(300)]
    assert (await world.ledger()).foreign == 0


@pytest.mark.parametrize("read_before", [True, False], ids=["read before the split", "read after it"])
async def test_a_split_that_the_producer_does_not_know_of_loses_nothing_and_doubles_nothing(
    read_before: bool,
) -> None:
    world = World()
    producer = producer_of(world)
    await producer.put([event(n) for n in range(200)])
    if read_before:
        async with world.run():
            await world.until(lambda ledger: ledger.received == 200)
    for child in world.stream.split(FIRST):
        world.stream.split(child)
    await producer.put([event(n) for n in range(200, 400)])
    await producer.put([event(n) for n in range(400, 600)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 600)
    assert await world.ids() == [str(n) for n in range(600)]
    ledger = await world.ledger()
    assert (ledger.committed, ledger.duplicates) == (600, 0)
    assert ledger.foreign > 0
    assert world.metrics.registry.get_sample_value("headrace_records_dead_lettered_total") is None


async def test_a_merge_that_the_producer_does_not_know_of_loses_nothing_and_doubles_nothing() -> None:
    world = World()
    producer = producer_of(world)
    await producer.put([event(n) for n in range(100)])
    world.stream.merge(FIRST, ShardId("shardId-000000000001"))
    await producer.put([event(n) for n in range(100, 200)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 200)
    assert await world.ids() == [str(n) for n in range(200)]
    ledger = await world.ledger()
    assert (ledger.foreign, ledger.duplicates) == (0, 0)


async def test_foreign_records_are_told_by_a_metric_and_are_not_received() -> None:
    world = World()
    entries = [event(n) for n in range(40)]
    await world.stream.put([Entry(encode(entries), "k", "0")])
    async with world.run():
        await world.until(lambda ledger: ledger.foreign > 0)
    ledger = await world.ledger()
    assert ledger.received + ledger.foreign == 40
    sample = world.metrics.registry.get_sample_value("headrace_records_foreign_total", {"shard": FIRST})
    assert sample == ledger.foreign
    assert len(await world.ids()) == ledger.received


async def rows_of(world: World) -> list[Lease]:
    return await world.leases.list(lease_prefix(await world.stream.info()))


@pytest.mark.parametrize(("done", "left"), [(0, ["1", "2", "3"]), (2, ["3"]), (3, [])])
async def test_a_shard_that_kcl_left_within_an_aggregate_goes_on_behind_what_is_done(
    done: int, left: list[str]
) -> None:
    world = World(shards=1)
    await world.stream.put([Entry(encode([event(n) for n in range(4)]), "k"), event(4)])
    [record, _] = (await world.stream.open(FIRST, TrimHorizon()).read()).records
    key = lease_key(await world.stream.info(), FIRST)
    await world.leases.create([Lease(key=key, checkpoint=record.sequence_number, sub_sequence=done)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == len(left) + 1)
    assert await world.ids() == [*left, "4"]
    [lease] = await rows_of(world)
    assert (lease.sub_sequence, lease.ledger) == (
        WHOLE,
        Ledger(received=len(left) + 1, committed=len(left) + 1, objects=lease.ledger.objects),
    )


async def test_aggregates_larger_than_a_batch_are_landed_one_by_one_whole() -> None:
    world = World(shards=1)
    await producer_of(world, max_bytes=20_000).put([event(n) for n in range(1_000)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 1_000)
    assert await world.ids() == [str(n) for n in range(1_000)]
