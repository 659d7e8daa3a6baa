"""Patience with a place that is down."""

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from headrace.clock import Clock
from headrace.errors import RetryableError
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Between two rounds of an adapter's own retries."""


class Insist:
    """Repeats idempotent steps until they succeed: while the other side is down, the poller waits, and lives."""

    def __init__(self, clock: Clock, health: Health) -> None:
        self._clock = clock
        self._health = health

    async def __call__(
        self, step: Callable[..., Awaitable[T]], *args: Any, patience: float = math.inf, **kwargs: Any
    ) -> T:
        """The step's result. Raises its `RetryableError` once `patience` seconds have passed since the first try."""
        began = self._clock.monotonic()
        while True:
            try:
                return await step(*args, **kwargs)
            except RetryableError as error:
                self._health.beat()
                if self._clock.monotonic() - began >= patience:
                    raise
                get_logger().warning("poll.waiting", error=str(error))
                await self._clock.sleep(RETRY_SECONDS)
