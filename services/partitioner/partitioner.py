"""New objects in the bucket → partitions in the table: told by notifications, and made sure of by an hourly sweep."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from headrace.catalog.inventory import hours_with_objects
from headrace.clock import Clock
from headrace.errors import HeadraceError
from headrace.lake.layout import HourPartition
from headrace.lake.ports import ObjectStore
from headrace.runtime import Shutdown
from headrace.settings import PARTITION_QUEUE_RECEIVES
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger, unit_of_work
from headrace.telemetry.metrics import Metrics
from services.partitioner.notifications import Notice, Result, partitions_of_message
from services.partitioner.queue import Message, NotificationQueue, postponement
from services.partitioner.registrar import Registrar

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 30.0

SWEEP_AGAIN_SECONDS = 60.0
"""Between a sweep that could not list the bucket and the next one."""


class Partitioner:
    """Registers each hour once, however often objects of it are announced, or never.

    While the catalogue is down nothing is received: an outage does not use up the receives of a message.
    """

    def __init__(
        self,
        *,
        queue: NotificationQueue,
        registrar: Registrar,
        store: ObjectStore,
        metrics: Metrics,
        health: Health,
        clock: Clock,
        sweep_seconds: float,
    ) -> None:
        self._queue = queue
        self._registrar = registrar
        self._store = store
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        self._sweep_at = clock.monotonic()

    async def run(self, shutdown: Shutdown) -> None:
        """Turn by turn until asked to stop. A batch under way is finished, a wait is not."""
        self._health.started()  # from here on readiness is what the dependencies say
        failures = 0
        while not shutdown.requested:
            self._health.beat()
            with unit_of_work():
                failures = 0 if await self._try(shutdown, failures) else failures + 1
            if failures:
                await shutdown.wait(pause(failures) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def handle(self, messages: Sequence[Message]) -> None:
        """Make sure that every partition the messages speak of is registered, then let go of the messages."""
        notices = [partitions_of_message(message.body) for message in messages]
        # 1. Register.
        try:
            new = await self._registrar.register(hour for notice in notices for hour in notice.partitions)
        except HeadraceError:
            await self._postpone(messages)
            raise
        self._count(notices, new)
        # 2. Keep what could not be read: the queue moves it to the dead-letter queue after so many receives.
        read = list(zip(notices, messages, strict=True))
        await self._postpone([message for notice, message in read if notice.problem])
        # 3. Delete, last: a crash before it repeats what may be repeated.
        await self._queue.delete([message for notice, message in read if not notice.problem])

    async def _try(self, shutdown: Shutdown, failures: int) -> bool:
        """One turn; False when it failed, after so many failures before it."""
        try:
            await self._turn(shutdown)
        except HeadraceError as error:
            self._registrar.close()
            get_logger().warning("partitions.delayed", error=str(error), failures=failures + 1)
            return False
        return True

    async def _turn(self, shutdown: Shutdown) -> None:
        await _unless_stopped(shutdown, self._prepare())
        self._health.beat()
        if not shutdown.requested and (messages := await _unless_stopped(shutdown, self._queue.receive())):
            self._health.beat()
            await self.handle(messages)

    async def _prepare(self) -> None:
        sweep = self._clock.monotonic() >= self._sweep_at
        if sweep:
            self._registrar.close()  # and learn anew what is registered: it may have changed behind our back
        if not self._registrar.is_open:
            await self._registrar.open()
        if sweep:
            await self._sweep()

    async def _sweep(self) -> None:
        """Register what landed without a notification that reached us."""
        self._health.beat()
        try:
            landed = await hours_with_objects(self._store, self._health.beat)
        except HeadraceError as error:  # notifications go on without the bucket
            self._metrics.sweeps.labels("failed").inc()
            self._sweep_at = self._clock.monotonic() + min(SWEEP_AGAIN_SECONDS, self._sweep_seconds)
            get_logger().warning("sweep.failed", error=str(error))
            return
        found = await self._registrar.register(landed)
        self._metrics.sweeps.labels("done").inc()
        self._metrics.partitions_swept.inc(len(found))
        self._sweep_at = self._clock.monotonic() + self._sweep_seconds
        get_logger().info("sweep.done", landed=len(landed), found=len(found))

    async def _postpone(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        last = sum(message.receives >= PARTITION_QUEUE_RECEIVES for message in messages)
        self._metrics.messages_postponed.inc(len(messages) - last)
        self._metrics.messages_given_up.inc(last)
        with contextlib.suppress(HeadraceError):  # then they come again when their visibility ends
            await self._queue.postpone(
                messages,
                lambda message: postponement(message.receives, random.random()),  # noqa: S311 - jitter
            )

    def _count(self, notices: Sequence[Notice], new: set[HourPartition]) -> None:
        results: Counter[Result] = Counter()
        for notice in notices:
            results.update(notice.others)
            results.update(Result.REGISTERED if it in new else Result.KNOWN for it in notice.partitions)
            if notice.problem:
                get_logger().warning("notification.malformed", problem=notice.problem)
            if notice.invalid:
                get_logger().warning("notification.invalid_key", key=notice.invalid)
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
