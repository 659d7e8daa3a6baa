import asyncio
import json
from collections.abc import Sequence

import pytest

from headrace.catalog.memory import MemoryCatalog
from headrace.clock import ManualClock
from headrace.errors import NotFoundError, RequestError, UnavailableError
from headrace.lake.layout import HourPartition
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.partitioner.partitioner import LONGEST_PAUSE_SECONDS, Partitioner, pause
from services.partitioner.queue import Message

HOURS = [HourPartition("2026", "04", "09", f"{hour:02}") for hour in range(24)]


def message(*partitions: HourPartition, receipt: str = "r") -> Message:
    records = [
        {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": f"events/{partition.path}/a.parquet"}}}
        for partition in partitions
    ]
    return Message(body=json.dumps({"Records": records}), receipt=receipt)


class FakeQueue:
    """Hands out batches in turn, then waits for ever; remembers what was deleted."""

    def __init__(self, *batches: Sequence[Message]) -> None:
        self.batches = list(batches)
        self.deleted: list[str] = []
        self.idle = asyncio.Event()

    async def receive(self) -> Sequence[Message]:
        if self.batches:
            return self.batches.pop(0)
        self.idle.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def delete(self, messages: Sequence[Message]) -> None:
        self.deleted += [message.receipt for message in messages]


class TroubledCatalog(MemoryCatalog):
    """Fails as often as told, and writes down what it was asked to add."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.added: list[Sequence[HourPartition]] = []

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.added.append(partitions)
        await super().add_partitions(partitions)


class EagerShutdown(Shutdown):
    """A shutdown whose waits with a limit are over at once, and noted."""

    def __init__(self) -> None:
        super().__init__(1.0, ManualClock())
        self.pauses: list[float] = []

    async def wait(self, seconds: float | None = None) -> bool:
        if seconds is None:
            return await super().wait()
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        return self.requested


def partitioner(queue: FakeQueue, catalog: MemoryCatalog, metrics: Metrics | None = None) -> Partitioner:
    return Partitioner(queue=queue, catalog=catalog, metrics=metrics or Metrics(), clock=ManualClock())


async def run_until_idle(partitioner: Partitioner, queue: FakeQueue) -> tuple[EagerShutdown, Health]:
    shutdown, health = EagerShutdown(), Health()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(partitioner.run(shutdown, health))
        await queue.idle.wait()
        shutdown.request()
    return shutdown, health


async def test_partitions_of_a_batch_are_registered_together_and_its_messages_deleted() -> None:
    queue = FakeQueue([message(HOURS[1], receipt="a"), message(HOURS[0], HOURS[1], receipt="b")])
    catalog = TroubledCatalog()
    await run_until_idle(partitioner(queue, catalog), queue)
    assert catalog.added == [[HOURS[0], HOURS[1]]]
    assert queue.deleted == ["a", "b"]


async def test_a_known_partition_costs_no_statement() -> None:
    catalog = TroubledCatalog()
    await catalog.ensure_table()
    await catalog.add_partitions([HOURS[0]])
    queue = FakeQueue([message(HOURS[0])], [message(HOURS[1])], [message(HOURS[0], HOURS[1])])
    await run_until_idle(partitioner(queue, catalog), queue)
    assert catalog.added == [[HOURS[0]], [HOURS[1]]]
    assert len(queue.deleted) == 3


@pytest.mark.parametrize("failure", [UnavailableError("down"), RequestError("no"), NotFoundError("gone")])
async def test_a_failed_statement_keeps_the_messages_and_the_process(failure: Exception) -> None:
    catalog = TroubledCatalog(failure, failure)
    lost = message(HOURS[0], receipt="again")
    queue = FakeQueue([lost], [lost], [lost])
    shutdown, _ = await run_until_idle(partitioner(queue, catalog), queue)
    assert await catalog.partitions() == {HOURS[0]}
    assert queue.deleted == ["again"]
    assert len(shutdown.pauses) == 2
    assert 0 < shutdown.pauses[0] <= 1.0 <= shutdown.pauses[1] <= 2.0


async def test_a_table_dropped_in_the_meantime_is_made_anew() -> None:
    class Dropped(MemoryCatalog):
        """Loses its table once, after the first partition."""

        dropped = False

        async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
            await super().add_partitions(partitions)
            if not self.dropped:
                self.dropped, self._partitions = True, None

    catalog = Dropped()
    queue = FakeQueue([message(HOURS[0])], [message(HOURS[1])], [message(HOURS[1])], [message(HOURS[0])])
    await run_until_idle(partitioner(queue, catalog), queue)
    assert await catalog.partitions() == {HOURS[0], HOURS[1]}


async def test_what_cannot_be_read_is_counted_and_deleted() -> None:
    metrics = Metrics()
    queue = FakeQueue(
        [
            Message(body="{", receipt="malformed"),
            Message(body='{"Event": "s3:TestEvent"}', receipt="test"),
            message(HOURS[0], HOURS[0], receipt="good"),
        ],
        [message(HOURS[0], receipt="again")],
    )
    await run_until_idle(partitioner(queue, MemoryCatalog(), metrics), queue)
    assert queue.deleted == ["malformed", "test", "good", "again"]
    counted = {
        result: metrics.registry.get_sample_value("headrace_notifications_total", {"result": result})
        for result in ("malformed", "test", "registered", "known")
    }
    assert counted == {"malformed": 1, "test": 1, "registered": 2, "known": 1}
    assert metrics.registry.get_sample_value("headrace_partitions_registered_total") == 1
    assert metrics.registry.get_sample_value("headrace_ddl_seconds_count") == 1


async def test_it_is_ready_once_the_partitions_are_known() -> None:
    queue = FakeQueue()
    _, health = await run_until_idle(partitioner(queue, MemoryCatalog()), queue)
    assert await health.problems() == {}


async def test_a_batch_under_way_is_finished_before_the_end() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    class Slow(MemoryCatalog):
        async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
            entered.set()
            await release.wait()
            await super().add_partitions(partitions)

    catalog = Slow()
    queue = FakeQueue([message(HOURS[0], receipt="a")], [message(HOURS[1], receipt="b")])
    shutdown = EagerShutdown()
    running = asyncio.create_task(partitioner(queue, catalog).run(shutdown, Health()))
    async with asyncio.timeout(5):
        await entered.wait()
        shutdown.request()
        release.set()
        await running
    assert await catalog.partitions() == {HOURS[0]}
    assert queue.deleted == ["a"]


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause(failures) for failures in (1, 2, 3, 6, 1000)] == [1.0, 2.0, 4.0, 30.0, LONGEST_PAUSE_SECONDS]
