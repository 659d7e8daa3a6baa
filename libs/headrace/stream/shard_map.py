"""Which hash keys belong to which shard, as the stream was last seen."""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

from headrace.clock import Clock
from headrace.errors import NotFoundError, UnavailableError
from headrace.stream.kpl import hash_key
from headrace.stream.ports import Entry, HashRange, Shard, ShardId

KEPT_SECONDS = 30.0
"""How long a list of open shards is believed. Deleting a stream and making it anew takes longer on Kinesis."""


class ShardMap:
    """Remembers a stream's shards, and asks again when one is met that it does not know. Belongs to one event loop.

    A shard's hash range never changes while its stream lives, so what is known of a shard stays true. Which shards are
    open does not, nor anything once a stream is made anew under its name: whoever puts asks again after a while.
    """

    def __init__(self, shards: Callable[[], Awaitable[Sequence[Shard]]], clock: Clock) -> None:
        self._shards = shards
        self._clock = clock
        self._asked_at = -math.inf
        self._ranges: dict[ShardId, HashRange] = {}
        self._starts: list[int] = []
        self._open: list[Shard] = []
        """In the order of their hash ranges, which begin at `_starts`."""
        self._asking = asyncio.Lock()

    async def refresh(self) -> None:
        """Ask for all shards. Raises what `StreamReader.shards` raises."""
        asked_at = self._clock.monotonic()
        found = await self._shards()
        self._asked_at = asked_at
        self._ranges = {shard.shard_id: shard.hash_range for shard in found}
        self._open = sorted((shard for shard in found if not shard.closed), key=lambda shard: shard.hash_range)
        self._starts = [shard.hash_range[0] for shard in self._open]

    async def hash_range(self, shard_id: ShardId) -> HashRange:
        """The shard's. Raises `NotFoundError` when the stream has it no more, and what `refresh` raises."""
        async with self._asking:  # many ask at a start, and one answer serves all
            if shard_id not in self._ranges:
                await self.refresh()
        if shard_id not in self._ranges:
            raise NotFoundError(f"no shard {shard_id}")
        return self._ranges[shard_id]

    async def locate(self) -> Callable[[Entry], Shard]:
        """What tells of an entry the open shard that it belongs to, as of the last half minute.

        Raises what `refresh` raises, and `UnavailableError` when no shard is open.
        """
        if not self._open or self._clock.monotonic() - self._asked_at > KEPT_SECONDS:
            await self.refresh()
        if not self._open:
            raise UnavailableError("the stream has no open shard")
        starts, shards = self._starts, self._open
        return lambda entry: shards[bisect_right(starts, hash_key(entry)) - 1]
