"""What the stream in memory does that an engine cannot be made to show: limits, bad luck, and time passing."""

import asyncio
from collections import Counter

import pytest

from headrace.clock import ManualClock
from headrace.errors import NotFoundError, RequestError, ThrottledError, UnavailableError
from headrace.stream.memory import Disturbance, Limits, MemoryStream
from headrace.stream.memory.limits import MIB, Allowance
from headrace.stream.memory.service import ExpiredIteratorError, PutFault
from headrace.stream.ports import HASH_KEYS, AfterSequence, Entry, Latest, Page, SequenceNumber, ShardId, TrimHorizon

FIRST = ShardId("shardId-000000000000")
DAY = 86_400.0


def entries(count: int, *, start: int = 0, size: int = 0) -> list[Entry]:
    return [Entry(str(n).encode().ljust(size, b" "), f"key-{n}") for n in range(start, start + count)]


async def drain(stream: MemoryStream, shard_id: ShardId = FIRST) -> list[Page]:
    reader = stream.open(shard_id, TrimHorizon())
    pages = [await reader.read()]
    while pages[-1].behind_seconds:
        pages.append(await reader.read())
    return pages


def numbers(*pages: Page) -> list[int]:
    return [int(record.data) for page in pages for record in page.records]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream(clock: ManualClock) -> MemoryStream:
    return MemoryStream(clock)


@pytest.fixture
def limited(clock: ManualClock) -> MemoryStream:
    return MemoryStream(clock, limits=Limits())


async def test_a_page_that_leaves_records_behind_says_so(clock: ManualClock) -> None:
    stream = MemoryStream(clock, page_records=3)
    await stream.put(entries(5))
    reader = stream.open(FIRST, TrimHorizon())
    assert 0 < (await reader.read()).behind_seconds < 0.01
    assert (await reader.read()).behind_seconds == 0
    await stream.put(entries(4))
    clock.advance(7)
    assert (await reader.read()).behind_seconds == 7


async def test_only_a_reader_at_the_tip_waits(clock: ManualClock) -> None:
    stream = MemoryStream(clock, page_records=3, idle_seconds=1.0)
    await stream.put(entries(6))
    reader = stream.open(FIRST, TrimHorizon())
    await reader.read()
    await reader.read()
    assert clock.monotonic() == 0
    await reader.read()
    assert clock.monotonic() == 1.0


async def test_sequence_numbers_grow_as_numbers_not_as_text(stream: MemoryStream) -> None:
    await stream.put(entries(12))
    [page] = await drain(stream)
    found = [record.sequence_number for record in page.records]
    assert sorted(found, key=int) == found
    assert sorted(found) != found


async def test_what_is_closed_unknown_or_no_neighbour_is_not_resharded(clock: ManualClock) -> None:
    stream = MemoryStream(clock, shards=3)
    first, _, last = [shard.shard_id for shard in await stream.shards()]
    with pytest.raises(RequestError, match="not neighbours"):
        stream.merge(first, last)
    stream.split(first)
    with pytest.raises(RequestError, match="closed already"):
        stream.split(first)
    with pytest.raises(NotFoundError):
        stream.split(ShardId("nowhere"))


async def test_a_shard_is_split_in_halves_or_where_it_is_said_but_not_at_its_ends(stream: MemoryStream) -> None:
    for wrong in (0, HASH_KEYS):
        with pytest.raises(RequestError, match="cannot be split at"):
            stream.split(FIRST, at=wrong)
    lower, upper = stream.split(FIRST, at=10)
    stream.split(upper)
    ranges = [shard.hash_range for shard in await stream.shards() if not shard.closed]
    middle = (10 + HASH_KEYS) // 2
    assert ranges == [(0, 9), (10, middle - 1), (middle, HASH_KEYS - 1)]
    assert lower != upper


async def test_a_sequence_number_of_another_shard_is_not_found(stream: MemoryStream) -> None:
    await stream.put(entries(1))
    [of_parent] = (await stream.open(FIRST, TrimHorizon()).read()).records
    children = stream.split(FIRST)
    await stream.put(entries(1))
    [of_child] = [record for child in children for page in await drain(stream, child) for record in page.records]
    for shard_id, record in [(children[0], of_parent), (FIRST, of_child)]:
        with pytest.raises(NotFoundError, match="has never had a record"):
            await stream.open(shard_id, AfterSequence(SequenceNumber(record.sequence_number))).read()


