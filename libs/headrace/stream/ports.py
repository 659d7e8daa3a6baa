"""What Headrace asks of a stream. `stream.memory` and `stream.kinesis` keep the same promises, held by one suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, NewType, Protocol

import msgspec

ShardId = NewType("ShardId", str)
SequenceNumber = NewType("SequenceNumber", str)
"""Up to 129 decimal digits; compare for equality, or as Python ints."""

HASH_KEYS = 1 << 128
HashRange = tuple[int, int]
"""First and last 128-bit hash key, both included."""
EVERY_KEY: HashRange = (0, HASH_KEYS - 1)

MAX_RECORD_BYTES = 1 << 20
"""Payload and partition key together (Kinesis' default limit, 1 MiB)."""


class Record(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """One record as read. The field names on the wire are Kinesis' own, so that GetRecords decodes straight into it."""

    data: bytes
    sequence_number: str
    partition_key: str
    approximate_arrival_timestamp: float
    """Seconds since 1970 UTC."""


class Entry(NamedTuple):
    """One record to write. Equal partition keys meet on one shard, in order."""

    data: bytes
    partition_key: str
    explicit_hash_key: str | None = None
    """Decimal; decides in place of the partition key where the record goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A shard and where it came from."""

    shard_id: ShardId
    parents: tuple[ShardId, ...] = ()
    """None for an original shard, one after a split, two after a merge."""
    hash_range: HashRange = EVERY_KEY
    closed: bool = False
    """No more writes; what it holds can still be read until the retention ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What makes this stream this stream: a re-created one of the same name has another `created`."""

    name: str
    account: str
    created: int
    """Seconds since 1970 UTC."""
    retention_seconds: float = 86_400.0
    """How long a record is kept, read or not. May be changed while the stream lives."""


@dataclass(frozen=True, slots=True)
class TrimHorizon:
    """The oldest record kept."""


@dataclass(frozen=True, slots=True)
class Latest:
    """What is written from now on."""


@dataclass(frozen=True, slots=True)
class AtTimestamp:
    """The first record that arrived at or after this moment (seconds since 1970 UTC)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class AfterSequence:
    """The record after this one."""

    sequence_number: SequenceNumber


@dataclass(frozen=True, slots=True)
class AtSequence:
    """This record, and what follows: for one that is not done to its end."""

    sequence_number: SequenceNumber


Position = TrimHorizon | Latest | AtTimestamp | AtSequence | AfterSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One read. An empty page is not the end: only `ended` is."""

    records: Sequence[Record]
    behind_seconds: float
    """How far the end of this page is behind the tip of the shard; 0 when it was read to the tip."""
    ended: bool = False
    """The shard is closed and this was its last page."""


class ShardReader(Protocol):
    """Reads one shard in order. Not safe for concurrent calls.

    Nothing here says how records come: an adapter may poll, as ours for Kinesis does, or hold a subscription (enhanced
    fan-out), as long as it takes no more from it than `read` asks for. See docs/adr/0007-enhanced-fan-out.md.
    """

    async def read(self) -> Page:
        """The next page, in order, without gaps or repeats.

        Expired iterators are reopened after the last record returned and throttling is waited out, both inside.
        Raises `NotFoundError` when the shard is gone, `UnavailableError` when the retries are used up (the position
        is kept: call again).
        """
        ...


class StreamReader(Protocol):
    """The consuming side of one stream."""

    async def info(self) -> StreamInfo:
        """Identity of the stream. Raises `NotFoundError` when it does not exist."""
        ...

    async def shards(self) -> list[Shard]:
        """All shards that still hold data, open and closed."""
        ...

    def open(self, shard_id: ShardId, position: Position) -> ShardReader:
        """A reader from `position` on. No call is made before the first `read`."""
        ...


class Producer(Protocol):
    """The producing side of one stream. Safe for concurrent calls."""

    async def put(self, entries: Sequence[Entry]) -> None:
        """Return once every entry is durable in the stream.

        Batches by the stream's limits, resends only what failed, backs off when throttled. At least once: an answer
        that was lost can make a second record. Raises `RequestError` for an entry over `MAX_RECORD_BYTES` before
        anything is sent, `RetryableError` when the retries are used up (some entries may be durable then).
        """
        ...


class Placer(Producer, Protocol):
    """A producer that can tell where its records went."""

    async def place(self, entries: Sequence[Entry]) -> Sequence[ShardId]:
        """As `put`, and for each entry the shard that has it; empty when the stream does not say."""
        ...
