"""Which shard a key belongs to, as far as is known."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import ManualClock
from headrace.errors import NotFoundError, UnavailableError
from headrace.stream.kpl import hash_key
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry, Shard, ShardId
from headrace.stream.shard_map import KEPT_SECONDS, ShardMap

ENTRY = Entry(b"", "k")
FIRST = ShardId("shardId-000000000000")


class Counted:
    """A stream whose list of shards is asked for, and how often."""

    def __init__(self, stream: MemoryStream) -> None:
        self.stream = stream
        self.calls = 0

    async def shards(self) -> list[Shard]:
        self.calls += 1
        await asyncio.sleep(0)
        return await self.stream.shards()


@given(st.integers(1, 9), st.lists(st.text("abc", min_size=1)))
async def test_a_key_is_located_on_the_open_shard_that_covers_it(shards: int, keys: list[str]) -> None:
    stream = MemoryStream(ManualClock(), shards=shards)
    stream.split(FIRST)
    shard_of = await ShardMap(stream.shards, ManualClock()).locate()
    for key in keys:
        found = shard_of(Entry(b"", key))
        assert found.hash_range[0] <= hash_key(Entry(b"", key)) <= found.hash_range[1]
        assert not found.closed


async def test_one_answer_serves_all_who_ask_at_once() -> None:
    counted = Counted(MemoryStream(ManualClock(), shards=8))
    shard_map = ShardMap(counted.shards, ManualClock())
    shards = await counted.stream.shards()
    ranges = await asyncio.gather(*(shard_map.hash_range(shard.shard_id) for shard in shards))
    assert ranges == [shard.hash_range for shard in shards]
    assert counted.calls == 1


async def test_a_shard_that_is_not_known_is_asked_for_and_a_known_one_is_not() -> None:
    counted = Counted(MemoryStream(ManualClock()))
    shard_map = ShardMap(counted.shards, ManualClock())
    await shard_map.hash_range(FIRST)
    children = counted.stream.split(FIRST)
    assert [await shard_map.hash_range(child) for child in children] == [
        (0, 2**127 - 1),
        (2**127, 2**128 - 1),
    ]
    await shard_map.hash_range(FIRST)
    assert counted.calls == 2


async def test_a_shard_that_the_stream_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        await ShardMap(MemoryStream(ManualClock()).shards, ManualClock()).hash_range(ShardId("shardId-7"))


async def test_where_keys_belong_is_asked_again_after_half_a_minute() -> None:
    clock = ManualClock()
    counted = Counted(MemoryStream(clock))
    shard_map = ShardMap(counted.shards, clock)
    assert (await shard_map.locate())(ENTRY).shard_id == FIRST
    children = counted.stream.split(FIRST)
    clock.advance(KEPT_SECONDS)
    assert (await shard_map.locate())(ENTRY).shard_id == FIRST
    clock.advance(0.1)
    assert (await shard_map.locate())(ENTRY).shard_id in children
    assert counted.calls == 2


async def test_a_stream_without_an_open_shard_is_asked_until_it_has_one() -> None:
    found: list[Shard] = []

    async def shards() -> list[Shard]:
        return found

    shard_map = ShardMap(shards, ManualClock())
    with pytest.raises(UnavailableError):
        await shard_map.locate()
    found.append(Shard(shard_id=FIRST))
    assert (await shard_map.locate())(ENTRY).shard_id == FIRST
