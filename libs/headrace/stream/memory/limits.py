"""What one shard takes and gives in a second."""

import math
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The defaults are those of "Quotas and limits" in AWS' developer guide of Kinesis Data Streams, per shard."""

    write_records: float = 1_000.0
    """Per second."""
    write_bytes: float = 1.0 * MIB
    """Per second, payloads and partition keys."""
    read_calls: float = 5.0
    """GetRecords per second, shared by all who read the shard."""
    read_bytes: float = 2.0 * MIB
    """Per second. A page may be larger: then the next calls are refused until it is paid for."""
    page_bytes: int = 10 * MIB
    """Of one answer of GetRecords."""
    iterator_seconds: float = 300.0
    """How long an iterator may lie unused."""


UNLIMITED = Limits(write_records=math.inf, write_bytes=math.inf, read_calls=math.inf, read_bytes=math.inf)
"""Nothing is ever throttled. Pages and iterators have an end here too."""


class Allowance:
    """So much a second, and what is not used within one second is lost. May be overdrawn."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = self._left = rate
        self._at = now

    def left(self, now: float) -> float:
        """What may be used at `now` (monotonic seconds); below zero while it is overdrawn."""
        if now > self._at:
            self._left = min(self._rate, self._left + self._rate * (now - self._at))
            self._at = now
        return self._left

    def use(self, amount: float) -> None:
        """Count something against it, as of the last look."""
        self._left -= amount
