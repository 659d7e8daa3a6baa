"""A stream in memory: shards by the MD5 of the partition key, split and merged as in Kinesis."""

import asyncio
import hashlib
import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from headrace.clock import Clock
from headrace.errors import NotFoundError, RequestError
from headrace.stream import batcher
from headrace.stream.ports import (
    AfterSequence,
    AtTimestamp,
    Entry,
    Latest,
    Page,
    Position,
    Record,
    Shard,
    ShardId,
    ShardReader,
    StreamInfo,
    TrimHorizon,
)

PAGE_RECORDS = 10_000
_HASH_KEYS = 1 << 128
_FIRST_SEQUENCE = 10**20 - 10
"""The tenth record has one digit more than the first, so that comparing them as text goes wrong at once."""


@dataclass(slots=True)
class _Log:
    """A shard and what it holds."""

    shard: Shard
    records: list[Record] = field(default_factory=list)


class MemoryStream:
    """`StreamReader` and `Producer` at once. Nothing is trimmed; a page is cut by its number of records only.

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
    ) -> None:
        self._clock = clock
        self._info = StreamInfo(name=name, account=account, created=int(clock.now()))
        self._idle_seconds = idle_seconds
        self.page_records = page_records
        self._sequence = _FIRST_SEQUENCE
        self._logs: dict[ShardId, _Log] = {}
        bounds = [_HASH_KEYS * n // shards for n in range(shards + 1)]
        for first, end in itertools.pairwise(bounds):
            self._add((first, end - 1))

    async def info(self) -> StreamInfo:
        """See `StreamReader.info`."""
        return self._info

    async def shards(self) -> list[Shard]:
        """See `StreamReader.shards`."""
        return [log.shard for log in self._logs.values()]

    def open(self, shard_id: ShardId, position: Position) -> ShardReader:
        """See `StreamReader.open`. At the tip a read first sleeps `idle_seconds`."""
        return _MemoryShardReader(
            self._logs, shard_id, position, clock=self._clock, idle_seconds=self._idle_seconds, limit=self.page_records
        )

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Producer.put`. All or nothing; then lets other tasks run."""
        for batch in batcher.cut(entries):
            for entry in batch:
                self._append(entry)
        await asyncio.sleep(0)

    def split(self, shard_id: ShardId) -> tuple[ShardId, ShardId]:
        """Close an open shard and halve its hash range between two children. Raises `NotFoundError`, `RequestError`."""
        first, last = self._close(shard_id).hash_range
        middle = (first + last) // 2
        return self._add((first, middle), shard_id), self._add((middle + 1, last), shard_id)

    def merge(self, left: ShardId, right: ShardId) -> ShardId:
        """Close two open shards whose hash ranges touch, lower one first, and add their child. Raises as `split`."""
        lower, upper = (_find(self._logs, shard_id).shard.hash_range for shard_id in (left, right))
        if lower[1] + 1 != upper[0]:
            raise RequestError(f"{left} and {right} are not neighbours")
        self._close(left)
        self._close(right)
        return self._add((lower[0], upper[1]), left, right)

    def _add(self, hash_range: tuple[int, int], *parents: ShardId) -> ShardId:
        shard_id = ShardId(f"shardId-{len(self._logs):012}")
        self._logs[shard_id] = _Log(Shard(shard_id=shard_id, parents=parents, hash_range=hash_range))
        return shard_id

    def _close(self, shard_id: ShardId) -> Shard:
        log = _find(self._logs, shard_id)
        if log.shard.closed:
            raise RequestError(f"{shard_id} is closed already")
        log.shard = replace(log.shard, closed=True)
        return log.shard

    def _append(self, entry: Entry) -> None:
        hash_key = int.from_bytes(hashlib.md5(entry.partition_key.encode(), usedforsecurity=False).digest())
        log = next(log for log in self._logs.values() if not log.shard.closed and _covers(log.shard, hash_key))
        log.records.append(
            Record(
                data=entry.data,
                sequence_number=str(self._sequence),
                partition_key=entry.partition_key,
                approximate_arrival_timestamp=self._clock.now(),
            )
        )
        self._sequence += 1


class _MemoryShardReader:
    def __init__(
        self,
        logs: dict[ShardId, _Log],
        shard_id: ShardId,
        position: Position,
        *,
        clock: Clock,
        idle_seconds: float,
        limit: int,
    ) -> None:
        self._logs = logs
        self._shard_id = shard_id
        self._position = position
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._limit = limit
        self._next: int | None = None
        self._at_tip = False

    async def read(self) -> Page:
        """See `ShardReader.read`. Always lets other tasks run."""
        await self._clock.sleep(self._idle_seconds if self._at_tip else 0.0)
        log = _find(self._logs, self._shard_id)
        if self._next is None:
            self._next = _first_index(log.records, self._position)
        records = log.records[self._next : self._next + self._limit]
        self._next += len(records)
        self._at_tip = self._next == len(log.records)
        behind = 0.0 if self._at_tip else self._age(log.records[self._next])
        return Page(records=records, behind_seconds=behind, ended=self._at_tip and log.shard.closed)

    def _age(self, record: Record) -> float:
        """Seconds since it arrived, and never 0: that is said of the tip only."""
        return max(0.001, self._clock.now() - record.approximate_arrival_timestamp)


def _find(logs: dict[ShardId, _Log], shard_id: ShardId) -> _Log:
    if shard_id not in logs:
        raise NotFoundError(f"no shard {shard_id}")
    return logs[shard_id]


def _covers(shard: Shard, hash_key: int) -> bool:
    return shard.hash_range[0] <= hash_key <= shard.hash_range[1]


def _first_index(records: Sequence[Record], position: Position) -> int:
    match position:
        case TrimHorizon():
            return 0
        case Latest():
            return len(records)
        case AtTimestamp(seconds):
            arrived = (n for n, record in enumerate(records) if record.approximate_arrival_timestamp >= seconds)
            return next(arrived, len(records))
        case AfterSequence(number):
            return bisect_left(records, int(number) + 1, key=lambda record: int(record.sequence_number))
