"""Rows in step with the shards of a stream: in memory, of kinesis-local, and of MiniStack, which forgets at once."""

import pytest

from headrace.clock import SystemClock
from headrace.errors import NotFoundError
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease
from headrace.leases.sync import ShardSync
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import ShardId, TrimHorizon
from headrace.telemetry.metrics import Metrics
from tests.contract.engines import Gap, Port, fixtures
from tests.contract.stream_world import SHARDS, Stream, streams_without

CONFIRM_SECONDS = 0.05


class World:
    """One worker's view of a stream, and the rows."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.leases = MemoryLeaseStore()
        self.metrics = Metrics()

    async def sync(self) -> ShardSync:
        info = await self.stream.reader.info()
        return ShardSync(
            self.leases, self.stream.reader, info, start="TRIM_HORIZON",
            clock=SystemClock(), metrics=self.metrics, confirm_seconds=CONFIRM_SECONDS,
        )  # fmt: skip

    async def rows(self) -> dict[ShardId, Lease]:
        return {row.shard_id: row for row in await self.leases.list("")}

    async def end(self, shard_id: ShardId) -> None:
        held = await self.leases.take((await self.rows())[shard_id], "w")
        await self.leases.release(await self.leases.end(held, caught_up_at=None))

    @property
    def holes(self) -> float | None:
        return self.metrics.registry.get_sample_value("headrace_shard_hash_range_holes")


async def test_each_shard_has_a_row_and_no_hash_key_is_without(stream: Stream) -> None:
    world = World(stream)
    sync = await world.sync()
    assert not await sync.is_gone(ShardId("nobody's"))
    assert len(await world.rows()) == SHARDS
    assert world.holes == 0


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_children_of_split_and_merge_get_rows_and_their_parents_are_not_gone(stream: Stream) -> None:
    world = World(stream)
    sync = await world.sync()
    await sync.run()
    low, middle, high, *_ = sorted(await stream.reader.shards(), key=lambda shard: shard.hash_range)
    await stream.split(low)
    await stream.merge(middle, high)
    assert not await sync.is_gone(low.shard_id)
    rows = await world.rows()
    assert sorted(row.parents for row in rows.values() if row.parents) == [
        (low.shard_id,), (low.shard_id,), tuple(sorted((middle.shard_id, high.shard_id))),
    ]  # fmt: skip
    for parent in (low, middle, high):
        await world.end(parent.shard_id)
    await sync.run()
    assert world.holes == 0
    assert len(await world.rows()) == SHARDS + 3, "they are listed until the retention is over"


FORGETFUL = set(fixtures(Port.STREAM)).difference(fixtures(Port.STREAM, Gap.FORGETS_CLOSED_SHARDS))


@pytest.mark.parametrize("stream", ["memory", *FORGETFUL], indirect=True)
async def test_a_shard_that_an_engine_forgets_is_gone_and_its_row_goes_once_it_has_ended(stream: Stream) -> None:
    world = World(stream)
    sync = await world.sync()
    await sync.run()
    parent = (await stream.reader.shards())[0]
    reader = stream.reader.open(parent.shard_id, TrimHorizon())
    await reader.read()
    await stream.split(parent)
    if isinstance(stream.reader, MemoryStream):
        del stream.reader._shards._logs[parent.shard_id]  # as if the retention were over
    with pytest.raises(NotFoundError):
        await reader.read()
    assert await sync.is_gone(parent.shard_id)
    assert world.holes == 0
    await world.end(parent.shard_id)
    for child in (row for row in (await world.rows()).values() if parent.shard_id in row.parents):
        held = await world.leases.take(child, "w")
        await world.leases.release(await world.leases.renew(held, caught_up_at=SystemClock().now()))
    await sync.run()
    await SystemClock().sleep(CONFIRM_SECONDS)
    await sync.run()
    assert parent.shard_id not in await world.rows()
    assert len(await world.rows()) == SHARDS + 1
