"""How a shard waits: for what is slow, down or refused, until it is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from headrace.clock import Clock
from headrace.errors import AccessError, HaltedError, RequestError, RetryableError
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger

T = TypeVar("T")

RETRY_SECONDS = 0.5
RETRY_MAX_SECONDS = 5.0
"""Between two tries in an outage: also the most that is added to it when it ends."""
BEAT_SECONDS = 10.0
"""Between two signs of life while something outside keeps us waiting."""


class Patience:
    """One shard's. `refusal` says why it stands still; None while it moves."""

    def __init__(self, clock: Clock, health: Health) -> None:
        self._clock = clock
        self._health = health
        self.refusal: AccessError | HaltedError | RequestError | None = None

    async def insist(self, step: str, call: Callable[[], Awaitable[T]], shutdown: Shutdown) -> T | None:
        """What `call` returns, however long it takes; None when the drain's deadline passes first.

        An outage passes by itself. A refusal does not, but what is refused is not ours to skip: the shard stays where
        it is, `refusal` says so, and goes on once it is let in. Once told to stop it is left to the next owner at
        once, who may be the one that is let in.
        """
        wait = RETRY_SECONDS
        while True:
            self._health.beat()
            try:
                result = await call()
            except (RetryableError, AccessError) as error:
                self.refusal = error if isinstance(error, AccessError) else None
                if shutdown.requested and (self.refusal or shutdown.deadline.remaining < wait):
                    get_logger().warning("shard.abandoned", step=step, error=str(error))
                    return None
                get_logger().warning("shard.delayed", step=step, error=str(error), retry_in=wait)
                await self._clock.sleep(wait)
                wait = min(wait * 2, RETRY_MAX_SECONDS)
            else:
                self.refusal = None
                return result

    async def first(self, *tasks: asyncio.Future[Any], until: float | None) -> None:
        """Return when one of the tasks is done, or at `until` (monotonic seconds)."""
        while not any(task.done() for task in tasks):
            self._health.beat()
            left = BEAT_SECONDS if until is None else min(BEAT_SECONDS, until - self._clock.monotonic())
            if left <= 0:
                return
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def unless(self, stopped: asyncio.Task[bool], work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`; None, and `work` cancelled, when told to stop first."""
        task = asyncio.create_task(work)
        try:
            while not task.done() and not stopped.done():
                self._health.beat()
                await asyncio.wait({task, stopped}, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def stand_still(self, error: HaltedError | RequestError, stopped: asyncio.Task[bool]) -> None:
        """Wait to be told to stop: going on would do harm, and skipping is not ours to decide."""
        self.refusal = error
        while not stopped.done():
            self._health.beat()
            await asyncio.wait({stopped}, timeout=BEAT_SECONDS)
