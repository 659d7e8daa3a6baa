"""Leases as items of the control table: KCL's attributes with their meaning, and ours beside them.

KCL leaves ours alone and its rows may be without them. Ours: `epoch batch_no generation intent manifest ledger
complete_through caught_up_at claim leaving ttl`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from headrace.leases.model import WHOLE, Intent, Lease, LeaseKey, Ledger
from headrace.stream.ports import ShardId

KEY = "leaseKey"

T = TypeVar("T", Intent, Ledger)


def is_sequence(checkpoint: str) -> bool:
    """Whether it is a sequence number, not one of KCL's words."""
    return checkpoint.isdecimal() and checkpoint.isascii()


def sub_sequence_of(checkpoint: str, within: int = WHOLE) -> int:
    """`checkpointSubSequenceNumber` for a checkpoint. Beside its words KCL expects 0.

    Beside a sequence number of ours stands the largest there is, so that KCL repeats nothing of an aggregate.
    """
    return within if is_sequence(checkpoint) else 0


def to_row(lease: Lease) -> dict[str, Any]:
    """A lease → the values of a new item."""
    optional = {
        "leaseOwner": lease.owner,
        "parentShardId": set(lease.parents) or None,
        "intent": asdict(lease.intent) if lease.intent else None,
        "caught_up_at": lease.caught_up_at,
        "claim": lease.claim,
        "leaving": lease.leaving or None,
    }
    return {
        KEY: lease.key,
        "streamName": lease.key.rpartition(":")[0],  # KCL's name for account:stream:creationEpoch
        "shardId": lease.shard_id,
        "leaseCounter": lease.counter,
        "checkpoint": lease.checkpoint,
        "checkpointSubSequenceNumber": sub_sequence_of(lease.checkpoint, lease.sub_sequence),
        "ownerSwitchesSinceCheckpoint": 0,
        "epoch": lease.epoch,
        "batch_no": lease.batch_no,
        "generation": lease.generation,
        "manifest": lease.manifest,
        "ledger": asdict(lease.ledger),
        "complete_through": lease.complete_through,
    } | {name: value for name, value in optional.items() if value is not None}


def from_row(row: Mapping[str, Any]) -> Lease:
    """The values of an item, KCL's or ours → a lease."""
    caught_up_at = float(row["caught_up_at"]) if "caught_up_at" in row else None
    return Lease(
        key=LeaseKey(row[KEY]),
        owner=row.get("leaseOwner"),
        counter=row["leaseCounter"],
        epoch=row.get("epoch", 0),
        checkpoint=row["checkpoint"],
        sub_sequence=row.get("checkpointSubSequenceNumber", WHOLE) if is_sequence(row["checkpoint"]) else WHOLE,
        batch_no=row.get("batch_no", 0),
        generation=row.get("generation", 0),
        intent=_known(Intent, row["intent"]) if "intent" in row else None,
        manifest=row.get("manifest", ""),
        parents=tuple(sorted(map(ShardId, row.get("parentShardId", ())))),
        ledger=_known(Ledger, row.get("ledger", {})),
        # a shard read to its tip is complete up to then, even when nothing came that could be committed
        complete_through=max(float(row.get("complete_through", 0)), caught_up_at or 0.0),
        caught_up_at=caught_up_at,
        claim=row.get("claim"),
        leaving=row.get("leaving", False),
    )


def _known(kind: type[T], values: Mapping[str, Any]) -> T:
    """The part of `values` that this version knows: while a deployment rolls, a newer one may have written more."""
    return kind(**{each.name: values[each.name] for each in fields(kind) if each.name in values})
