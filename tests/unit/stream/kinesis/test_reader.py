"""Reading a shard when Kinesis is not at its best."""

import asyncio

import pytest

from headrace.clock import ManualClock
from headrace.errors import NotFoundError, RequestError, UnavailableError
from headrace.stream.kinesis.client import KinesisClient
from headrace.stream.kinesis.reader import ATTEMPTS, PAGE_RECORDS, KinesisShardReader
from headrace.stream.ports import (
    AfterSequence,
    AtTimestamp,
    Latest,
    Page,
    Position,
    SequenceNumber,
    ShardId,
    TrimHorizon,
)
from headrace.telemetry.metrics import Metrics
from tests.unit.stream.kinesis.fake_kinesis import FakeKinesis, connect

THROTTLED = "ProvisionedThroughputExceededException"
EXPIRED = "ExpiredIteratorException"


def reader_of(
    client: KinesisClient, clock: ManualClock, position: Position, *, idle_seconds: float = 1.0
) -> KinesisShardReader:
    return KinesisShardReader(
        "clicks", ShardId("shard-1"), position, client=client, clock=clock, idle_seconds=idle_seconds
    )


@pytest.fixture
def reader(client: KinesisClient, clock: ManualClock, fake: FakeKinesis) -> KinesisShardReader:
    """From the oldest record, with its first iterator waiting."""
    opens(fake, "first")
    return reader_of(client, clock, TrimHorizon())


def opens(fake: FakeKinesis, iterator: str) -> None:
    fake.answer("GetShardIterator", {"ShardIterator": iterator})


def numbers(page: Page) -> list[int]:
    return [int(record.sequence_number) for record in page.records]


def iterators(fake: FakeKinesis) -> list[str]:
    return [body["ShardIterator"] for body in fake.bodies("GetRecords")]


async def test_pages_follow_the_iterators_to_the_end_of_the_shard(
    fake: FakeKinesis, reader: KinesisShardReader
) -> None:
    fake.page(1, 2, then="second", behind_millis=2500)
    fake.page(3, then=None)
    first, last, after = await reader.read(), await reader.read(), await reader.read()
    assert (numbers(first), first.behind_seconds, first.ended) == ([1, 2], 2.5, False)
    assert (numbers(last), last.behind_seconds, last.ended) == ([3], 0.0, True)
    assert (numbers(after), after.ended) == ([], True)
    assert iterators(fake) == ["first", "second"]
    assert {body["Limit"] for body in fake.bodies("GetRecords")} == {PAGE_RECORDS}


async def test_an_empty_page_is_not_the_end(fake: FakeKinesis, reader: KinesisShardReader) -> None:
    fake.page(then="second", behind_millis=60_000)
    fake.page(4, then="third")
    empty = await reader.read()
    assert (numbers(empty), empty.behind_seconds, empty.ended) == ([], 60.0, False)
    assert numbers(await reader.read()) == [4]


async def test_an_expired_iterator_is_replaced_behind_the_last_record_returned(
    fake: FakeKinesis, reader: KinesisShardReader
) -> None:
    fake.page(1, 2)
    fake.fail("GetRecords", EXPIRED)
    opens(fake, "again")
    fake.page(3)
    assert [numbers(await reader.read()), numbers(await reader.read())] == [[1, 2], [3]]
    assert fake.bodies("GetShardIterator")[1] == {
        "StreamName": "clicks",
        "ShardId": "shard-1",
        "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
        "StartingSequenceNumber": "2",
    }
    assert iterators(fake) == ["first", "next", "again"]


@pytest.mark.parametrize("position", [TrimHorizon(), AtTimestamp(1.5), AfterSequence(SequenceNumber("7"))])
async def test_before_any_record_an_expired_iterator_is_replaced_by_one_of_the_same_position(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock, position: Position
) -> None:
    opens(fake, "first")
    fake.fail("GetRecords", EXPIRED)
    opens(fake, "again")
    fake.page(8)
    assert numbers(await reader_of(client, clock, position).read()) == [8]
    first, again = fake.bodies("GetShardIterator")
    assert first == again


async def test_latest_keeps_its_moment_when_the_iterator_is_lost_before_the_first_record(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock
) -> None:
    reader = reader_of(client, clock, Latest())
    clock.advance(5)
    opened_at = clock.now()
    opens(fake, "first")
    fake.page()
    assert numbers(await reader.read()) == []
    clock.advance(400)
    fake.fail("GetRecords", EXPIRED)
    opens(fake, "again")
    fake.page(9)
    assert numbers(await reader.read()) == [9]
    first, again = fake.bodies("GetShardIterator")
    assert first["ShardIteratorType"] == "LATEST"
    assert (again["ShardIteratorType"], again["Timestamp"]) == ("AT_TIMESTAMP", opened_at)


async def test_throttling_is_waited_out_with_the_same_iterator(
    fake: FakeKinesis, reader: KinesisShardReader, clock: ManualClock
) -> None:
    for _ in range(3 * ATTEMPTS):
        fake.fail("GetRecords", THROTTLED)
    fake.page(1)
    assert numbers(await reader.read()) == [1]
    assert set(iterators(fake)) == {"first"}
    assert clock.monotonic() >= 3 * ATTEMPTS * 0.2