# What a shard takes


def test_an_allowance_comes_back_with_time_and_never_over_one_second() -> None:
    allowance = Allowance(10.0, 0.0)
    allowance.use(25.0)
    assert [allowance.left(moment) for moment in (0.0, 1.0, 1.5, 2.0, 60.0)] == [-15.0, -5.0, 0.0, 5.0, 10.0]


async def test_a_shard_takes_a_thousand_records_a_second_and_names_those_it_does_not(
    clock: ManualClock, limited: MemoryStream
) -> None:
    taken = [Counter(limited.kinesis.put_records(entries(400))) for _ in range(3)]
    assert taken == [{None: 400}, {None: 400}, {None: 200, PutFault.THROTTLED: 200}]
    clock.advance(0.25)
    assert Counter(limited.kinesis.put_records(entries(400))) == {None: 250, PutFault.THROTTLED: 150}


async def test_a_shard_takes_a_mebibyte_a_second_and_a_smaller_record_may_pass_a_larger_one(
    limited: MemoryStream,
) -> None:
    large = Entry(b"x" * (MIB - 100), "k")
    assert limited.kinesis.put_records([large, large, Entry(b"small", "k")]) == [None, PutFault.THROTTLED, None]


async def test_another_shard_has_limits_of_its_own(clock: ManualClock) -> None:
    stream = MemoryStream(clock, shards=4, limits=Limits())
    results = [result for _ in range(4) for result in stream.kinesis.put_records(entries(500))]
    assert results == [None] * 2000


async def test_a_put_over_the_rate_waits_and_loses_nothing(clock: ManualClock, limited: MemoryStream) -> None:
    await limited.put(entries(3000))
    assert clock.monotonic() >= 2.0
    assert sorted(numbers(*await drain(limited))) == list(range(3000))


async def test_a_put_that_gets_nothing_through_gives_up(clock: ManualClock) -> None:
    stuck = MemoryStream(clock, limits=Limits(write_records=0.0))
    with pytest.raises(ThrottledError):
        await stuck.put(entries(1))
    broken = MemoryStream(clock, disturbance=Disturbance(failed_entries=1.0))
    with pytest.raises(UnavailableError, match="InternalFailure for 2 of 2"):
        await broken.put(entries(2))
    assert numbers(*await drain(broken)) == []


async def test_a_call_over_its_limits_is_refused(stream: MemoryStream) -> None:
    with pytest.raises(RequestError, match="1 to 500 records"):
        stream.kinesis.put_records(entries(501))


# What a shard gives


async def test_a_shard_answers_five_reads_a_second_to_all_its_readers_together(
    clock: ManualClock, limited: MemoryStream
) -> None:
    readers = [limited.open(FIRST, TrimHorizon()) for _ in range(2)]
    for _ in range(10):
        for reader in readers:
            await reader.read()
    assert clock.monotonic() >= 3.0


async def test_a_large_page_is_paid_for_by_waiting(clock: ManualClock) -> None:
    stream = MemoryStream(clock, limits=Limits(write_bytes=100.0 * MIB))
    await stream.put(entries(30, size=MIB - 10))
    reader = stream.open(FIRST, TrimHorizon())
    assert len((await reader.read()).records) == 10
    assert clock.monotonic() == 0
    assert len((await reader.read()).records) == 10
    assert clock.monotonic() >= 4.0


async def test_a_throttled_call_keeps_its_iterator(limited: MemoryStream) -> None:
    iterator = limited.kinesis.get_shard_iterator(FIRST, TrimHorizon())
    for _ in range(5):
        limited.kinesis.get_records(iterator, 10)
    with pytest.raises(ThrottledError):
        limited.kinesis.get_records(iterator, 10)


async def test_a_cancelled_read_loses_nothing(clock: ManualClock) -> None:
    stream = MemoryStream(clock, limits=Limits(), page_records=2)
    await stream.put(entries(4))
    reader = stream.open(FIRST, TrimHorizon())
    assert numbers(await reader.read()) == [0, 1]
    read = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    read.cancel()
    await asyncio.wait([read])
    assert numbers(await reader.read()) == [2, 3]


# Iterators


async def test_an_iterator_is_good_for_five_minutes(clock: ManualClock, stream: MemoryStream) -> None:
    iterator = stream.kinesis.get_shard_iterator(FIRST, TrimHorizon())
    clock.advance(300)
    stream.kinesis.get_records(iterator, 10)
    clock.advance(1)
    with pytest.raises(ExpiredIteratorError):
        stream.kinesis.get_records(iterator, 10)


