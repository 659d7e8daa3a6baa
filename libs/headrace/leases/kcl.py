"""KCL's own lease rows → ours, and back. Pure.

KCL 2 and 3 write one row per shard, keyed by the shard id, or in multi-stream mode by
`account:stream:creationEpoch:shardId` with `streamName` (those first three parts) and `shardId` beside it. From KCL 3.5
on worker metrics and the coordinator's state may lie in the same table: they have another `entityType` than LEASE.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headrace.leases.model import AT_TIMESTAMP, LATEST, SHARD_END, TRIM_HORIZON, WHOLE, Lease, lease_key
from headrace.leases.rows import KEY, is_sequence, sub_sequence_of
from headrace.stream.ports import Shard, ShardId, StreamInfo

_WORDS = frozenset({TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END})
_LEASE = "LEASE"
_MILLISECONDS = 1000


class Keys(StrEnum):
    """How a KCL application keys its rows."""

    SINGLE = "single"
    MULTI = "multi"


@dataclass(frozen=True, slots=True, kw_only=True)
class KclLease:
    """A row as KCL keeps it."""

    key: str
    shard_id: ShardId
    stream: str | None = None
    """`account:stream:creationEpoch`; None in single-stream mode."""
    owner: str | None = None
    counter: int = 0
    checkpoint: str
    sub_sequence: int = 0
    """Index of the last user record that is done within the record at `checkpoint`."""
    parents: tuple[ShardId, ...] = ()
    hash_range: tuple[int, int] | None = None

    @property
    def keys(self) -> Keys:
        """How it is keyed."""
        return Keys.SINGLE if self.stream is None else Keys.MULTI


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A row of KCL's and the one it becomes."""

    lease: Lease
    note: str = ""
    """What a person should know of it."""
    there: Lease | None = None
    """A row of ours that the shard has already: it stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What taking a table over comes to. With problems nothing is written."""

    taken: tuple[Taken, ...]
    problems: tuple[str, ...]
    others: int
    """Rows of other streams."""


def parse(item: Mapping[str, Any]) -> KclLease | None:
    """The values of an item → a lease; None for what is no lease. Raises `ValueError` for one that cannot be read."""
    if item.get("entityType", _LEASE) != _LEASE:
        return None
    key, checkpoint = item.get(KEY), item.get("checkpoint")
    if key is None or checkpoint is None:
        raise ValueError(f"{key} has no checkpoint")
    if checkpoint not in _WORDS and not is_sequence(checkpoint):
        raise ValueError(f"{key}: the checkpoint {checkpoint!r} is neither a sequence number nor a word of KCL's")
    ends = (item.get("startingHashKey"), item.get("endingHashKey"))
    return KclLease(
        key=key,
        shard_id=ShardId(item.get("shardId") or key.rpartition(":")[2]),
        stream=item.get("streamName") or key.rpartition(":")[0] or None,
        owner=item.get("checkpointOwner") or item.get("leaseOwner"),
        counter=item.get("leaseCounter", 0),
        checkpoint=checkpoint,
        sub_sequence=item.get("checkpointSubSequenceNumber", 0),
        parents=tuple(sorted(map(ShardId, item.get("parentShardId", ())))),
        hash_range=(int(ends[0]), int(ends[1])) if ends[0] and ends[1] else None,
    )


def still_run(before: Sequence[KclLease], after: Sequence[KclLease]) -> list[str]:
    """Who renewed a lease, took one or moved a checkpoint between two looks at a table."""
    seen = {lease.key: lease for lease in before}
    return sorted({lease.owner or lease.key for lease in after if seen.get(lease.key) != lease})


def plan_import(
    found: Sequence[KclLease], stream: StreamInfo, shards: Sequence[Shard], rows: Sequence[Lease]
) -> ImportPlan:
    """What becomes of KCL's leases `found`, for the stream as it is and the `rows` that we have of it."""
    ours = [lease for lease in found if _is_of(lease, stream)]
    problems = _problems(ours, stream, shards) if ours else ["no row of this stream in it"]
    known = {row.shard_id: row for row in rows}
    taken = tuple(
        Taken(lease=lease, note=note, there=known.get(lease.shard_id))
        for lease, note in (_take(one, stream) for one in sorted(ours, key=lambda one: one.shard_id))
    )
    return ImportPlan(taken=taken, problems=tuple(problems), others=len(found) - len(ours))


def _is_of(lease: KclLease, stream: StreamInfo) -> bool:
    return lease.stream is None or lease.stream.rpartition(":")[0] == f"{stream.account}:{stream.name}"


def _problems(ours: Sequence[KclLease], stream: StreamInfo, shards: Sequence[Shard]) -> list[str]:
    problems = []
    there = {shard.shard_id: shard for shard in shards}
    if len({lease.shard_id for lease in ours}) < len(ours):
        problems.append("a shard has two rows: of a stream that was made anew, or of two applications")
    problems += [
        f"rows are of a stream created at {epoch}, but this one was created at {stream.created}"
        for epoch in sorted({lease.stream.rpartition(":")[2] for lease in ours if lease.stream})
        if not epoch.isdecimal() or stream.created not in {int(epoch), int(epoch) // _MILLISECONDS}
    ]
    open_leases = [lease for lease in ours if lease.checkpoint != SHARD_END]
    if open_leases and not any(lease.shard_id in there for lease in open_leases):
        problems.append("the stream has none of the shards in it: it is of another stream")
    problems += [
        f"{lease.shard_id} has other hash keys than in this stream: it is of another stream"
        for lease in ours
        if lease.hash_range and lease.shard_id in there and lease.hash_range != there[lease.shard_id].hash_range
    ]
    return problems


def _take(found: KclLease, stream: StreamInfo) -> tuple[Lease, str]:
    checkpoint, within, note = found.checkpoint, WHOLE, ""
    if checkpoint == AT_TIMESTAMP:
        checkpoint, note = TRIM_HORIZON, "KCL had not begun, and its time is not in the table: from the oldest record"
    elif checkpoint == LATEST:
        note = "KCL had not begun: from the moment that a transformer takes it"
    elif is_sequence(checkpoint):
        within = found.sub_sequence
        note = f"behind user record {within} of an aggregate" if 0 < within < WHOLE else ""
    key = lease_key(stream, found.shard_id)
    return Lease(key=key, checkpoint=checkpoint, sub_sequence=within, parents=found.parents), note


def export_row(lease: Lease, shards: Collection[Shard], keys: Keys) -> dict[str, Any]:
    """A lease → the values of KCL's item for it, free for its workers to take."""
    shard = next((shard for shard in shards if shard.shard_id == lease.shard_id), None)
    children = {child.shard_id for child in shards if lease.shard_id in child.parents} if lease.ended else set()
    row: dict[str, Any] = {
        KEY: lease.shard_id,
        "leaseCounter": 0,
        "checkpoint": lease.checkpoint,
        "checkpointSubSequenceNumber": sub_sequence_of(lease.checkpoint, lease.sub_sequence),
        "ownerSwitchesSinceCheckpoint": 0,
    }
    if keys is Keys.MULTI:
        row |= {KEY: str(lease.key), "streamName": lease.key.rpartition(":")[0], "shardId": lease.shard_id}
    if lease.parents:
        row["parentShardId"] = set(lease.parents)
    if children:
        row["childShardIds"] = children
    if shard is not None:
        row |= {"startingHashKey": str(shard.hash_range[0]), "endingHashKey": str(shard.hash_range[1])}
    return row
