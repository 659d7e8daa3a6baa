"""Time in the world, and what the workers believe of it."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.simulation.loop import VirtualLoop
from tests.simulation.traffic import START


class WorldClock:
    """True time. Nobody in the world can read it but the stream."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return START + self._loop.time()

    def monotonic(self) -> float:
        """Virtual seconds since the beginning."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let them pass."""
        await asyncio.sleep(seconds)


class WorkerClock:
    """A worker's clocks: the world's time, each with an offset of its own. The wall clock may jump."""

    def __init__(
        self, world: WorldClock, sleep: Callable[[float], Awaitable[None]], *, wall: float, monotonic: float
    ) -> None:
        self._world = world
        self._sleep = sleep
        self._wall = wall
        self._monotonic = monotonic

    def now(self) -> float:
        """Seconds since 1970 UTC, as this worker believes."""
        return self._world.now() + self._wall

    def monotonic(self) -> float:
        """Seconds since this machine was started."""
        return self._world.monotonic() + self._monotonic

    async def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        await self._sleep(seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock by so much."""
        self._wall += seconds
