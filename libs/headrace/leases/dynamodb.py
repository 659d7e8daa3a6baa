"""Leases in DynamoDB: one item per shard, readable and writable by KCL 2 and 3 in multi-stream mode.

KCL's attributes keep their meaning; ours (`epoch batch_no ledger complete_through caught_up_at`) are left alone by KCL
and may be missing from its rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from headrace.aws.dynamodb import from_item, hash_table, names_in, request, scan_prefix, to_item
from headrace.errors import ConflictError, LeaseLostError, RetryableError
from headrace.leases.model import Lease, LeaseKey, Ledger
from headrace.stream.ports import ShardId

KEY = "leaseKey"

_HELD = "#leaseOwner = :owner AND #epoch = :epoch"


def table_definition(name: str) -> dict[str, Any]:
    """Arguments of CreateTable for the control table."""
    return hash_table(name, KEY)


class DynamoLeaseStore:
    """The `LeaseStore` of deployments. The table is made elsewhere, by `table_definition`."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def create(self, leases: Sequence[Lease]) -> None:
        """See `LeaseStore`. Rows are added in the order given."""
        absent = f"attribute_not_exists(#{KEY})"
        for lease in leases:
            try:
                await request(
                    self._client.put_item,
                    TableName=self._table,
                    Item=to_item(_to_row(lease)),
                    ConditionExpression=absent,
                    ExpressionAttributeNames=names_in(absent),
                )
            except ConflictError:
                continue

    async def list(self, prefix: str) -> list[Lease]:
        """See `LeaseStore`."""
        rows = [_from_row(row) async for row in scan_prefix(self._client, self._table, KEY, prefix)]
        return sorted(rows, key=lambda lease: lease.key)

    async def get(self, key: LeaseKey) -> Lease | None:
        """See `LeaseStore`."""
        reply = await request(
            self._client.get_item, TableName=self._table, Key=to_item({KEY: key}), ConsistentRead=True
        )
        return _from_row(from_item(reply["Item"])) if "Item" in reply else None

    async def take(self, seen: Lease, owner: str) -> Lease:
        """See `LeaseStore`."""
        unchanged = "attribute_not_exists(#leaseOwner)" if seen.owner is None else "#leaseOwner = :seen_owner"
        return await self._change(
            seen.key,
            update=(
                "SET #leaseOwner = :owner, #batch_no = if_not_exists(#batch_no, :zero) "
                "ADD #epoch :one, #leaseCounter :one, #ownerSwitchesSinceCheckpoint :switches"
            ),
            condition=f"#leaseCounter = :seen_counter AND {unchanged}",
            values={
                ":owner": owner,
                ":seen_counter": seen.counter,
                ":switches": int(seen.owner not in {None, owner}),
                ":zero": 0,
                ":one": 1,
            }
            | ({} if seen.owner is None else {":seen_owner": seen.owner}),
            made=lambda row: (row.owner, row.epoch) == (owner, seen.epoch + 1),
            possible=lambda row: (row.owner, row.counter) == (seen.owner, seen.counter),
            refusal=ConflictError,
        )

    async def renew(self, held: Lease, *, caught_up_at: float | None = None) -> Lease:
        """See `LeaseStore`."""
        caught_up = {} if caught_up_at is None else {":caught_up_at": caught_up_at}
        return await self._change(
            held.key,
            update=("SET #caught_up_at = :caught_up_at " if caught_up else "") + "ADD #leaseCounter :one",
            condition=_HELD,
            values={":owner": held.owner, ":epoch": held.epoch, ":one": 1, **caught_up},
            made=lambda row: _is_holder(row, held) and row.counter > held.counter,
            possible=lambda row: _is_holder(row, held),
            refusal=LeaseLostError,
        )

    async def release(self, held: Lease) -> None:
        """See `LeaseStore`."""
        try:
            await self._change(
                held.key,
                update="REMOVE #leaseOwner ADD #leaseCounter :one",
                condition=_HELD,
                values={":owner": held.owner, ":epoch": held.epoch, ":one": 1},
                made=lambda row: not _is_holder(row, held),
                possible=lambda row: _is_holder(row, held),
                refusal=LeaseLostError,
            )
        except LeaseLostError:
            return

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """See `LeaseStore`."""
        caught_up = {} if caught_up_at is None else {":caught_up_at": caught_up_at}
        return await self._change(
            held.key,
            update=(
                "SET #checkpoint = :checkpoint, #checkpointSubSequenceNumber = :zero, "
                "#ownerSwitchesSinceCheckpoint = :zero, #batch_no = :next, #ledger = :ledger, "
                "#complete_through = :complete_through"
                + (", #caught_up_at = :caught_up_at" if caught_up else "")
                +
                # what KCL prepared to checkpoint is behind us
                " REMOVE #pendingCheckpoint, #pendingCheckpointSubSequenceNumber, #pendingCheckpointState"
            ),
            condition=f"{_HELD} AND #batch_no = :batch_no AND #checkpoint = :from",
            values={
                ":owner": held.owner,
                ":epoch": held.epoch,
                ":batch_no": held.batch_no,
                ":from": held.checkpoint,
                ":checkpoint": checkpoint,
                ":next": held.batch_no + 1,
                ":ledger": asdict(ledger),
                ":complete_through": complete_through,
                ":zero": 0,
                **caught_up,
            },
            made=lambda row: (
                _is_holder(row, held) and (row.batch_no, row.checkpoint) == (held.batch_no + 1, checkpoint)
            ),
            possible=lambda row: (
                _is_holder(row, held) and (row.batch_no, row.checkpoint) == (held.batch_no, held.checkpoint)
            ),
            refusal=LeaseLostError,
        )

    async def _change(
        self,
        key: LeaseKey,
        *,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        made: Callable[[Lease], bool],
        possible: Callable[[Lease], bool],
        refusal: type[ConflictError],
    ) -> Lease:
        """One conditional write → the row after it. When it is refused or not answered, the row itself is asked.

        `made`: it shows our effect, so the write counts. `possible`: the condition still holds, so a write without an
        answer did not happen so far, and the `RetryableError` is raised. Anything else is a `refusal`.
        """
        try:
            reply = await request(
                self._client.update_item,
                TableName=self._table,
                Key=to_item({KEY: key}),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names_in(update, condition),
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
            )
        except (ConflictError, RetryableError) as error:
            row = await self.get(key)
            if row is not None and made(row):
                return row
            if isinstance(error, RetryableError) and row is not None and possible(row):
                raise
            raise refusal(f"{key} has changed: {row}") from error
        return _from_row(from_item(reply["Attributes"]))


def _is_holder(row: Lease, held: Lease) -> bool:
    return (row.owner, row.epoch) == (held.owner, held.epoch)


def _to_row(lease: Lease) -> dict[str, Any]:
    optional = {
        "leaseOwner": lease.owner,
        "parentShardId": set(lease.parents) or None,
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
        "ledger": asdict(lease.ledger),
        "complete_through": lease.complete_through,
    } | {name: value for name, value in optional.items() if value is not None}


def _from_row(row: Mapping[str, Any]) -> Lease:
    caught_up_at = float(row["caught_up_at"]) if "caught_up_at" in row else None
    return Lease(
        key=LeaseKey(row[KEY]),
        owner=row.get("leaseOwner"),
        counter=row["leaseCounter"],
        epoch=row.get("epoch", 0),
        checkpoint=row["checkpoint"],
        batch_no=row.get("batch_no", 0),
        parents=tuple(sorted(map(ShardId, row.get("parentShardId", ())))),
        ledger=Ledger(**row.get("ledger", {})),
        # a shard read to its tip is complete up to then, even when nothing came that could be committed
        complete_through=max(float(row.get("complete_through", 0)), caught_up_at or 0.0),
        caught_up_at=caught_up_at,
    )
