"""New objects in the bucket → partitions in the table."""

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from headrace.catalog.ports import Catalog
from headrace.clock import Clock
from headrace.errors import HeadraceError
from headrace.lake.layout import HourPartition
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics
from services.partitioner.notifications import Notice, Result, partitions_of_message
from services.partitioner.queue import Message, NotificationQueue

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 30.0


class Partitioner:
    """Registers each hour once, however often objects of it are announced.

    A failure leaves the messages in the queue and forgets what is known: the next turn asks the catalogue again, so
    that a table dropped in the meantime is made anew.
    """

    def __init__(self, *, queue: NotificationQueue, catalog: Catalog, metrics: Metrics, clock: Clock) -> None:
        self._queue = queue
        self._catalog = catalog
        self._metrics = metrics
        self._clock = clock
        self._known: set[HourPartition] = set()
        self._started = False

    async def run(self, shutdown: Shutdown, health: Health) -> None:
        """Turn by turn until asked to stop. A batch under way is finished, a wait is not."""
        failures = 0
        while not shutdown.requested:
            health.beat()
            try:
                await self._turn(shutdown, health)
            except HeadraceError as error:
                failures += 1
                self._started = False
                get_logger().warning("partitions.delayed", error=str(error), failures=failures)
                await shutdown.wait(pause(failures) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            else:
                failures = 0

    async def start(self) -> None:
        """Make sure that the table is there, and learn which partitions it has."""
        await self._catalog.ensure_table()
        self._known = await self._catalog.partitions()
        self._started = True

    async def handle(self, messages: Sequence[Message]) -> None:
        """Make sure that every partition the messages speak of is registered, then let go of the messages."""
        notices = [partitions_of_message(message.body) for message in messages]
        for notice, message in zip(notices, messages, strict=True):
            if notice.problem:
                get_logger().warning("notification.malformed", problem=notice.problem, body=message.body)
        new = {partition for notice in notices for partition in notice.partitions} - self._known
        # 1. Register.
        if new:
            await self._register(sorted(new))
        # 2. Remember: only now is it true.
        self._known |= new
        self._count(notices, new)
        # 3. Delete, last: a crash before it repeats what may be repeated.
        await self._queue.delete(messages)

    async def _turn(self, shutdown: Shutdown, health: Health) -> None:
        if not self._started:
            await _unless_stopped(shutdown, self.start())
            health.started()
        if messages := await _unless_stopped(shutdown, self._queue.receive()):
            await self.handle(messages)

    async def _register(self, partitions: Sequence[HourPartition]) -> None:
        started = self._clock.monotonic()
        await self._catalog.add_partitions(partitions)
        seconds = self._clock.monotonic() - started
        self._metrics.ddl_seconds.observe(seconds)
        self._metrics.partitions_registered.inc(len(partitions))
        get_logger().info(
            "partitions.registered",
            count=len(partitions),
            first=partitions[0].path,
            last=partitions[-1].path,
            seconds=round(seconds, 3),
        )

    def _count(self, notices: Sequence[Notice], new: set[HourPartition]) -> None:
        results: Counter[Result] = Counter()
        for notice in notices:
            results.update(notice.others)
            results.update(Result.REGISTERED if it in new else Result.KNOWN for it in notice.partitions)
        for result, count in results.items():
            self._metrics.notifications.labels(result).inc(count)


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row, before jitter."""
    return min(2.0 ** min(failures - 1, 10), LONGEST_PAUSE_SECONDS)


async def _unless_stopped(shutdown: Shutdown, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None, and `work` cancelled, when a stop is asked for first."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(shutdown.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stop.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
