"""`headrace leases export`: our checkpoints become rows of a KCL application's table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.catalog.results import Row
from headrace.delivery.reset import place
from headrace.leases.kcl import KclLease, Keys, export_row
from headrace.leases.kcl_table import KclTable
from headrace.leases.model import AT_TIMESTAMP, LATEST, Lease
from headrace.stream.ports import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A row of ours on its way to KCL."""

    lease: Lease
    row: dict[str, Any]
    seen: KclLease | None
    """The row that it takes the place of."""


def plan_export(
    leases: Sequence[Lease], shards: Sequence[Shard], there: Sequence[KclLease], keys: Keys
) -> tuple[list[Exported], list[str]]:
    """What is to be written to KCL's table, and why it may not be. With problems nothing is written."""
    known = {lease.key: lease for lease in there}
    exported, problems = [], []
    if there and keys not in {lease.keys for lease in there}:
        problems.append(f"its rows are keyed otherwise than --keys {keys} says")
    for lease in leases:
        row = export_row(lease, shards, keys)
        seen = known.get(row["leaseKey"])
        exported.append(Exported(lease=lease, row=row, seen=seen))
        if lease.intent is not None:
            problems.append(f"{lease.shard_id}: batch {lease.intent.batch_no} is decided and not finished")
        elif lease.owner is not None:
            problems.append(f"{lease.shard_id}: {lease.owner} owns it: stop the transformers first")
        begun = seen is not None and seen.checkpoint not in {LATEST, AT_TIMESTAMP}
        if seen is not None and begun and place(seen.checkpoint) > place(lease.checkpoint):
            problems.append(f"{lease.shard_id}: KCL is further than we are, at {seen.checkpoint}")
    return exported, problems


async def hand_over(table: KclTable, exported: Sequence[Exported]) -> list[Row]:
    """Write the rows. Raises `ConflictError` when KCL changes one of them meanwhile."""
    rows: list[Row] = []
    for one in exported:
        await table.write(one.row, one.seen)
        result = "added" if one.seen is None else "moved"
        rows.append((one.lease.shard_id, one.lease.checkpoint, result, ""))
    return rows
