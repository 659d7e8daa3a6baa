"""Where reading begins: TRIM_HORIZON, LATEST, AT_TIMESTAMP, and the checkpoint before all of them."""

import asyncio

import pytest

from headrace.delivery.resume import start_position
from headrace.leases.model import AT_TIMESTAMP, LATEST, TRIM_HORIZON, Lease, lease_key, lease_prefix
from headrace.stream.ports import (
    AfterSequence,
    AtTimestamp,
    Latest,
    SequenceNumber,
    ShardId,
    StreamInfo,
    TrimHorizon,
)
from tests.unit.delivery.fleet_world import IDLE_SECONDS, PATIENCE, World, event

KEY = lease_key(StreamInfo(name="s", account="0", created=1), ShardId("shardId-000000000000"))
TEN = 1_775_728_800.0


def at(checkpoint: str) -> Lease:
    return Lease(key=KEY, checkpoint=checkpoint)


def test_each_word_of_kcl_has_its_place_and_a_checkpoint_wins() -> None:
    assert start_position(at(TRIM_HORIZON), TEN) == TrimHorizon()
    assert start_position(at(LATEST), TEN) == Latest()
    assert start_position(at(AT_TIMESTAMP), TEN) == AtTimestamp(TEN)
    assert start_position(at("7"), TEN) == AfterSequence(SequenceNumber("7"))


def test_a_time_that_was_taken_out_of_the_settings_means_the_oldest_record() -> None:
    assert start_position(at(AT_TIMESTAMP)) == TrimHorizon()


async def at_the_tip(world: World) -> None:
    """Wait until every row says that its shard was read to the tip."""
    async with asyncio.timeout(PATIENCE):
        while not all(row.caught_up_at for row in await rows_of(world)) or not await rows_of(world):
            await asyncio.sleep(IDLE_SECONDS)


async def rows_of(world: World) -> list[Lease]:
    return await world.leases.list(lease_prefix(await world.stream.info()))


async def test_from_the_trim_horizon_everything_is_read() -> None:
    world = World(shards=2)
    await world.stream.put([event(n) for n in range(20)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)


async def test_from_the_tip_only_what_comes_is_read_and_children_are_read_from_their_beginning() -> None:
    world = World(shards=1)
    world.start = LATEST
    await world.stream.put([event(n) for n in range(10)])
    async with world.run():
        await at_the_tip(world)
        await world.stream.put([event(n) for n in range(10, 20)])
        await world.until(lambda ledger: ledger.received == 10)
    [parent] = await world.stream.shards()
    world.stream.split(parent.shard_id)
    await world.stream.put([event(n) for n in range(20, 40)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 30)
    assert await world.ids() == [str(n) for n in range(10, 40)]


async def test_from_a_time_on_only_what_arrived_since_is_read_on_closed_shards_and_children_too() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    await asyncio.sleep(IDLE_SECONDS)
    world.start, world.start_time = AT_TIMESTAMP, world.clock.now()
    await world.stream.put([event(n) for n in range(10, 20)])
    [parent] = await world.stream.shards()
    world.stream.split(parent.shard_id)
    await world.stream.put([event(n) for n in range(20, 30)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
    assert await world.ids() == [str(n) for n in range(10, 30)]


@pytest.mark.parametrize("start", [LATEST, AT_TIMESTAMP])
async def test_a_checkpoint_wins_over_the_settings(start: str) -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 10)
    await world.stream.put([event(n) for n in range(10, 20)])
    world.start, world.start_time = start, world.clock.now() + 60
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
    assert await world.ids() == [str(n) for n in range(20)]
