"""Patience with a place that is down, or that does not let us in."""

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from headrace.clock import Clock
from headrace.errors import AccessError, HeadraceError, RetryableError
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Between two rounds of an adapter's own retries."""


class Insist:
    """Repeats idempotent steps until they succeed: meanwhile the poller waits, and lives.

    An outage passes by itself. A refusal does not, but what is refused is not ours to skip: `check` says so, and the
    poller goes on once it is let in.
    """

    def __init__(self, clock: Clock, health: Health) -> None:
        self._clock = clock
        self._health = health
        self._waits_for: HeadraceError | None = None

    async def check(self) -> None:
        """Raise why the step at hand does not succeed, while it does not."""
        if self._waits_for is not None:
            raise self._waits_for

    async def __call__(
        self, step: Callable[..., Awaitable[T]], *args: Any, patience: float = math.inf, **kwargs: Any
    ) -> T:
        """The step's result.

        Raises its `RetryableError` once `patience` seconds have passed since the first try; a refusal is waited out
        for as long as it lasts.
        """
        began = self._clock.monotonic()
        while True:
            try:
                result = await step(*args, **kwargs)
            except (RetryableError, AccessError) as error:
                self._health.beat()
                self._waits_for = error
                if isinstance(error, RetryableError) and self._clock.monotonic() - began >= patience:
                    raise
                get_logger().warning("poll.waiting", kind=type(error).__name__, error=str(error))
                await self._clock.sleep(RETRY_SECONDS)
            else:
                self._waits_for = None
                return result
