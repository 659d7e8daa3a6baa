"""What every stream promises, in memory and on engines that speak Kinesis."""

import time
from collections import defaultdict
from itertools import pairwise
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.errors import NotFoundError, RequestError
from headrace.settings import Settings
from headrace.stream.connect import open_producer, open_reader
from headrace.stream.ports import (
    MAX_RECORD_BYTES,
    AfterSequence,
    AtTimestamp,
    Entry,
    Latest,
    Position,
    Record,
    SequenceNumber,
    Shard,
    ShardId,
    TrimHorizon,
)
from headrace.telemetry.metrics import Metrics
from tests.contract.engines import Gap
from tests.contract.stream_world import (
    SHARDS,
    Stream,
    covers,
    fill_one_shard,
    make_kinesis_stream,
    read,
    read_all,
    records_of,
    streams_without,
    to_end,
    to_tip,
)


async def test_twelve_hundred_entries_of_one_put_arrive_once_each_and_in_order_per_key(stream: Stream) -> None:
    entries = [Entry(f"{n}".encode(), f"key-{n % 23}") for n in range(1200)]
    await stream.producer.put(entries)
    by_shard = await read_all(stream)
    assert sum(map(len, by_shard.values())) == 1200
    by_key = defaultdict(list)
    for records in by_shard.values():
        for record in records:
            by_key[record.partition_key].append(int(record.data))
    assert by_key == {f"key-{k}": list(range(k, 1200, 23)) for k in range(23)}
    assert all(by_shard.values())


async def test_a_record_is_on_the_shard_whose_hash_range_covers_its_key(stream: Stream) -> None:
    await stream.producer.put([Entry(b"x", f"clé-{n}") for n in range(100)])
    by_shard = await read_all(stream)
    for shard in await stream.reader.shards():
        assert all(covers(shard, record) for record in by_shard[shard.shard_id])


async def test_the_shards_cover_every_hash_key_exactly_once(stream: Stream) -> None:
    shards = await stream.reader.shards()
    ranges = sorted(shard.hash_range for shard in shards)
    assert len({shard.shard_id for shard in shards}) == SHARDS
    assert (ranges[0][0], ranges[-1][1]) == (0, 2**128 - 1)
    assert all(left[1] + 1 == right[0] for left, right in pairwise(ranges))
    assert not any(shard.closed or shard.parents for shard in shards)


async def test_a_stream_knows_who_it_is(stream: Stream) -> None:
    info = await stream.reader.info()
    assert info == await stream.reader.info()
    assert info.name == stream.name
    assert len(info.account) == 12
    assert abs(info.created - time.time()) < 60
    assert info.retention_seconds == 24 * 3600


async def test_pages_follow_each_other_without_gaps_or_repeats(stream: Stream) -> None:
    shard_id, records = await fill_one_shard(stream, 50)
    pages = await to_tip(stream.paged(7).open(shard_id, TrimHorizon()))
    assert records_of(pages) == records
    assert max(len(page.records) for page in pages) == 7
    assert not any(page.ended for page in pages)


async def test_a_reader_opened_again_after_any_record_goes_on_with_the_next(stream: Stream) -> None:
    shard_id, records = await fill_one_shard(stream, 30)
    for n in (0, 1, 8, 9, 10, 28, 29):
        position = AfterSequence(SequenceNumber(records[n].sequence_number))
        assert await read(stream, shard_id, position, page_records=11) == records[n + 1 :]


async def test_a_reader_can_be_opened_again_after_each_page(stream: Stream) -> None:
    shard_id, records = await fill_one_shard(stream, 20)
    found: list[Record] = []
    position: Position = TrimHorizon()
    while page := (await stream.paged(6).open(shard_id, position).read()).records:
        found += page
        position = AfterSequence(SequenceNumber(page[-1].sequence_number))
    assert found == records


async def test_sequence_numbers_grow_within_a_shard(stream: Stream) -> None:
    _, records = await fill_one_shard(stream, 30)
    numbers = [int(record.sequence_number) for record in records]
    assert numbers == sorted(set(numbers))