async def test_a_throttled_iterator_request_is_repeated(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock
) -> None:
    fake.fail("GetShardIterator", THROTTLED)
    opens(fake, "first")
    fake.page(1)
    assert numbers(await reader_of(client, clock, TrimHorizon()).read()) == [1]


async def test_a_server_error_and_garbage_are_read_again(fake: FakeKinesis, reader: KinesisShardReader) -> None:
    fake.fail("GetRecords", "InternalFailure", status=500)
    fake.answer("GetRecords", b"<html>Bad gateway</html>")
    fake.answer("GetRecords", b"", status=503)
    fake.page(1)
    assert numbers(await reader.read()) == [1]
    assert iterators(fake) == ["first"] * 4


async def test_it_gives_up_in_the_end_but_keeps_its_place(fake: FakeKinesis, reader: KinesisShardReader) -> None:
    fake.page(1)
    for _ in range(ATTEMPTS):
        fake.fail("GetRecords", "InternalFailure", status=500)
    fake.page(2)
    assert numbers(await reader.read()) == [1]
    with pytest.raises(UnavailableError):
        await reader.read()
    assert numbers(await reader.read()) == [2]
    assert iterators(fake) == ["first", *["next"] * (ATTEMPTS + 1)]


async def test_a_slow_server_is_asked_again(fake: FakeKinesis, metrics: Metrics, clock: ManualClock) -> None:
    opens(fake, "first")
    fake.hang("GetRecords")
    fake.page(1)
    async with connect(fake, metrics, seconds=0.2) as impatient:
        assert numbers(await reader_of(impatient, clock, TrimHorizon()).read()) == [1]
    assert iterators(fake) == ["first", "first"]


async def test_a_cancelled_read_loses_nothing(fake: FakeKinesis, reader: KinesisShardReader) -> None:
    fake.page(1)
    fake.hang("GetRecords")
    assert numbers(await reader.read()) == [1]
    read = asyncio.create_task(reader.read())
    await fake.arrived(3)
    read.cancel()
    await asyncio.wait([read])
    fake.page(2)
    assert numbers(await reader.read()) == [2]
    assert iterators(fake)[1:] == ["next", "next"]


async def test_a_sequence_number_that_is_gone_is_not_found(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock
) -> None:
    fake.fail("GetShardIterator", "InvalidArgumentException", message="Invalid StartingSequenceNumber")
    with pytest.raises(NotFoundError, match="Invalid StartingSequenceNumber"):
        await reader_of(client, clock, AfterSequence(SequenceNumber("1"))).read()


async def test_another_refused_position_is_our_own_defect(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock
) -> None:
    fake.fail("GetShardIterator", "InvalidArgumentException", message="The timestamp is in the future")
    with pytest.raises(RequestError):
        await reader_of(client, clock, AtTimestamp(9e9)).read()


async def test_a_shard_that_is_gone_is_not_found(fake: FakeKinesis, reader: KinesisShardReader) -> None:
    fake.fail("GetRecords", "ResourceNotFoundException")
    with pytest.raises(NotFoundError):
        await reader.read()


async def test_a_shard_that_is_behind_is_read_five_times_a_second(
    fake: FakeKinesis, reader: KinesisShardReader, clock: ManualClock
) -> None:
    for number in range(6):
        fake.page(number, behind_millis=1000)
        await reader.read()
    assert clock.monotonic() == pytest.approx(1.0)


async def test_a_shard_at_its_tip_is_read_once_per_idle_time(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock
) -> None:
    reader = reader_of(client, clock, TrimHorizon(), idle_seconds=3.0)
    opens(fake, "first")
    for _ in range(3):
        fake.page()
        await reader.read()
    assert clock.monotonic() == pytest.approx(6.0)


async def test_the_idle_time_never_goes_below_what_kinesis_allows(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock
) -> None:
    reader = reader_of(client, clock, TrimHorizon(), idle_seconds=0.0)
    opens(fake, "first")
    for _ in range(6):
        fake.page()
        await reader.read()
    assert clock.monotonic() == pytest.approx(1.0)


async def test_time_spent_elsewhere_counts_as_waiting(
    fake: FakeKinesis, reader: KinesisShardReader, clock: ManualClock
) -> None:
    fake.page(1)
    await reader.read()
    clock.advance(2)
    fake.page(2)
    await reader.read()
    assert clock.monotonic() == pytest.approx(2.0)


async def test_each_call_that_is_repeated_counts_under_its_operation(
    fake: FakeKinesis, client: KinesisClient, clock: ManualClock, metrics: Metrics
) -> None:
    fake.fail("GetShardIterator", THROTTLED)
    opens(fake, "first")
    fake.fail("GetRecords", EXPIRED)
    opens(fake, "second")  # a new call, after the first one has answered
    fake.fail("GetRecords", THROTTLED)
    fake.page(1)
    await reader_of(client, clock, TrimHorizon()).read()
    counted = {
        operation: metrics.registry.get_sample_value(
            "headrace_aws_retries_total", {"service": "kinesis", "op": operation}
        )
        for operation in ("GetShardIterator", "GetRecords")
    }
    assert counted == {"GetShardIterator": 1, "GetRecords": 2}
