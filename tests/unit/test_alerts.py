"""Digests: at most one a minute per reason, with every record counted, and nothing waits for a topic."""

import asyncio
import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.alerts import EVERY_SECONDS, MOST_REASONS, Alerts, Digest, Digests, MemoryPublisher, publishing
from headrace.aws.sns import SnsPublisher
from headrace.clock import ManualClock, SystemClock
from headrace.errors import AccessError, HeadraceError, UnavailableError
from headrace.telemetry.metrics import Metrics


class Failing:
    """A topic that fails for the first messages."""

    def __init__(self, *errors: HeadraceError) -> None:
        self._errors = list(errors)
        self.topic = MemoryPublisher()

    async def publish(self, subject: str, message: str) -> None:
        if self._errors:
            raise self._errors.pop(0)
        await self.topic.publish(subject, message)


def counts(topic: MemoryPublisher) -> list[tuple[str, int]]:
    return [(told["reason"], told["count"]) for told in (json.loads(message) for _, message in topic.messages)]


def alerts(publisher: Any, clock: Any) -> tuple[Alerts, Metrics]:
    metrics = Metrics()
    return Alerts(publisher, service="api_consumer", metrics=metrics, clock=clock), metrics


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 1000), st.floats(0, 50)), max_size=60),
)
def test_no_reason_is_due_twice_within_a_minute_and_no_record_is_forgotten(
    reports: list[tuple[str, int, float]],
) -> None:
    digests, monotonic = Digests(), 0.0
    sent: list[tuple[float, Digest]] = []
    for reason, count, wait in reports:
        monotonic += wait
        digests.add(reason, count, "key", now=monotonic)
        sent += [(monotonic, digest) for digest in digests.take_due(monotonic)]
    sent += [(monotonic + EVERY_SECONDS, digest) for digest in digests.take_due(monotonic + EVERY_SECONDS)]
    for reason in "abc":
        moments = [at for at, digest in sent if digest.reason == reason]
        assert all(later >= sooner + EVERY_SECONDS for sooner, later in pairwise(moments))
        assert sum(digest.count for _, digest in sent if digest.reason == reason) == sum(
            count for name, count, _ in reports if name == reason
        )
    assert digests.next_due() is None


async def test_a_message_has_counts_one_example_and_the_span_of_time() -> None:
    topic, clock = MemoryPublisher(), ManualClock()
    told, metrics = alerts(topic, clock)
    told.report("missing_field", 3, "failed_records/a.jsonl.gz")
    clock.advance(5)
    told.report("missing_field", 4, "failed_records/b.jsonl.gz")
    await told.publish_due()
    [(subject, message)] = topic.messages
    assert subject == "Headrace api_consumer: missing_field"
    assert json.loads(message) == {
        "service": "api_consumer", "reason": "missing_field", "count": 7, "example": "failed_records/a.jsonl.gz",
        "since": "2026-04-09T08:00:00+00:00", "until": "2026-04-09T08:00:05+00:00",
    }  # fmt: skip
    assert metrics.registry.get_sample_value("headrace_alerts_total", {"result": "sent"}) == 1


async def test_a_flood_of_reports_and_of_reasons_makes_few_and_small_messages() -> None:
    topic = MemoryPublisher()
    told, _ = alerts(topic, ManualClock())
    for n in range(10_000):
        told.report(f"reason-{n}" + "x" * 5000, 1, "k" * 500_000)
    await told.publish_due()
    assert len(topic.messages) == MOST_REASONS + 1
    assert sum(count for _, count in counts(topic)) == 10_000
    assert max(len(message.encode()) for _, message in topic.messages) < 256 * 1024


async def test_what_a_topic_that_is_down_did_not_take_is_in_the_next_minutes_message() -> None:
    failing, clock = Failing(UnavailableError("down"), AccessError("denied")), ManualClock()
    told, metrics = alerts(failing, clock)
    told.report("oversized", 2, "first")
    for _ in range(3):
        await told.publish_due()
        told.report("oversized", 1, "later")
        await told.publish_due()
        clock.advance(EVERY_SECONDS)
    assert counts(failing.topic) == [("oversized", 4)]
    assert json.loads(failing.topic.messages[0][1])["example"] == "first"
    assert metrics.registry.get_sample_value("headrace_alerts_total", {"result": "failed"}) == 2


async def test_reports_are_published_in_the_background_and_a_hanging_topic_holds_up_nobody() -> None:
    published = asyncio.Event()

    class Hanging:
        async def publish(self, subject: str, message: str) -> None:
            published.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        async with publishing(Hanging(), service="test", metrics=Metrics(), clock=SystemClock()) as report:
            report("oversized", 1, "key")
            await published.wait()
            report("oversized", 1, "key")


async def test_what_was_reported_last_is_still_published_when_it_is_due() -> None:
    topic = MemoryPublisher()
    async with publishing(topic, service="test", metrics=Metrics(), clock=SystemClock()) as report:
        report("oversized", 1, "key")
    assert counts(topic) == [("oversized", 1)]


async def test_the_background_task_waits_for_the_next_minute() -> None:
    topic, clock = MemoryPublisher(), ManualClock()
    told, _ = alerts(topic, clock)
    running = asyncio.create_task(told.run())
    async with asyncio.timeout(5):
        for count in (1, 2):
            told.report("oversized", count, "key")
            while len(topic.messages) < count:
                await asyncio.sleep(0)
    running.cancel()
    assert counts(topic) == [("oversized", 1), ("oversized", 2)]
    assert clock.monotonic() == EVERY_SECONDS


async def test_a_subject_is_one_that_sns_takes() -> None:
    class Client:
        async def publish(self, **sent: str) -> None:
            self.sent = sent

    client = Client()
    await SnsPublisher(client, "arn:aws:sns:us-east-1:000000000000:t").publish("é\n" + "x" * 300, "{}")
    assert client.sent["Subject"] == "??" + "x" * 98
    assert client.sent["TopicArn"].endswith(":t")
