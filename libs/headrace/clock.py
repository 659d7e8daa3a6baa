"""Time as a port: `now` for what is written down, `monotonic` for every decision about how long something took."""

import asyncio
import time
from typing import Protocol

HOUR_SECONDS = 3600


def hour_of(seconds: float) -> int:
    """Seconds since 1970 UTC → hours since then."""
    return int(seconds // HOUR_SECONDS)


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Wall clock, in seconds since 1970 UTC. May jump; never used to decide who owns what."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment. Never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let at least this long pass."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Yield to the loop for this long."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until told to move. `sleep` moves it and yields once to the loop."""

    def __init__(self, now: float = 1_775_721_600.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._now += seconds
        self._monotonic += seconds

    async def sleep(self, seconds: float) -> None:
        """Advance, and let other tasks run."""
        self.advance(seconds)
        await asyncio.sleep(0)
