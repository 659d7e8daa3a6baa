"""The lease row: a superset of KCL's, so that a KCL application and Headrace can take over from each other."""

import hashlib
from dataclasses import dataclass, field
from typing import NewType

from headrace.stream.ports import ShardId, StreamInfo

LeaseKey = NewType("LeaseKey", str)
"""KCL's multi-stream key: `account:stream:creationEpoch:shardId`."""

TRIM_HORIZON = "TRIM_HORIZON"
LATEST = "LATEST"
AT_TIMESTAMP = "AT_TIMESTAMP"
SHARD_END = "SHARD_END"
"""KCL's sentinels; every other checkpoint is a sequence number. The time of AT_TIMESTAMP is in the settings only."""

WHOLE = 2**63 - 1
"""The sub-sequence number after which nothing is left of any record: the largest that KCL knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Running totals of a shard since its first record: received = committed + dead_lettered + duplicates.

    Of an aggregate each user record is received. One of another shard's hash range is not: its producer has put it
    again, and that shard receives it. So stream and ledger agree by user records = received + foreign.
    """

    received: int = 0
    committed: int = 0
    dead_lettered: int = 0
    duplicates: int = 0
    objects: int = 0
    foreign: int = 0
    """User records in aggregates of this shard that belong to another one."""

    def __post_init__(self) -> None:
        if self.received != self.committed + self.dead_lettered + self.duplicates:
            raise ValueError(f"the ledger does not balance: {self}")

    def plus(self, other: "Ledger") -> "Ledger":
        """The sum, field by field."""
        return Ledger(
            received=self.received + other.received,
            committed=self.committed + other.committed,
            dead_lettered=self.dead_lettered + other.dead_lettered,
            duplicates=self.duplicates + other.duplicates,
            objects=self.objects + other.objects,
            foreign=self.foreign + other.foreign,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The decision that a batch, as its manifest describes it, is going to be applied."""

    batch_no: int
    manifest: str
    """Key of the manifest in the bucket."""
    sha256: str
    """Of the manifest's bytes, hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One row of the control table."""

    key: LeaseKey
    owner: str | None = None
    counter: int = 0
    """Grows with every renewal; unchanged for the failover time means expired."""
    epoch: int = 0
    """Grows with every change of owner; a writer of an older epoch is refused."""
    checkpoint: str = TRIM_HORIZON
    """The last sequence number that is done, or a sentinel."""
    sub_sequence: int = WHOLE
    """Up to which user record the record at `checkpoint` is done, if it is an aggregate of KPL's; they count from 0.
    We put whole records behind us; KCL may have stopped within one, also after its first."""
    batch_no: int = 0
    """Of the next batch. Never restarts, in any generation."""
    generation: int = 0
    """Grows when the row was found to be older than the bucket's manifests, and was brought up to them."""
    intent: Intent | None = None
    """A batch that is decided and may be half applied: whoever holds the lease finishes it before anything else."""
    manifest: str = ""
    """Key of the last committed batch's manifest; empty before the first."""
    parents: tuple[ShardId, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    complete_through: float = 0.0
    """All that arrived before it is committed (seconds since 1970 UTC)."""
    caught_up_at: float | None = None
    """When the shard was last read to its tip with nothing left in memory (seconds since 1970 UTC)."""
    claim: str | None = None
    """The worker that asked the owner for this lease. A hint, as is `leaving`: no write that delivers looks at it."""
    leaving: bool = False
    """Whether the owner is about to end, and glad of anybody who claims the lease."""

    @property
    def shard_id(self) -> ShardId:
        """The shard this row is for."""
        return ShardId(self.key.rsplit(":", 1)[1])

    @property
    def parent_keys(self) -> tuple[LeaseKey, ...]:
        """The keys of its parents' rows."""
        prefix = self.key.removesuffix(self.shard_id)
        return tuple(LeaseKey(prefix + parent) for parent in self.parents)

    @property
    def ended(self) -> bool:
        """Whether the shard is closed and all of it is done."""
        return self.checkpoint == SHARD_END


def lease_prefix(stream: StreamInfo) -> str:
    """What all lease keys of a stream start with."""
    return f"{stream.account}:{stream.name}:{stream.created}:"


def lease_key(stream: StreamInfo, shard_id: ShardId) -> LeaseKey:
    """The key of a shard's row."""
    return LeaseKey(lease_prefix(stream) + shard_id)


def lineage(application: str, stream: StreamInfo) -> str:
    """Eight hex digits that tell this application's use of this stream from any other.

    Part of every object key and counter item, so that a re-created stream never meets the first one's state.
    """
    return hashlib.sha256(f"{application}:{lease_prefix(stream)}".encode()).hexdigest()[:8]
