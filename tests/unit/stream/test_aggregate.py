"""Aggregates on their way to the stream: what travels together, and what happens when the shards have changed."""

from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.clock import ManualClock
from headrace.errors import RequestError
from headrace.stream.aggregate import MAX_AGGREGATE_BYTES, AggregatingProducer, bundle
from headrace.stream.batcher import entry_bytes
from headrace.stream.kpl import MAGIC, decode, hash_key
from headrace.stream.memory import Disturbance, MemoryStream
from headrace.stream.ports import MAX_RECORD_BYTES, Entry, Record, Shard, ShardId, TrimHorizon
from headrace.stream.shard_map import ShardMap

FIRST = ShardId("shardId-000000000000")
entries = st.lists(
    st.builds(Entry, st.binary(max_size=200), st.text("abcd", min_size=1, max_size=3), st.none() | st.just("17")),
    max_size=60,
)


def by_letter(entry: Entry) -> Shard:
    at = ord(entry.partition_key[0]) - ord("a")
    return Shard(shard_id=ShardId(entry.partition_key[0]), hash_range=(at * 100, at * 100 + 99))


def inside(record: Entry) -> list[Entry]:
    found = decode(record.data)
    return [record] if found is None else list(found)


@given(entries, st.integers(60, 2_000))
def test_bundles_hold_every_entry_once_in_the_order_of_its_shard(given_entries: list[Entry], max_bytes: int) -> None:
    bundles = bundle(given_entries, by_letter, max_bytes=max_bytes)
    for letter in "abcd":
        carried = [entry for each in bundles if each.shard.shard_id == letter for entry in inside(each.record)]
        assert carried == [entry for entry in given_entries if entry.partition_key.startswith(letter)]
    for each in bundles:
        assert inside(each.record) == each.entries
        assert each.record.explicit_hash_key == str(each.shard.hash_range[0])
        assert entry_bytes(each.record) <= max_bytes or len(each.entries) == 1


def test_what_is_too_large_is_alone_and_what_leaves_no_room_for_more_is_plain() -> None:
    large, largest = Entry(b"x" * MAX_AGGREGATE_BYTES, "a"), Entry(b"x" * (MAX_RECORD_BYTES - 1), "a")
    first, second, third = bundle([large, Entry(b"x", "a"), largest], by_letter)
    assert ([first.entries, first.plain], [second.plain]) == ([[large], False], [False])
    assert (third.record, third.plain) == (largest, True)


def test_an_aggregate_is_filled_before_the_next_one_begins() -> None:
    bundles = bundle([Entry(b"x" * 480, f"a{n % 7}") for n in range(1_000)], by_letter)
    assert len(bundles) == 10
    assert all(len(each.record.data) > 0.96 * MAX_AGGREGATE_BYTES for each in bundles[:-1])


def numbered(count: int, keys: int) -> list[Entry]:
    return [Entry(str(n).encode(), f"key {n % keys}") for n in range(count)]


async def stored(stream: MemoryStream) -> dict[ShardId, list[Record]]:
    """What each shard holds."""
    found: dict[ShardId, list[Record]] = {}
    for shard in await stream.shards():
        reader = stream.open(shard.shard_id, TrimHorizon())
        found[shard.shard_id] = []
        while (page := await reader.read()).records:
            found[shard.shard_id] += page.records
    return found


async def read(stream: MemoryStream) -> dict[str, list[int]]:
    """By key, what a reader takes who drops what is not of the shard it reads."""
    ranges = {shard.shard_id: shard.hash_range for shard in await stream.shards()}
    found: dict[str, list[int]] = defaultdict(list)
    for shard_id, records in (await stored(stream)).items():
        first, last = ranges[shard_id]
        for record in records:
            for entry in inside(Entry(record.data, record.partition_key)):
                if first <= hash_key(entry) <= last:
                    found[entry.partition_key].append(int(entry.data))
    return found


def expected(count: int, keys: int) -> dict[str, list[int]]:
    return {f"key {k}": list(range(k, count, keys)) for k in range(keys)}


def producer_of(stream: MemoryStream, *, max_bytes: int = 4_000) -> AggregatingProducer:
    return AggregatingProducer(stream, ShardMap(stream.shards, ManualClock()), max_bytes=max_bytes)


