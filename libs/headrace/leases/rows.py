"""Leases as items of the control table: KCL's attributes with their meaning, and ours beside them.

KCL leaves ours alone and its rows may be without them. Ours: `epoch batch_no generation intent manifest ledger
complete_through caught_up_at`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from headrace.leases.model import Intent, Lease, LeaseKey, Ledger
from headrace.stream.ports import ShardId

KEY = "leaseKey"


def to_row(lease: Lease) -> dict[str, Any]:
    """A lease → the values of a new item."""
    optional = {
        "leaseOwner": lease.owner,
        "parentShardId": set(lease.parents) or None,
        "intent": asdict(lease.intent) if lease.intent else None,
        "caught_up_at": lease.caught_up_at,
    }
    return {
        KEY: lease.key,
        "streamName": lease.key.rpartition(":")[0],  # KCL's name for account:stream:creationEpoch
        "shardId": lease.shard_id,
        "leaseCounter": lease.counter,
        "checkpoint": lease.checkpoint,
        "checkpointSubSequenceNumber": 0,
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
        batch_no=row.get("batch_no", 0),
        generation=row.get("generation", 0),
        intent=Intent(**row["intent"]) if "intent" in row else None,
        manifest=row.get("manifest", ""),
        parents=tuple(sorted(map(ShardId, row.get("parentShardId", ())))),
        ledger=Ledger(**row.get("ledger", {})),
        # a shard read to its tip is complete up to then, even when nothing came that could be committed
        complete_through=max(float(row.get("complete_through", 0)), caught_up_at or 0.0),
        caught_up_at=caught_up_at,
    )
