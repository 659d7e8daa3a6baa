"""How much the shards of one process may hold in memory together."""

import asyncio


class BufferBudget:
    """Bytes of records held by the shard workers of one process, and the wait for room. Belongs to one event loop.

    It is asked before a page is fetched and told after, so that the limit may be passed by one page for each shard
    (10 MiB at most on Kinesis). Nothing is refused and nothing dropped: whoever finds no room does not fetch.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self.planning = asyncio.Lock()
        """Held while a batch becomes columns and files: that takes a multiple of its bytes, so one at a time."""
        self._room = asyncio.Event()
        self._room.set()

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    @property
    def full(self) -> bool:
        """Whether fetching has to wait."""
        return self._held >= self._limit

    def take(self, size: int) -> None:
        """`size` more bytes are held."""
        self._held += size
        if self.full:
            self._room.clear()

    def give_back(self, size: int) -> None:
        """`size` bytes are delivered, or will be read again by somebody else."""
        self._held -= size
        if not self.full:
            self._room.set()

    async def room(self) -> None:
        """Wait until there is room."""
        await self._room.wait()