async def test_many_events_are_few_records_and_each_is_read_once_in_the_order_of_its_key() -> None:
    stream = MemoryStream(ManualClock(), shards=4)
    await producer_of(stream).put(numbered(2_000, 40))
    assert await read(stream) == expected(2_000, 40)
    records = [record for found in (await stored(stream)).values() for record in found]
    assert len(records) < 40
    assert all(record.data.startswith(MAGIC) for record in records)


@pytest.mark.parametrize("max_bytes", [200, 4_000, 50_000])
async def test_events_of_a_put_that_the_producer_thought_of_for_a_shard_that_was_split_are_read_once(
    max_bytes: int,
) -> None:
    stream = MemoryStream(ManualClock(), shards=2)
    producer = producer_of(stream, max_bytes=max_bytes)
    every = numbered(900, 30)
    await producer.put(every[:300])
    for shard in stream.split(FIRST):
        stream.split(shard)
    await producer.put(every[300:600])
    await producer.put(every[600:])
    assert await read(stream) == expected(900, 30)


async def test_after_a_split_the_shards_are_known_anew_and_nothing_goes_astray_again() -> None:
    stream = MemoryStream(ManualClock())
    producer = producer_of(stream)
    await producer.put(numbered(300, 30))
    stream.split(FIRST)
    await producer.put(numbered(300, 30))
    before = {shard_id: len(records) for shard_id, records in (await stored(stream)).items()}
    await producer.put(numbered(300, 30))
    after = await stored(stream)
    assert all(record.data.startswith(MAGIC) for shard_id in after for record in after[shard_id][before[shard_id] :])


async def test_a_merge_makes_nothing_foreign_so_nothing_is_put_twice() -> None:
    stream = MemoryStream(ManualClock(), shards=2)
    producer = producer_of(stream)
    await producer.put(numbered(100, 10))
    merged = stream.merge(FIRST, ShardId("shardId-000000000001"))
    await producer.put(numbered(100, 10))
    found = [
        entry for record in (await stored(stream))[merged] for entry in inside(Entry(record.data, record.partition_key))
    ]
    assert sorted(int(entry.data) for entry in found) == list(range(100))


@pytest.mark.parametrize("seed", range(5))
async def test_what_fails_or_is_not_answered_is_put_again_and_nothing_is_missing(seed: int) -> None:
    clock = ManualClock()
    stream = MemoryStream(clock, shards=3, disturbance=Disturbance(seed=seed, failed_entries=0.2, lost_answers=0.2))
    producer = producer_of(stream, max_bytes=300)
    await producer.put(numbered(300, 20))
    stream.split(FIRST)
    await producer.put(numbered(600, 20)[300:])
    found = await read(stream)
    assert {key: set(numbers) for key, numbers in found.items()} == {
        key: set(numbers) for key, numbers in expected(600, 20).items()
    }


class Vague(MemoryStream):
    """A stream that does not say where a record went."""

    async def place(self, entries: Sequence[Entry]) -> Sequence[ShardId]:
        return [ShardId("") for _ in await super().place(entries)]


async def test_when_nobody_knows_where_an_aggregate_is_all_of_it_is_put_again() -> None:
    stream = Vague(ManualClock())
    await producer_of(stream).put(numbered(20, 4))
    found = await read(stream)
    assert {key: sorted(numbers) for key, numbers in found.items()} == {
        key: sorted(numbers * 2) for key, numbers in expected(20, 4).items()
    }


@pytest.mark.parametrize("bad", [Entry(b"x", ""), Entry(b"x" * MAX_RECORD_BYTES, "k")], ids=["no key", "too large"])
async def test_an_entry_that_no_stream_takes_keeps_all_from_being_sent(bad: Entry) -> None:
    stream = MemoryStream(ManualClock())
    with pytest.raises(RequestError):
        await producer_of(stream).put([*numbered(10, 2), bad])
    assert await stored(stream) == {FIRST: []}


async def test_putting_nothing_makes_no_record() -> None:
    stream = MemoryStream(ManualClock())
    await producer_of(stream).put([])
    assert await stored(stream) == {FIRST: []}
