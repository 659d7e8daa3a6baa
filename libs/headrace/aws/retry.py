"""The one retry policy: exponential back-off with full jitter, bounded by attempts and time."""

import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

import stamina

from headrace.errors import RetryableError

T = TypeVar("T")

ATTEMPTS = 6
TIMEOUT_SECONDS = 30.0
INITIAL_SECONDS = 0.1
MAX_SECONDS = 5.0

_repeating: ContextVar[bool] = ContextVar("repeating", default=False)


def is_repeat() -> bool:
    """Whether what runs now was tried before by `retry`, in vain: the AWS session counts such calls."""
    return _repeating.get()


def full_jitter(attempt: int, roll: float) -> float:
    """Seconds before repeat number `attempt` (from 1): between 0 and a bound that doubles. `roll` is 0 to 1."""
    return roll * min(MAX_SECONDS, INITIAL_SECONDS * 2.0 ** min(attempt - 1, 16))


async def retry(call: Callable[[], Awaitable[T]], *, attempts: int = ATTEMPTS, within: float = TIMEOUT_SECONDS) -> T:
    """Repeat `call` while it raises `RetryableError`. For idempotent calls only; the last error is raised as it is."""
    repeats = 0

    def wait(error: Exception) -> bool | float:
        nonlocal repeats
        repeats += 1
        return isinstance(error, RetryableError) and full_jitter(repeats, random.random())  # noqa: S311 - no secret

    async for attempt in stamina.retry_context(on=wait, attempts=attempts, timeout=within):
        with attempt:
            before = _repeating.set(repeats > 0)
            try:
                return await call()
            finally:
                _repeating.reset(before)
    raise AssertionError("stamina either returns or raises")
