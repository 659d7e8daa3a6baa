"""Shards in memory: what each holds, which one a key belongs to, and what retention leaves of them."""

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from headrace.errors import NotFoundError, RequestError
from headrace.stream.kpl import hash_key
from headrace.stream.memory.limits import Allowance, Limits
from headrace.stream.ports import (
    HASH_KEYS,
    AfterSequence,
    AtSequence,
    AtTimestamp,
    Entry,
    Latest,
    Position,
    Record,
    Shard,
    ShardId,
)

FIRST_SEQUENCE = 10**20 - 10
"""The tenth record has one digit more than the first, so that comparing them as text goes wrong at once."""


@dataclass(slots=True, kw_only=True)
class Log:
    """A shard and what it holds. Its records carry sequence numbers from `first` on, once closed below `end`."""

    shard: Shard
    first: int
    end: int | None = None
    closed_at: float = 0.0
    """When it was closed, if it was (seconds since 1970 UTC)."""
    records: list[Record] = field(default_factory=list)
    write_records: Allowance
    write_bytes: Allowance
    read_calls: Allowance
    read_bytes: Allowance

    def index(self, sequence: int) -> int:
        """Where the first record is whose sequence number is at least this."""
        return bisect_left(self.records, sequence, key=lambda record: int(record.sequence_number))


class Shards:
    """All shards of one stream. `now` is the wall clock, `monotonic` the other one, both as the caller sees them."""

    def __init__(self, count: int, *, limits: Limits, retention_seconds: float, monotonic: float) -> None:
        self._limits = limits
        self._retention_seconds = retention_seconds
        self._logs: dict[ShardId, Log] = {}
        self._added = 0
        self._sequence = FIRST_SEQUENCE
        bounds = [HASH_KEYS * n // count for n in range(count + 1)]
        for first, end in itertools.pairwise(bounds):
            self._add((first, end - 1), monotonic=monotonic)

    def kept(self, now: float) -> list[Shard]:
        """All shards within retention, open and closed."""
        for log in list(self._logs.values()):
            self._trim(log, now)
        return [log.shard for log in self._logs.values()]

    def find(self, shard_id: ShardId, now: float) -> Log:
        """A shard with what retention left of it. Raises `NotFoundError`."""
        log = self._logs.get(shard_id)
        if (log := self._logs.get(shard_id)) is not None:
            self._trim(log, now)
        if log is None or shard_id not in self._logs:
            raise NotFoundError(f"no shard {shard_id}")
        return log

    def start(self, log: Log, position: Position) -> int:
        """The sequence number from which on to read. Raises `RequestError` for one that is of another shard."""
        match position:
            case Latest():
                return self._sequence
            case AtTimestamp(seconds):
                late = (record for record in log.records if record.approximate_arrival_timestamp >= seconds)
                return next((int(record.sequence_number) for record in late), self._sequence)
            case AtSequence(number) | AfterSequence(number):
                end = self._sequence if log.end is None else log.end
                if not log.first <= int(number) < end:
                    raise RequestError(f"{log.shard.shard_id} has never had a record {number}")
                return int(number) + isinstance(position, AfterSequence)
        return log.first

    def route(self, entry: Entry) -> Log:
        """The open shard that an entry belongs to."""
        key = hash_key(entry)
        return next(log for log in self._logs.values() if not log.shard.closed and _covers(log.shard, key))

    def append(self, log: Log, entry: Entry, now: float) -> None:
        """Add a record, made durable at `now`."""
        log.records.append(
            Record(
                data=entry.data,
                sequence_number=str(self._sequence),
                partition_key=entry.partition_key,
                approximate_arrival_timestamp=now,
            )
        )
        self._sequence += 1

    def split(self, shard_id: ShardId, at: int | None, *, now: float, monotonic: float) -> tuple[ShardId, ShardId]:
        """See `MemoryStream.split`."""
        log = self._open(shard_id, now)
        first, last = log.shard.hash_range
        upper = (first + last) // 2 + 1 if at is None else at
        if not first < upper <= last:
            raise RequestError(f"{shard_id} cannot be split at {upper}")
        self._close([log], now)
        return (
            self._add((first, upper - 1), shard_id, monotonic=monotonic),
            self._add((upper, last), shard_id, monotonic=monotonic),
        )

    def merge(self, left: ShardId, right: ShardId, *, now: float, monotonic: float) -> ShardId:
        """See `MemoryStream.merge`."""
        logs = [self._open(shard_id, now) for shard_id in (left, right)]
        lower, upper = (log.shard.hash_range for log in logs)
        if lower[1] + 1 != upper[0]:
            raise RequestError(f"{left} and {right} are not neighbours")
        self._close(logs, now)
        return self._add((lower[0], upper[1]), left, right, monotonic=monotonic)

    def _add(self, hash_range: tuple[int, int], *parents: ShardId, monotonic: float) -> ShardId:
        shard_id = ShardId(f"shardId-{self._added:012}")
        self._added += 1
        self._logs[shard_id] = Log(
            shard=Shard(shard_id=shard_id, parents=parents, hash_range=hash_range),
            first=self._sequence,
            write_records=Allowance(self._limits.write_records, monotonic),
            write_bytes=Allowance(self._limits.write_bytes, monotonic),
            read_calls=Allowance(self._limits.read_calls, monotonic),
            read_bytes=Allowance(self._limits.read_bytes, monotonic),
        )
        return shard_id

    def _open(self, shard_id: ShardId, now: float) -> Log:
        log = self.find(shard_id, now)
        if log.shard.closed:
            raise RequestError(f"{shard_id} is closed already")
        return log

    def _close(self, logs: Sequence[Log], now: float) -> None:
        for log in logs:
            log.shard = replace(log.shard, closed=True)
            log.closed_at, log.end = now, self._sequence

    def _trim(self, log: Log, now: float) -> None:
        """Forget records older than the retention, and the shard if it was closed before it."""
        horizon = now - self._retention_seconds
        gone = sum(1 for _ in _before(log.records, horizon))
        if gone:
            del log.records[:gone]
        if log.shard.closed and log.closed_at <= horizon:
            del self._logs[log.shard.shard_id]


def _before(records: Sequence[Record], horizon: float) -> Iterator[Record]:
    return itertools.takewhile(lambda record: record.approximate_arrival_timestamp <= horizon, records)


def _covers(shard: Shard, key: int) -> bool:
    return shard.hash_range[0] <= key <= shard.hash_range[1]
