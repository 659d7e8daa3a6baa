"""Putting records when Kinesis does not take them all at once."""

import asyncio
import base64
from collections.abc import Mapping
from itertools import chain
from typing import Any

import pytest

from headrace.clock import ManualClock
from headrace.errors import AccessError, RequestError, ThrottledError, UnavailableError
from headrace.stream.kinesis.client import KinesisClient
from headrace.stream.kinesis.producer import KinesisProducer
from headrace.stream.ports import MAX_RECORD_BYTES, Entry
from headrace.telemetry.metrics import Metrics
from tests.unit.stream.kinesis.fake_kinesis import FakeKinesis, put_answer

THROTTLED = "ProvisionedThroughputExceededException"
BROKEN = "InternalFailure"


@pytest.fixture
def producer(client: KinesisClient, metrics: Metrics, clock: ManualClock) -> KinesisProducer:
    return KinesisProducer("clicks", client=client, metrics=metrics, clock=clock, attempts=3)


def entries(*payloads: str) -> list[Entry]:
    return [Entry(payload.encode(), "k") for payload in payloads]


def payloads(body: Mapping[str, Any]) -> list[str]:
    return [base64.b64decode(record["Data"]).decode() for record in body["Records"]]


def sent(fake: FakeKinesis) -> list[list[str]]:
    return [payloads(body) for body in fake.bodies("PutRecords")]


def acknowledged(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("headrace_records_put_total")


async def test_only_what_failed_is_sent_again_in_its_order(
    fake: FakeKinesis, producer: KinesisProducer, metrics: Metrics
) -> None:
    fake.answer("PutRecords", put_answer(None, THROTTLED, None, BROKEN, THROTTLED))
    fake.answer("PutRecords", put_answer(BROKEN, None, None))
    fake.answer("PutRecords", put_answer(None))
    await producer.put(entries("a", "b", "c", "d", "e"))
    assert sent(fake) == [["a", "b", "c", "d", "e"], ["b", "d", "e"], ["b"]]
    assert acknowledged(metrics) == 5


async def test_each_entry_is_said_to_be_where_it_was_taken_in_the_end(
    fake: FakeKinesis, producer: KinesisProducer
) -> None:
    fake.answer("PutRecords", put_answer(THROTTLED, None, BROKEN, None))
    fake.answer("PutRecords", {"Records": [{"ShardId": "shard-b"}, {"ErrorCode": THROTTLED}]})
    fake.answer("PutRecords", {"Records": [{"ShardId": "shard-c"}]})
    first = "shardId-000000000000"
    assert list(await producer.place(entries("a", "b", "c", "d"))) == ["shard-b", first, "shard-c", first]


async def test_a_batch_waits_until_the_one_before_is_durable(fake: FakeKinesis, producer: KinesisProducer) -> None:
    fake.answer("PutRecords", put_answer(*[None] * 499, THROTTLED))
    fake.answer("PutRecords", put_answer(None))
    fake.answer("PutRecords", put_answer(None))
    await producer.put(entries(*map(str, range(501))))
    assert [batch[-1] for batch in sent(fake)] == ["499", "499", "500"]


async def test_a_throttled_call_is_repeated_after_a_wait(
    fake: FakeKinesis, producer: KinesisProducer, clock: ManualClock
) -> None:
    fake.fail("PutRecords", THROTTLED)
    fake.answer("PutRecords", put_answer(None))
    await producer.put(entries("a"))
    assert sent(fake) == [["a"], ["a"]]
    assert 0 < clock.monotonic() <= 0.1


@pytest.mark.parametrize("broken", [b"<html>", {"Records": []}], ids=["garbage", "too few results"])
async def test_an_answer_that_cannot_be_believed_means_sending_again(
    fake: FakeKinesis, producer: KinesisProducer, broken: Any
) -> None:
    fake.answer("PutRecords", broken)
    fake.answer("PutRecords", put_answer(None))
    await producer.put(entries("a"))
    assert sent(fake) == [["a"], ["a"]]


async def test_it_gives_up_after_so_many_calls_without_progress(
    fake: FakeKinesis, producer: KinesisProducer, metrics: Metrics
) -> None:
    fake.answer("PutRecords", put_answer(None, THROTTLED))
    for _ in range(2):
        fake.answer("PutRecords", put_answer(THROTTLED))
    with pytest.raises(ThrottledError):
        await producer.put(entries("a", "b"))
    assert sent(fake) == [["a", "b"], ["b"], ["b"]]
    assert acknowledged(metrics) == 1


async def test_a_call_that_moves_anything_starts_the_count_anew(fake: FakeKinesis, producer: KinesisProducer) -> None:
    for left in range(6, 0, -1):
        fake.answer("PutRecords", put_answer(None, *[THROTTLED] * (left - 1)))
    await producer.put(entries(*"abcdef"))
    assert len(sent(fake)) == 6


async def test_a_server_error_that_lasts_is_raised_as_unavailable(fake: FakeKinesis, producer: KinesisProducer) -> None:
    for _ in range(3):
        fake.fail("PutRecords", BROKEN, status=500)
    with pytest.raises(UnavailableError):
        await producer.put(entries("a"))


async def test_what_no_retry_can_mend_is_raised_at_once(fake: FakeKinesis, producer: KinesisProducer) -> None:
    fake.fail("PutRecords", "AccessDeniedException")
    with pytest.raises(AccessError):
        await producer.put(entries("a"))
    fake.answer("PutRecords", put_answer("KMSAccessDeniedException"))
    with pytest.raises(AccessError):
        await producer.put(entries("a"))
    assert len(fake.calls) == 2


async def test_one_oversized_entry_keeps_all_from_being_sent(fake: FakeKinesis, producer: KinesisProducer) -> None:
    with pytest.raises(RequestError):
        await producer.put([*entries("a"), Entry(b"x" * MAX_RECORD_BYTES, "k")])
    assert fake.calls == []


async def test_concurrent_puts_share_a_bounded_number_of_calls(
    fake: FakeKinesis, client: KinesisClient, metrics: Metrics, clock: ManualClock
) -> None:
    producer = KinesisProducer("clicks", client=client, metrics=metrics, clock=clock, concurrent_calls=2)
    for _ in range(2):
        fake.hang("PutRecords")
    puts = [asyncio.create_task(producer.put(entries(payload))) for payload in "abc"]
    await fake.arrived(2)
    assert sorted(chain.from_iterable(sent(fake))) == ["a", "b"]
    fake.answer("PutRecords", put_answer(None))
    puts[0].cancel()
    await asyncio.wait_for(puts[2], 5)
    puts[1].cancel()
    assert sorted(chain.from_iterable(sent(fake))) == ["a", "b", "c"]
    await asyncio.wait(puts)
