"""Where records go, as producers are told and as they say: on every stream. And aggregates, which live by it."""

from collections import defaultdict
from collections.abc import Sequence

import pytest

from headrace.clock import ManualClock
from headrace.delivery.unpack import unpack
from headrace.errors import NotFoundError
from headrace.leases.model import Lease, LeaseKey
from headrace.stream.aggregate import AggregatingProducer
from headrace.stream.kpl import MAGIC, hash_key
from headrace.stream.ports import HASH_KEYS, AtSequence, Entry, Record, SequenceNumber, ShardId, TrimHorizon
from headrace.stream.shard_map import ShardMap
from tests.contract.engines import Gap
from tests.contract.stream_world import Stream, fill_one_shard, read, read_all, streams_without, to_end

LEASE = Lease(key=LeaseKey("account:stream:1:shard"))


async def test_a_producer_is_told_the_shard_of_each_entry(stream: Stream) -> None:
    entries = [Entry(str(n).encode(), f"key-{n}") for n in range(600)]
    places = await stream.producer.place(entries)
    assert len(places) == 600
    for shard_id, records in (await read_all(stream)).items():
        assert {int(record.data) for record in records} == {n for n in range(600) if places[n] == shard_id}


async def test_an_explicit_hash_key_decides_in_place_of_the_partition_key(stream: Stream) -> None:
    shards = await stream.reader.shards()
    hash_keys = [str(bound) for shard in shards for bound in shard.hash_range]
    places = await stream.producer.place([Entry(b"x", "one key", key) for key in hash_keys])
    assert list(places) == [shard.shard_id for shard in shards for _ in range(2)]


async def test_a_reader_opened_at_a_record_begins_with_it(stream: Stream) -> None:
    shard_id, records = await fill_one_shard(stream, 12)
    for n in (0, 1, 8, 11):
        position = AtSequence(SequenceNumber(records[n].sequence_number))
        assert await read(stream, shard_id, position, page_records=5) == records[n:]


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_a_closed_shard_is_read_from_any_record_to_its_end(stream: Stream) -> None:
    shard_id, records = await fill_one_shard(stream, 4)
    [parent] = [shard for shard in await stream.reader.shards() if shard.shard_id == shard_id]
    await stream.split(parent)
    for n in range(4):
        assert await to_end(stream, shard_id, AtSequence(SequenceNumber(records[n].sequence_number))) == records[n:]


@streams_without(Gap.OPENS_AT_NOTHING)
async def test_a_record_of_no_shard_is_not_found(stream: Stream) -> None:
    shard_id, _ = await fill_one_shard(stream, 1)
    with pytest.raises(NotFoundError):
        await stream.reader.open(shard_id, AtSequence(SequenceNumber("1"))).read()


def producer_of(stream: Stream) -> AggregatingProducer:
    return AggregatingProducer(stream.producer, ShardMap(stream.reader.shards, ManualClock()), max_bytes=2_000)


def numbered(start: int, end: int) -> list[Entry]:
    return [Entry(str(n).encode(), f"key-{n % 29}") for n in range(start, end)]


async def open_ones(stream: Stream) -> dict[ShardId, list[Record]]:
    return {
        shard.shard_id: await read(stream, shard.shard_id, TrimHorizon())
        for shard in await stream.reader.shards()
        if not shard.closed
    }


async def landed(stream: Stream, found: dict[ShardId, Sequence[Record]]) -> dict[str, list[int]]:
    """What a consumer takes out of these records of each shard, by partition key."""
    ranges = {shard.shard_id: shard.hash_range for shard in await stream.reader.shards()}
    by_key: dict[str, list[int]] = defaultdict(list)
    for shard_id, records in found.items():
        if records:
            for each in unpack(records, LEASE, hash_range=ranges[shard_id], limit=1_000_000).records:
                by_key[each.partition_key].append(int(each.data))
    return by_key


async def test_an_aggregated_put_comes_out_as_its_events_in_order_per_key(stream: Stream) -> None:
    await producer_of(stream).put(numbered(0, 1_200))
    found = await read_all(stream)
    assert await landed(stream, {**found}) == {f"key-{k}": list(range(k, 1_200, 29)) for k in range(29)}
    records = [record for each in found.values() for record in each]
    assert len(records) < 60
    assert all(record.data.startswith(MAGIC) for record in records)


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_an_aggregated_put_after_a_split_comes_out_once_and_in_order_per_key(stream: Stream) -> None:
    producer = producer_of(stream)
    await producer.put(numbered(0, 400))
    shards = {shard.shard_id: shard for shard in await stream.reader.shards()}
    # A key in the upper half of its shard: the aggregates of that shard go to the child with the lower one.
    moved = next(
        shard
        for shard in shards.values()
        for entry in numbered(0, 29)
        if sum(shard.hash_range) // 2 + 1 < hash_key(entry) <= shard.hash_range[1] < HASH_KEYS
    )
    await stream.split(moved)
    await producer.put(numbered(400, 800))
    await producer.put(numbered(800, 1_200))
    found: dict[ShardId, Sequence[Record]] = {moved.shard_id: await to_end(stream, moved.shard_id)}
    found |= await open_ones(stream)
    assert await landed(stream, found) == {f"key-{k}": list(range(k, 1_200, 29)) for k in range(29)}
    ranges = {shard.shard_id: shard.hash_range for shard in await stream.reader.shards()}
    foreign = [
        unpack(records, LEASE, hash_range=ranges[shard_id], limit=1_000_000).foreign
        for shard_id, records in found.items()
        if records
    ]
    assert sum(foreign) > 0
