"""What only the stream in memory can show on this machine's engines: resharding."""

import hashlib

import pytest

from headrace.clock import ManualClock
from headrace.errors import NotFoundError, RequestError
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import AfterSequence, Entry, Page, SequenceNumber, Shard, ShardId, TrimHorizon


def entries(count: int, *, start: int = 0) -> list[Entry]:
    return [Entry(str(n).encode(), f"key-{n}") for n in range(start, start + count)]


def in_range(shard: Shard, key: str) -> bool:
    first, last = shard.hash_range
    return first <= int.from_bytes(hashlib.md5(key.encode()).digest()) <= last


async def drain(stream: MemoryStream, shard_id: ShardId) -> list[Page]:
    reader = stream.open(shard_id, TrimHorizon())
    pages = [await reader.read()]
    while pages[-1].records:
        pages.append(await reader.read())
    return pages


def payloads(pages: list[Page]) -> list[bytes]:
    return [record.data for page in pages for record in page.records]


@pytest.fixture
def stream() -> MemoryStream:
    return MemoryStream(ManualClock())


async def test_a_split_shard_is_read_to_its_end_and_its_children_go_on(stream: MemoryStream) -> None:
    [parent] = await stream.shards()
    await stream.put(entries(50))
    low, high = stream.split(parent.shard_id)
    await stream.put(entries(50, start=50))
    shards = {shard.shard_id: shard for shard in await stream.shards()}
    assert shards[parent.shard_id].closed
    assert [shards[child].parents for child in (low, high)] == [(parent.shard_id,)] * 2
    assert shards[low].hash_range[1] + 1 == shards[high].hash_range[0]
    pages = await drain(stream, parent.shard_id)
    assert (len(payloads(pages)), pages[-1].ended) == (50, True)
    for child in (low, high):
        pages = await drain(stream, child)
        records = [record for page in pages for record in page.records]
        assert records
        assert all(in_range(shards[child], record.partition_key) for record in records)
        assert not pages[-1].ended


async def test_a_merged_shard_takes_over_the_range_of_both(stream: MemoryStream) -> None:
    [parent] = await stream.shards()
    low, high = stream.split(parent.shard_id)
    merged = stream.merge(low, high)
    shards = {shard.shard_id: shard for shard in await stream.shards()}
    assert shards[merged] == Shard(shard_id=merged, parents=(low, high))
    assert [shards[half].closed for half in (low, high)] == [True, True]
    await stream.put(entries(20))
    assert len(payloads(await drain(stream, merged))) == 20


async def test_a_reader_at_the_tip_learns_that_the_shard_was_closed(stream: MemoryStream) -> None:
    [shard] = await stream.shards()
    reader = stream.open(shard.shard_id, TrimHorizon())
    assert not (await reader.read()).ended
    stream.split(shard.shard_id)
    assert [(await reader.read()).ended for _ in range(2)] == [True, True]


async def test_a_page_that_leaves_records_behind_says_so() -> None:
    clock = ManualClock()
    stream = MemoryStream(clock, page_records=3)
    [shard] = await stream.shards()
    await stream.put(entries(5))
    reader = stream.open(shard.shard_id, TrimHorizon())
    assert 0 < (await reader.read()).behind_seconds < 0.01
    assert (await reader.read()).behind_seconds == 0
    await stream.put(entries(4))
    clock.advance(7)
    assert (await reader.read()).behind_seconds == 7


async def test_only_a_reader_at_the_tip_waits() -> None:
    clock = ManualClock()
    stream = MemoryStream(clock, page_records=3, idle_seconds=1.0)
    [shard] = await stream.shards()
    await stream.put(entries(6))
    reader = stream.open(shard.shard_id, TrimHorizon())
    await reader.read()
    await reader.read()
    assert clock.monotonic() == 0
    await reader.read()
    assert clock.monotonic() == 1.0


async def test_sequence_numbers_grow_as_numbers_not_as_text(stream: MemoryStream) -> None:
    [shard] = await stream.shards()
    await stream.put(entries(12))
    [page, _] = await drain(stream, shard.shard_id)
    numbers = [record.sequence_number for record in page.records]
    assert sorted(numbers, key=int) == numbers
    assert sorted(numbers) != numbers
    after = stream.open(shard.shard_id, AfterSequence(SequenceNumber(numbers[9])))
    assert [record.sequence_number for record in (await after.read()).records] == numbers[10:]


async def test_what_is_closed_unknown_or_no_neighbour_is_not_resharded() -> None:
    stream = MemoryStream(ManualClock(), shards=3)
    first, _, last = [shard.shard_id for shard in await stream.shards()]
    with pytest.raises(RequestError, match="not neighbours"):
        stream.merge(first, last)
    stream.split(first)
    with pytest.raises(RequestError, match="closed already"):
        stream.split(first)
    with pytest.raises(NotFoundError):
        stream.split(ShardId("nowhere"))
