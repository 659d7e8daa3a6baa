"""The records of one shard that wait to be delivered together, and when waiting ends."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from headrace.settings import Settings
from headrace.stream.ports import Record

RECORD_BYTES = 256
"""What a record takes beside its payload: the object, its sequence number, key and time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """How large and how old a micro-batch may become."""

    rows: int = 100_000
    bytes: int = 64 << 20
    partitions: int = 100
    age: float = 60.0
    """Seconds since its first record was fetched."""

    @classmethod
    def of(cls, settings: Settings) -> "BatchPolicy":
        """The policy that `settings` ask for."""
        return cls(
            rows=settings.batch_rows,
            bytes=settings.batch_bytes,
            partitions=settings.batch_partitions,
            age=settings.batch_age,
        )


class Batch:
    """Records in the order of the shard. Grows by pages, shrinks from its front."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._since: float | None = None
        self.records: list[Record] = []
        self.bytes = 0
        """Of payload."""

    @property
    def footprint(self) -> int:
        """Bytes of memory that the records take, about."""
        return self.bytes + RECORD_BYTES * len(self.records)

    def __bool__(self) -> bool:
        return bool(self.records)

    def add(self, records: Sequence[Record], now: float) -> None:
        """Append a page; `now` is monotonic seconds."""
        if records and self._since is None:
            self._since = now
        self.records.extend(records)
        self.bytes += _payload(records)

    @property
    def due_at(self) -> float | None:
        """When its age makes it due (monotonic seconds); None while it is empty."""
        return None if self._since is None else self._since + self._policy.age

    def due(self, now: float) -> bool:
        """Whether it is time to deliver; `now` is monotonic seconds."""
        if self.due_at is None:
            return False
        full = len(self.records) >= self._policy.rows or self.bytes >= self._policy.bytes
        return full or now >= self.due_at

    def head(self) -> Sequence[Record]:
        """The longest front within the limits of rows and bytes, at least one record."""
        front = self.records[: self._policy.rows]
        if self.bytes <= self._policy.bytes:
            return front
        ends = list(accumulate([len(record.data) for record in front]))
        return front[: max(1, bisect_right(ends, self._policy.bytes))]

    def drop(self, count: int) -> None:
        """Forget the first `count` records: they are delivered. What came with them has waited as long as they have."""
        self.bytes -= _payload(self.records[:count])
        del self.records[:count]
        if not self.records:
            self._since = None


def _payload(records: Sequence[Record]) -> int:
    return sum([len(record.data) for record in records])
