"""Shards that the stream has forgotten before their rows ended: settled, told and ended, and their children go on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from headrace.delivery.batch import BatchPolicy
from headrace.errors import NotFoundError, UnavailableError
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectInfo, StagedObject
from headrace.leases.model import Lease, lease_prefix
from headrace.leases.sync import ShardSync
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Shard, ShardId
from tests.unit.delivery.fleet_world import IDLE_SECONDS, PATIENCE, World, event

PARENT = ShardId("shardId-000000000000")
RECEIVED = "headrace_records_received_total"


async def rows_of(world: World) -> dict[str, Lease]:
    rows = await world.leases.list(lease_prefix(await world.stream.info()))
    return {row.shard_id[-1]: row for row in rows}


async def known(world: World) -> None:
    """Rows for all shards, as if workers had been here before."""
    sync = ShardSync(
        world.leases, world.stream, await world.stream.info(),
        start="TRIM_HORIZON", clock=world.clock, metrics=world.metrics,
    )  # fmt: skip
    await sync.run()


def gaps(world: World, shard_id: str = PARENT) -> float | None:
    return world.metrics.registry.get_sample_value("headrace_data_gaps_total", {"shard": shard_id})


async def test_children_of_a_shard_that_vanished_unread_go_on_and_the_gap_is_told() -> None:
    world = World(shards=1)
    await known(world)
    await world.stream.put([event(n) for n in range(5)])
    world.stream.split(PARENT)
    world.forget(PARENT)
    await world.stream.put([event(n) for n in range(5, 25)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
    assert await world.ids() == [str(n) for n in range(5, 25)]
    assert [row.ended for row in (await rows_of(world)).values()] == [True, False, False]
    assert gaps(world) == 1


async def test_generations_that_vanished_unread_are_passed_one_after_the_other() -> None:
    world = World(shards=1)
    await known(world)
    left, right = world.stream.split(PARENT)
    await known(world)
    merged = world.stream.merge(left, right)
    for shard_id in (PARENT, left, right):
        world.forget(shard_id)
    await world.stream.put([event(n) for n in range(10)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 10)
    rows = await rows_of(world)
    assert [row.ended for row in rows.values()] == [True, True, True, False]
    assert rows[merged[-1]].ledger.received == 10
    assert [gaps(world, shard_id) for shard_id in (PARENT, left, right)] == [1, 1, 1]


class OutOfReach(MemoryStore):
    """Objects can be staged, and nothing completed."""

    async def complete(self, staged: StagedObject) -> None:
        raise UnavailableError("down")


async def test_a_batch_that_was_decided_is_finished_before_its_vanished_shard_ends() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    store = OutOfReach()
    store.__dict__.update(world.store.__dict__)
    with contextlib.suppress(asyncio.CancelledError):
        async with world.run(store) as running:
            async with asyncio.timeout(PATIENCE):
                while not any(row.intent for row in (await rows_of(world)).values()):
                    await asyncio.sleep(IDLE_SECONDS)
            running.cancel()
    world.stream.split(PARENT)
    world.forget(PARENT)
    await world.stream.put([event(n) for n in range(10, 20)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
    parent = (await rows_of(world))["0"]
    assert (parent.ended, parent.intent, parent.ledger.received) == (True, None, 10)
    assert await world.ids() == [str(n) for n in range(20)]
    assert gaps(world) is None, "it had been read to its end, as far as the times say"


async def test_what_was_read_of_a_shard_before_it_vanished_is_delivered() -> None:
    world = World(shards=1)
    world.policy = BatchPolicy(age=3600.0)  # nothing is due by itself
    await world.stream.put([event(n) for n in range(10)])
    async with world.run():
        async with asyncio.timeout(PATIENCE):
            while world.metrics.registry.get_sample_value(RECEIVED, {"shard": PARENT}) != 10:
                await asyncio.sleep(IDLE_SECONDS)
        assert await world.ids() == []
        world.stream.split(PARENT)
        world.forget(PARENT)
        await world.until(lambda ledger: ledger.received == 10)
        async with asyncio.timeout(PATIENCE):
            while not (await rows_of(world))["0"].ended:
                await asyncio.sleep(IDLE_SECONDS)
    assert await world.ids() == [str(n) for n in range(10)]
    assert gaps(world) is None


async def test_a_checkpoint_that_the_stream_refuses_does_not_end_a_shard_that_is_there() -> None:
    world = World(shards=1)
    info = await world.stream.info()
    [shard] = await world.stream.shards()
    await world.leases.create([Lease(key=lease_prefix(info) + shard.shard_id, checkpoint="7")])  # type: ignore[arg-type]
    async with world.run(), asyncio.timeout(PATIENCE):
        while (await rows_of(world))["0"].epoch < 2:  # taken, given up, taken again
            await asyncio.sleep(IDLE_SECONDS)
    assert (await rows_of(world))["0"].checkpoint == "7"


class NoBucket(MemoryStore):
    """What S3 says when the bucket does not exist."""

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        raise NotFoundError("no such bucket")
        yield


async def test_a_vanished_shard_that_could_not_be_settled_does_not_end() -> None:
    world = World(shards=1)
    await known(world)
    world.stream.split(PARENT)
    world.forget(PARENT)
    async with world.run(NoBucket()), asyncio.timeout(PATIENCE):
        while (await rows_of(world))["0"].epoch < 2:  # taken, given up, taken again
            await asyncio.sleep(IDLE_SECONDS)
    assert not (await rows_of(world))["0"].ended


class Deleted(MemoryStream):
    """A stream that may be deleted."""

    deleted = False

    async def shards(self) -> list[Shard]:
        if self.deleted:
            raise NotFoundError("events")
        return await super().shards()


async def test_a_deleted_stream_ends_the_service_and_no_row() -> None:
    world = World(shards=1)
    world.stream = stream = Deleted(world.clock, idle_seconds=IDLE_SECONDS)
    await known(world)
    stream.deleted = True
    world.forget(PARENT)
    with pytest.raises(NotFoundError):
        async with world.run() as running, asyncio.timeout(PATIENCE):
            await asyncio.wait({running})
    assert not (await rows_of(world))["0"].ended


async def test_a_shard_that_ended_leaves_no_series_behind() -> None:
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(10)])
    world.stream.split(PARENT)
    await world.stream.put([event(n) for n in range(10, 20)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 20)
        shown = world.metrics.render().decode()
        assert f'shard="{PARENT}"' not in shown
        assert 'headrace_consumer_lag_seconds{shard="shardId-000000000001"}' in shown
