"""The one read of a shard that is under way."""

import asyncio

from headrace.clock import Clock
from headrace.delivery.patience import Patience
from headrace.runtime import Shutdown
from headrace.stream.ports import Page, ShardReader


class Reading:
    """Reads page after page, one at a time, each only when it is asked for. Belongs to one shard worker."""

    def __init__(self, reader: ShardReader, patience: Patience, clock: Clock) -> None:
        self._reader = reader
        self._patience = patience
        self._clock = clock
        self._task: asyncio.Task[Page | None] | None = None
        self.asked_at = 0.0
        """When the last page was asked for (seconds since 1970 UTC)."""

    @property
    def under_way(self) -> bool:
        """Whether a page was asked for and not taken yet."""
        return self._task is not None

    def begin(self, shutdown: Shutdown) -> asyncio.Task[Page | None]:
        """The read that is under way; a new one if there is none. An outage is waited out, the position is kept."""
        if self._task is None:
            self.asked_at = self._clock.now()
            self._task = asyncio.create_task(self._patience.insist("read", self._reader.read, shutdown))
        return self._task

    def take(self) -> Page | None:
        """The page, once; None while it is not there, or when the drain's deadline passed first. Raises as the read."""
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        return task.result()

    async def stop(self) -> None:
        """Give the read up: whoever reads next begins at the checkpoint."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
