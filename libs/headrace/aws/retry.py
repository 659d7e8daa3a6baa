"""The one retry policy: exponential back-off with full jitter, bounded by attempts and time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from headrace.errors import RetryableError

T = TypeVar("T")

ATTEMPTS = 6
TIMEOUT_SECONDS = 30.0
INITIAL_SECONDS = 0.1
MAX_SECONDS = 5.0


async def retry(call: Callable[[], Awaitable[T]], *, attempts: int = ATTEMPTS, within: float = TIMEOUT_SECONDS) -> T:
    """Repeat `call` while it raises `RetryableError`. For idempotent calls only; the last error is raised as it is."""
    async for attempt in stamina.retry_context(
        on=RetryableError,
        attempts=attempts,
        timeout=within,
        wait_initial=INITIAL_SECONDS,
        wait_max=MAX_SECONDS,
        wait_jitter=MAX_SECONDS,
    ):
        with attempt:
            return await call()
    raise AssertionError("stamina either returns or raises")  # pragma: no cover