async def test_latest_is_what_arrives_after_the_first_read(stream: Stream) -> None:
    shard_id, _ = await fill_one_shard(stream, 3)
    reader = stream.reader.open(shard_id, Latest())
    page = await reader.read()
    assert (list(page.records), page.behind_seconds, page.ended) == ([], 0.0, False)
    await stream.producer.put([Entry(b"new", "one key")])
    assert [record.data for record in (await reader.read()).records] == [b"new"]


async def test_a_timestamp_is_the_first_record_that_arrived_no_earlier(stream: Stream) -> None:
    for n in range(12):
        await stream.producer.put([Entry(str(n).encode(), "one key")])
    [records] = [found for found in (await read_all(stream)).values() if found]
    [shard_id] = [shard for shard, found in (await read_all(stream)).items() if found]
    moment = records[-1].approximate_arrival_timestamp
    expected = [record for record in records if record.approximate_arrival_timestamp >= moment]
    assert await read(stream, shard_id, AtTimestamp(moment)) == expected
    assert len(expected) < 12
    assert await read(stream, shard_id, AtTimestamp(records[0].approximate_arrival_timestamp - 60)) == records
    assert abs(moment - time.time()) < 60


async def test_an_empty_shard_gives_empty_pages_until_something_arrives(stream: Stream) -> None:
    readers = [stream.reader.open(shard.shard_id, TrimHorizon()) for shard in await stream.reader.shards()]
    for _ in range(3):
        pages = [await reader.read() for reader in readers]
        assert not any(page.records or page.behind_seconds or page.ended for page in pages)
    await stream.producer.put([Entry(b"x", "k")])
    assert len(records_of([await reader.read() for reader in readers])) == 1


async def test_any_bytes_survive(stream: Stream) -> None:
    payloads = [b"", bytes(range(256)), b"null", b'{"a": "\xff"}']
    await stream.producer.put([Entry(payload, "ключ 🔑") for payload in payloads])
    [records] = [found for found in (await read_all(stream)).values() if found]
    assert [(record.data, record.partition_key) for record in records] == [(data, "ключ 🔑") for data in payloads]


async def test_records_of_the_largest_size_pass_though_one_call_cannot_hold_them(stream: Stream) -> None:
    largest = [Entry(bytes([n]) * (MAX_RECORD_BYTES - 1), "k") for n in range(6)]
    await stream.producer.put(largest)
    [records] = [found for found in (await read_all(stream)).values() if found]
    assert [record.data for record in records] == [entry.data for entry in largest]