async def test_a_reader_whose_iterator_expired_goes_on_after_the_last_record_returned(
    clock: ManualClock, stream: MemoryStream
) -> None:
    reader = stream.open(FIRST, TrimHorizon())
    await stream.put(entries(2))
    found = numbers(await reader.read())
    for start in (2, 4):
        clock.advance(600)
        await stream.put(entries(2, start=start))
        found += numbers(await reader.read())
    assert found == [0, 1, 2, 3, 4, 5]


async def test_latest_still_means_the_first_read_after_its_iterator_expired(
    clock: ManualClock, stream: MemoryStream
) -> None:
    await stream.put(entries(1))
    clock.advance(1)
    reader = stream.open(FIRST, Latest())
    assert numbers(await reader.read()) == []
    clock.advance(1)
    await stream.put(entries(1, start=1))
    clock.advance(600)
    assert numbers(await reader.read()) == [1]


# Retention


async def test_records_older_than_the_retention_are_gone_without_a_word(
    clock: ManualClock, stream: MemoryStream
) -> None:
    await stream.put(entries(3))
    reader = stream.open(FIRST, TrimHorizon())
    stream.page_records = 1
    lagging = stream.open(FIRST, TrimHorizon())
    assert numbers(await lagging.read()) == [0]
    clock.advance(DAY / 2)
    await stream.put(entries(2, start=3))
    clock.advance(DAY / 2)
    assert numbers(await reader.read()) == [3, 4]
    assert numbers(*[await lagging.read() for _ in range(2)]) == [3, 4]


async def test_a_closed_shard_is_there_until_its_last_record_may_be_gone(
    clock: ManualClock, stream: MemoryStream
) -> None:
    low, high = stream.split(FIRST)
    reader = stream.open(FIRST, TrimHorizon())
    clock.advance(DAY - 1)
    assert [shard.shard_id for shard in await stream.shards()] == [FIRST, low, high]
    clock.advance(1)
    assert [(shard.shard_id, shard.parents) for shard in await stream.shards()] == [(low, (FIRST,)), (high, (FIRST,))]
    with pytest.raises(NotFoundError):
        await reader.read()


async def test_the_retention_is_the_streams_own(clock: ManualClock) -> None:
    stream = MemoryStream(clock, retention_seconds=7 * DAY)
    assert (await stream.info()).retention_seconds == 7 * DAY
    await stream.put(entries(1))
    clock.advance(6 * DAY)
    assert numbers(*await drain(stream)) == [0]


# Bad luck


async def test_an_empty_page_in_the_middle_is_not_the_end(clock: ManualClock) -> None:
    stream = MemoryStream(clock, page_records=1, disturbance=Disturbance(empty_pages=0.5))
    await stream.put(entries(20))
    stream.split(FIRST)
    reader = stream.open(FIRST, TrimHorizon())
    pages = [await reader.read()]
    while not pages[-1].ended:
        pages.append(await reader.read())
    empty = [page for page in pages if not page.records]
    assert numbers(*pages) == list(range(20))
    assert len(empty) > 3
    assert all(page.behind_seconds > 0 for page in empty)


async def test_only_the_entries_that_failed_are_put_again(clock: ManualClock) -> None:
    stream = MemoryStream(clock, disturbance=Disturbance(failed_entries=0.3))
    await stream.put(entries(200))
    found = numbers(*await drain(stream))
    assert sorted(found) == list(range(200))
    assert found != list(range(200))


async def test_a_lost_answer_makes_repeats_of_whole_calls(clock: ManualClock) -> None:
    stream = MemoryStream(clock, disturbance=Disturbance(lost_answers=0.3))
    for n in range(20):
        await stream.put(entries(1, start=n))
    found = Counter(numbers(*await drain(stream)))
    assert set(found) == set(range(20))
    assert max(found.values()) > 1


async def test_the_same_seed_has_the_same_bad_luck() -> None:
    found = []
    for seed in (7, 7, 8):
        stream = MemoryStream(ManualClock(), disturbance=Disturbance(seed=seed, failed_entries=0.5))
        await stream.put(entries(50))
        found.append(numbers(*await drain(stream)))
    assert found[0] == found[1]
    assert found[0] != found[2]
