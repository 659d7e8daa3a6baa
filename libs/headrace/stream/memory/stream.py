"""A stream in memory, seen from both sides, and what its owner may do to it."""

import random
from collections.abc import Sequence

from headrace.clock import Clock
from headrace.stream.memory.limits import UNLIMITED, Limits
from headrace.stream.memory.producer import MemoryProducer
from headrace.stream.memory.reader import MemoryShardReader
from headrace.stream.memory.service import Disturbance, MemoryKinesis
from headrace.stream.memory.shards import Shards
from headrace.stream.ports import Entry, Position, Shard, ShardId, ShardReader, StreamInfo

PAGE_RECORDS = 10_000
RETENTION_SECONDS = 86_400.0


class MemoryStream:
    """`StreamReader` and `Placer` at once. Without `limits` nothing is throttled; `Limits()` are those of Kinesis.

    The clock decides everything: rates and iterators go by `monotonic`, retention by `now`, back-off by `sleep`.
    `page_records` may be changed; it holds for readers opened from then on.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        shards: int = 1,
        name: str = "memory",
        account: str = "000000000000",
        idle_seconds: float = 0.0,
        page_records: int = PAGE_RECORDS,
        limits: Limits = UNLIMITED,
        retention_seconds: float = RETENTION_SECONDS,
        disturbance: Disturbance | None = None,
    ) -> None:
        self._clock = clock
        self._info = StreamInfo(
            name=name, account=account, created=int(clock.now()), retention_seconds=retention_seconds
        )
        self._idle_seconds = idle_seconds
        self.page_records = page_records
        disturbance = disturbance or Disturbance()
        self._shards = Shards(shards, limits=limits, retention_seconds=retention_seconds, monotonic=clock.monotonic())
        self.kinesis = MemoryKinesis(self._shards, clock=clock, limits=limits, disturbance=disturbance)
        """The calls underneath, for tests of what one call does."""
        self._roll = random.Random(disturbance.seed).random  # noqa: S311 - jitter that a seed repeats
        self._producer = MemoryProducer(self.kinesis, clock=clock, roll=self._roll)

    async def info(self) -> StreamInfo:
        """See `StreamReader.info`."""
        return self._info

    async def shards(self) -> list[Shard]:
        """See `StreamReader.shards`."""
        return self._shards.kept(self._clock.now())

    def open(self, shard_id: ShardId, position: Position) -> ShardReader:
        """See `StreamReader.open`. At the tip a read first sleeps `idle_seconds`."""
        return MemoryShardReader(
            self.kinesis,
            shard_id,
            position,
            clock=self._clock,
            idle_seconds=self._idle_seconds,
            page_records=self.page_records,
            roll=self._roll,
        )

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Producer.put`."""
        await self._producer.put(entries)

    async def place(self, entries: Sequence[Entry]) -> Sequence[ShardId]:
        """See `Placer.place`."""
        return await self._producer.place(entries)

    def split(self, shard_id: ShardId, *, at: int | None = None) -> tuple[ShardId, ShardId]:
        """Close an open shard and share its hash range between two children; `at` is the upper one's first hash key.

        By default they get half of it each. Raises `NotFoundError`, `RequestError`.
        """
        return self._shards.split(shard_id, at, now=self._clock.now(), monotonic=self._clock.monotonic())

    def merge(self, left: ShardId, right: ShardId) -> ShardId:
        """Close two open shards whose hash ranges touch, lower one first, and add their child. Raises as `split`."""
        return self._shards.merge(left, right, now=self._clock.now(), monotonic=self._clock.monotonic())
