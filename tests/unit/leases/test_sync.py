"""Rows in step with a stream's shards, seen by one worker: what it needs more than one look for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from headrace.clock import ManualClock
from headrace.errors import AccessError, ConflictError, NotFoundError, UnavailableError
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.sync import CONFIRM_SECONDS, SYNC_SECONDS, ShardSync
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Shard, ShardId, StreamInfo
from headrace.telemetry.metrics import Metrics

DAY = 86_400.0


class Stream(MemoryStream):
    """A stream whose list of shards can be spoiled."""

    looks = 0
    shown: Sequence[Shard] | None = None
    made_anew = False
    deleted = False

    async def shards(self) -> list[Shard]:
        self.looks += 1
        await asyncio.sleep(0)
        if self.deleted:
            raise NotFoundError("events")
        return await super().shards() if self.shown is None else list(self.shown)

    async def info(self) -> StreamInfo:
        if self.deleted:
            raise NotFoundError("events")
        info = await super().info()
        return replace(info, created=info.created + 1) if self.made_anew else info


class Leases(MemoryLeaseStore):
    """Rows that may be read, but not removed while `refusal` is set."""

    refusal: Exception | None = None

    async def remove(self, seen: Lease, *, now: float) -> None:
        if self.refusal is not None:
            raise self.refusal
        await super().remove(seen, now=now)


class World:
    """A stream of one shard, its rows, and a worker that looks at them."""

    def __init__(self, shards: int = 1, *, roll: float = 0.0) -> None:
        self.clock = ManualClock()
        self.stream = Stream(self.clock, shards=shards)
        self.leases = Leases()
        self.metrics = Metrics()
        self.roll = roll

    async def sync(self) -> ShardSync:
        return ShardSync(
            self.leases, self.stream, await self.stream.info(), start="TRIM_HORIZON",
            clock=self.clock, metrics=self.metrics, roll=lambda: self.roll,
        )  # fmt: skip

    async def rows(self) -> list[Lease]:
        return await self.leases.list("")

    async def shard_ids(self) -> list[str]:
        return [row.shard_id[-1] for row in await self.rows()]

    async def end(self, shard: int) -> None:
        held = await self.leases.take((await self.rows())[shard], "w")
        await self.leases.release(await self.leases.end(held, caught_up_at=None))

    @property
    def holes(self) -> float | None:
        return self.metrics.registry.get_sample_value("headrace_shard_hash_range_holes")


async def reshared_and_forgotten(*, ended: bool) -> tuple[World, ShardSync]:
    """A shard that was split, and that the stream has forgotten since; its children are read."""
    world = World()
    sync = await world.sync()
    await sync.run()
    world.stream.split(ShardId("shardId-000000000000"))
    await sync.run()
    if ended:
        await world.end(0)
    world.clock.advance(DAY)
    for child in (await world.rows())[1:]:
        held = await world.leases.take(child, "w")
        await world.leases.release(await world.leases.renew(held, caught_up_at=world.clock.now()))
    return world, sync


async def test_the_row_of_a_shard_past_retention_is_removed_by_the_second_look() -> None:
    world, sync = await reshared_and_forgotten(ended=True)
    await sync.run()
    world.clock.advance(CONFIRM_SECONDS - 0.1)
    await sync.run()
    assert await world.shard_ids() == ["0", "1", "2"]
    world.clock.advance(0.1)
    await sync.run()
    assert await world.shard_ids() == ["1", "2"]
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert await world.shard_ids() == ["1", "2"]


async def test_a_row_that_is_touched_between_the_looks_is_looked_at_twice_again() -> None:
    world, sync = await reshared_and_forgotten(ended=True)
    await sync.run()
    await world.leases.take((await world.rows())[0], "curious")
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert await world.shard_ids() == ["0", "1", "2"]
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert await world.shard_ids() == ["1", "2"]


@pytest.mark.parametrize("spoiled", ["cut short", "down", "deleted", "made anew"])
async def test_no_row_is_removed_by_a_list_that_failed_or_was_not_whole(spoiled: str) -> None:
    world, sync = await reshared_and_forgotten(ended=True)
    await sync.run()
    if spoiled == "cut short":
        world.stream.shown = (await world.stream.shards())[:1]
    world.stream.deleted, world.stream.made_anew = spoiled == "deleted", spoiled == "made anew"
    if spoiled == "down":
        world.leases.refusal = UnavailableError("down")
    for _ in range(3):
        world.clock.advance(CONFIRM_SECONDS)
        if spoiled in {"deleted", "made anew"}:
            with pytest.raises(NotFoundError):
                await sync.run()
        else:
            await sync.run()
    assert await world.shard_ids() == ["0", "1", "2"]


async def test_a_row_that_changes_while_it_is_to_be_removed_stays_and_costs_nothing() -> None:
    world, sync = await reshared_and_forgotten(ended=True)
    await sync.run()
    world.leases.refusal = ConflictError("somebody took it")
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert await world.shard_ids() == ["0", "1", "2"]


async def test_a_worker_that_may_not_remove_rows_goes_on_adding_them() -> None:
    world, sync = await reshared_and_forgotten(ended=True)
    world.leases.refusal = AccessError("UpdateItem denied")
    await sync.run()
    world.stream.split(ShardId("shardId-000000000001"))
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert await world.shard_ids() == ["0", "1", "2", "3", "4"]


async def test_rows_of_replays_and_of_a_former_life_of_the_stream_are_left_alone() -> None:
    world, sync = await reshared_and_forgotten(ended=True)
    others = [Lease(key=LeaseKey(key), checkpoint="SHARD_END") for key in ("0:replay:0:r1-a", "0:memory:7:shardId-0")]
    await world.leases.create(others)
    for _ in range(3):
        world.clock.advance(CONFIRM_SECONDS)
        await sync.run()
    assert [row for row in await world.rows() if row.ended] == sorted(others, key=lambda row: row.key)


async def test_an_unfinished_shard_past_retention_is_gone_after_a_second_look() -> None:
    world, sync = await reshared_and_forgotten(ended=False)
    before = world.clock.monotonic()
    assert await sync.is_gone(ShardId("shardId-000000000000"))
    assert world.clock.monotonic() - before >= CONFIRM_SECONDS
    assert await world.shard_ids() == ["0", "1", "2"]


async def test_a_shard_that_is_listed_is_not_gone_and_one_that_comes_back_neither() -> None:
    world, sync = await reshared_and_forgotten(ended=False)
    assert not await sync.is_gone(ShardId("shardId-000000000001"))
    world.clock.advance(CONFIRM_SECONDS)
    children = await world.stream.shards()
    world.stream.shown = [Shard(shard_id=ShardId("shardId-000000000000"), closed=True), *children]
    assert not await sync.is_gone(ShardId("shardId-000000000000"))


async def test_no_shard_of_a_deleted_stream_is_gone() -> None:
    world, sync = await reshared_and_forgotten(ended=False)
    world.stream.deleted = True
    with pytest.raises(NotFoundError):
        await sync.is_gone(ShardId("shardId-000000000000"))
    assert not any(row.ended for row in await world.rows())


async def test_a_hole_is_told_when_a_second_look_finds_it_too_and_no_more_once_it_is_closed() -> None:
    world = World(shards=2)
    sync = await world.sync()
    await sync.run()
    await world.end(0)  # by mistake: the shard is open
    await sync.run()
    assert world.holes == 0
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert world.holes == 1
    await world.leases.create([replace((await world.rows())[1], key=LeaseKey("x"))])
    world.leases._rows = {key: replace(row, checkpoint="7") for key, row in world.leases._rows.items()}
    await sync.run()
    assert world.holes == 0


async def test_a_row_that_somebody_deleted_is_added_again_at_the_next_look() -> None:
    world = World(shards=2)
    sync = await world.sync()
    await sync.run()
    await world.end(0)
    await world.leases.remove((await world.rows())[0], now=world.clock.now())
    await sync.run()
    assert await world.shard_ids() == ["0", "1"]
    world.clock.advance(CONFIRM_SECONDS)
    await sync.run()
    assert world.holes == 0


async def test_shards_that_end_together_share_a_look() -> None:
    world = World()
    sync = await world.sync()
    await asyncio.gather(*(sync.run() for _ in range(50)))
    assert world.stream.looks <= 2


async def test_who_asks_during_a_look_gets_one_that_began_later() -> None:
    world = World()
    sync = await world.sync()
    under_way = asyncio.Event()
    shards = world.stream.shards

    class Slow(Stream):
        async def shards(self) -> list[Shard]:
            found = await shards()
            if not under_way.is_set():
                under_way.set()
                world.stream.split(ShardId("shardId-000000000000"))
                await asyncio.sleep(0)
            return found

    sync._reader = Slow(world.clock)
    first = asyncio.create_task(sync.run())
    await under_way.wait()
    await sync.run()
    assert await world.shard_ids() == ["0", "1", "2"]
    await first


@pytest.mark.parametrize(("roll", "expected"), [(0.0, SYNC_SECONDS), (1.0, SYNC_SECONDS * 0.8)])
async def test_looks_come_every_half_minute_or_a_little_earlier(roll: float, expected: float) -> None:
    world = World(roll=roll)
    sync = await world.sync()
    await sync.run_if_due()
    world.clock.advance(expected - 0.1)
    await sync.run_if_due()
    assert world.stream.looks == 1
    world.clock.advance(0.1)
    await sync.run_if_due()
    assert world.stream.looks == 2
