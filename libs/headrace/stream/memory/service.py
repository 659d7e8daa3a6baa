"""The calls of Kinesis in memory: PutRecords, GetShardIterator and GetRecords, refused and failing as it does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from headrace.clock import Clock
from headrace.errors import RequestError, ThrottledError, UnavailableError
from headrace.stream import batcher
from headrace.stream.memory.limits import Limits
from headrace.stream.memory.shards import Log, Shards
from headrace.stream.ports import Entry, Position, Record, ShardId


class ExpiredIteratorError(UnavailableError):
    """The iterator lay unused for too long: open another one."""


class PutFault(StrEnum):
    """Why one entry of a call was not taken."""

    THROTTLED = "ProvisionedThroughputExceededException"
    INTERNAL = "InternalFailure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What goes wrong by chance, each with a probability from 0 to 1. The same seed has the same bad luck."""

    seed: int = 0
    empty_pages: float = 0.0
    """Of a page without records though there are more: Kinesis gives such pages, and they are not the end."""
    failed_entries: float = 0.0
    """Of an entry that fails while its neighbours are taken."""
    lost_answers: float = 0.0
    """Of a put that takes effect and is not told."""


class ShardIterator(NamedTuple):
    """A place in a shard. Good for a few minutes."""

    shard_id: ShardId
    sequence: int
    """Of the next record, or a lower one."""
    issued_at: float


class Answer(NamedTuple):
    """What GetRecords says. Without a next iterator the shard has ended."""

    records: Sequence[Record]
    following: ShardIterator | None
    behind_seconds: float


class MemoryKinesis:
    """One stream, call by call. Nothing here waits: it answers or refuses at once."""

    def __init__(self, shards: Shards, *, clock: Clock, limits: Limits, disturbance: Disturbance) -> None:
        self._shards = shards
        self._clock = clock
        self._limits = limits
        self._disturbance = disturbance
        self._luck = random.Random(disturbance.seed)  # noqa: S311 - a seed that repeats is the point

    def put_records(self, entries: Sequence[Entry]) -> list[PutFault | None]:
        """One result per entry in their order, None for one that is durable. Raises as `place_records`."""
        return [result if isinstance(result, PutFault) else None for result in self.place_records(entries)]

    def place_records(self, entries: Sequence[Entry]) -> list[PutFault | ShardId]:
        """One result per entry in their order: the shard where one is durable, or why it is not.

        Raises `RequestError` for a call over its limits, and `UnavailableError` when the answer is lost.
        """
        if len(batcher.cut(entries)) != 1:
            raise RequestError("a call carries 1 to 500 records in 5 MiB")
        results = [self._put(entry) for entry in entries]
        if self._unlucky(self._disturbance.lost_answers):
            raise UnavailableError("the answer to a put was lost")
        return results

    def get_shard_iterator(self, shard_id: ShardId, position: Position) -> ShardIterator:
        """Raises `NotFoundError` for a shard that is not there, `RequestError` for a position of another shard."""
        log = self._shards.find(shard_id, self._clock.now())
        return ShardIterator(shard_id, self._shards.start(log, position), self._clock.monotonic())

    def get_records(self, iterator: ShardIterator, limit: int) -> Answer:
        """What comes next, up to `limit` records.

        What retention took is passed over without a word. Raises `ExpiredIteratorError`, `ThrottledError`, and
        `NotFoundError` for a shard that is not there any more.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        log = self._shards.find(iterator.shard_id, now)
        if monotonic - iterator.issued_at > self._limits.iterator_seconds:
            raise ExpiredIteratorError(f"the iterator of {iterator.shard_id} has expired")
        if log.read_calls.left(monotonic) < 1 or log.read_bytes.left(monotonic) <= 0:
            raise ThrottledError(f"{iterator.shard_id} is read too often")
        log.read_calls.use(1)
        start = log.index(iterator.sequence)
        left = len(log.records) - start
        records, size = (
            ([], 0) if left and self._unlucky(self._disturbance.empty_pages) else self._cut(log, start, limit)
        )
        log.read_bytes.use(size)
        at_tip = len(records) == left
        following = None
        if not (at_tip and log.shard.closed):
            sequence = int(records[-1].sequence_number) + 1 if records else iterator.sequence
            following = ShardIterator(iterator.shard_id, sequence, monotonic)
        return Answer(records, following, 0.0 if at_tip else _age(log.records[start + len(records)], now))

    def _put(self, entry: Entry) -> PutFault | ShardId:
        monotonic = self._clock.monotonic()
        log = self._shards.route(entry)
        size = batcher.entry_bytes(entry)
        if log.write_records.left(monotonic) < 1 or log.write_bytes.left(monotonic) < size:
            return PutFault.THROTTLED
        if self._unlucky(self._disturbance.failed_entries):
            return PutFault.INTERNAL
        log.write_records.use(1)
        log.write_bytes.use(size)
        self._shards.append(log, entry, self._clock.now())
        return log.shard.shard_id

    def _cut(self, log: Log, start: int, limit: int) -> tuple[list[Record], int]:
        """A page, and its bytes. One record always fits."""
        page = log.records[start : start + limit]
        sizes = [len(record.data) + len(record.partition_key.encode()) for record in page]
        size = sum(sizes)
        while len(page) > 1 and size > self._limits.page_bytes:
            page.pop()
            size -= sizes.pop()
        return page, size

    def _unlucky(self, probability: float) -> bool:
        return probability > 0 and self._luck.random() < probability


def _age(record: Record, now: float) -> float:
    """Seconds since it arrived, and never 0: that is said of the tip only."""
    return max(0.001, now - record.approximate_arrival_timestamp)
