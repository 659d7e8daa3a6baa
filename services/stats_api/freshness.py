"""Up to when the counts are complete."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from headrace.clock import Clock
from headrace.errors import NotFoundError
from headrace.leases.model import Lease, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import StreamReader

READ_EVERY_SECONDS = 1.0


class Freshness:
    """The control table's word on it, asked at most once a second."""

    def __init__(self, leases: LeaseStore, stream: StreamReader, clock: Clock) -> None:
        self._leases = leases
        self._stream = stream
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._known: str | None = None
        self._asked_at = float("-inf")

    async def complete_through(self) -> str | None:
        """ISO 8601 in UTC: whatever arrived before it is counted. None before any shard was read.

        Raises `RetryableError` when the control table does not answer.
        """
        async with self._one_at_a_time:
            if self._clock.monotonic() - self._asked_at >= READ_EVERY_SECONDS:
                self._known = await self._ask()
                self._asked_at = self._clock.monotonic()
            return self._known

    async def _ask(self) -> str | None:
        try:
            stream = await self._stream.info()
        except NotFoundError:
            return None
        return as_text(least(await self._leases.list(lease_prefix(stream))))


def least(leases: Sequence[Lease]) -> float | None:
    """The least moment over the shards that have not ended, in seconds since 1970 UTC; None while one is unread."""
    moments = [max(lease.complete_through, lease.caught_up_at or 0.0) for lease in leases if not lease.ended]
    return min(moments, default=0.0) or None


def as_text(moment: float | None) -> str | None:
    """`2026-04-09T08:00:00.123Z`, cut to milliseconds so that it never promises too much."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