@streams_without(Gap.LONG_PAGES)
async def test_a_page_has_ten_mebibytes_at_most_and_the_next_goes_on(stream: Stream) -> None:
    largest = [Entry(bytes([n]) * (MAX_RECORD_BYTES - 1), "k") for n in range(11)]
    await stream.producer.put(largest)
    pages = [
        page
        for shard in await stream.reader.shards()
        for page in await to_tip(stream.reader.open(shard.shard_id, TrimHorizon()))
    ]
    assert [record.data for record in records_of(pages)] == [entry.data for entry in largest]
    assert max(sum(len(record.data) for record in page.records) for page in pages) <= 10 * MAX_RECORD_BYTES


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_a_split_shard_is_read_to_its_end_and_its_children_go_on(stream: Stream) -> None:
    parent_id, before = await fill_one_shard(stream, 5)
    [parent] = [shard for shard in await stream.reader.shards() if shard.shard_id == parent_id]
    reader = stream.reader.open(parent_id, TrimHorizon())
    assert not any(page.ended for page in await to_tip(reader))
    await stream.split(parent)
    shards = {shard.shard_id: shard for shard in await stream.reader.shards()}
    children = sorted((shard for shard in shards.values() if shard.parents), key=lambda shard: shard.hash_range)
    assert [shard.parents for shard in children] == [(parent_id,), (parent_id,)]
    assert [children[0].hash_range[0], children[1].hash_range[1]] == list(parent.hash_range)
    assert children[0].hash_range[1] + 1 == children[1].hash_range[0]
    assert {shard.shard_id for shard in shards.values() if shard.closed} == {parent_id}
    await stream.producer.put([Entry(b"after", "one key")])
    assert [(await reader.read()).ended for _ in range(2)] == [True, True]
    assert (await to_end(stream, parent_id)) == before
    found = {child.shard_id: await read(stream, child.shard_id, TrimHorizon()) for child in children}
    [(child_id, [record])] = [(shard_id, records) for shard_id, records in found.items() if records]
    assert record.data == b"after"
    assert covers(shards[child_id], record)


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_a_merged_shard_takes_over_the_range_of_both(stream: Stream) -> None:
    low, high, *_ = sorted(await stream.reader.shards(), key=lambda shard: shard.hash_range)
    await stream.producer.put([Entry(b"before", f"key-{n}") for n in range(40)])
    await stream.merge(low, high)
    shards = {shard.shard_id: shard for shard in await stream.reader.shards()}
    [merged] = [shard for shard in shards.values() if shard.parents]
    assert merged == Shard(
        shard_id=merged.shard_id,
        parents=(low.shard_id, high.shard_id),
        hash_range=(low.hash_range[0], high.hash_range[1]),
    )
    assert [shards[half.shard_id].closed for half in (low, high)] == [True, True]
    await stream.producer.put([Entry(b"after", f"key-{n}") for n in range(40)])
    found = await read(stream, merged.shard_id, TrimHorizon())
    for half in (low, high):
        records = await to_end(stream, half.shard_id)
        assert {record.data for record in records} == {b"before"}
        assert {record.partition_key for record in found} >= {record.partition_key for record in records}
    assert {record.data for record in found} == {b"after"}
    assert all(covers(merged, record) for record in found)


@streams_without(Gap.FORGETS_CLOSED_SHARDS)
async def test_a_closed_shard_is_read_on_from_any_record_to_its_end(stream: Stream) -> None:
    shard_id, records = await fill_one_shard(stream, 6)
    [parent] = [shard for shard in await stream.reader.shards() if shard.shard_id == shard_id]
    await stream.split(parent)
    for n in (0, 3, 5):
        position = AfterSequence(SequenceNumber(records[n].sequence_number))
        assert await to_end(stream, shard_id, position, page_records=2) == records[n + 1 :]


async def test_an_oversized_entry_is_refused_before_anything_is_sent(stream: Stream) -> None:
    with pytest.raises(RequestError, match="over the limit"):
        await stream.producer.put([Entry(b"fits", "k"), Entry(b"x" * MAX_RECORD_BYTES, "k")])
    assert not any((await read_all(stream)).values())


async def test_putting_nothing_does_nothing(stream: Stream) -> None:
    await stream.producer.put([])
    assert not any((await read_all(stream)).values())


async def test_an_unknown_shard_is_not_found_when_it_is_read(stream: Stream) -> None:
    reader = stream.reader.open(ShardId("shardId-000000009999"), TrimHorizon())
    with pytest.raises(NotFoundError):
        await reader.read()


async def test_an_unknown_stream_is_not_found(kinesis: str) -> None:
    settings = Settings(stream=f"kinesis://missing-{uuid4().hex}")
    async with AwsSession(settings.region) as aws:
        async with open_reader(settings, aws, Metrics(), SystemClock()) as reader:
            with pytest.raises(NotFoundError):
                await reader.info()
        async with open_producer(settings, aws, Metrics(), SystemClock()) as producer:
            with pytest.raises(NotFoundError):
                await producer.put([Entry(b"x", "k")])


async def test_the_stream_of_the_settings_is_put_to_and_read_from(kinesis: str) -> None:
    async with AwsSession("us-east-1") as aws:
        settings = Settings(stream=f"kinesis://{await make_kinesis_stream(aws)}")
        async with open_producer(settings, aws, Metrics(), SystemClock()) as producer:
            await producer.put([Entry(b"x", "k")])
        async with open_reader(settings, aws, Metrics(), SystemClock()) as reader:
            pages = [await reader.open(shard.shard_id, TrimHorizon()).read() for shard in await reader.shards()]
    assert [record.data for record in records_of(pages)] == [b"x"]
