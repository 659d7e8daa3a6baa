"""Leases in DynamoDB: one item per shard, readable and writable by KCL 2 and 3 in multi-stream mode."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from headrace.aws.dynamodb import from_item, hash_table, names_in, request, scan_prefix, to_item
from headrace.errors import ConflictError, LeaseLostError, RetryableError
from headrace.leases import changes
from headrace.leases.changes import Change
from headrace.leases.model import SHARD_END, Intent, Lease, LeaseKey, Ledger
from headrace.leases.rows import KEY, from_row, sub_sequence_of, to_row

_HELD = "#leaseOwner = :owner AND #epoch = :epoch"
_UNTOUCHED = f"{_HELD} AND #checkpoint = :from AND #batch_no = :batch_no"
_NO_INTENT = "attribute_not_exists(#intent)"

_MOVE = "#checkpoint = :checkpoint, #checkpointSubSequenceNumber = :within, #ownerSwitchesSinceCheckpoint = :zero"
_NOTHING_PREPARED = "#pendingCheckpoint, #pendingCheckpointSubSequenceNumber, #pendingCheckpointState"
"""What KCL prepared to checkpoint; behind us whenever the checkpoint moves."""
_HINTS = "#claim, #leaving"

TTL_ATTRIBUTE = "ttl"
"""When a row was removed (seconds since 1970 UTC). DynamoDB deletes such items within days; until then none is seen."""


def table_definition(name: str) -> dict[str, Any]:
    """Arguments of CreateTable for the control table. Expiry by `TTL_ATTRIBUTE` is switched on apart."""
    return hash_table(name, KEY)


class DynamoLeaseStore:
    """The `LeaseStore` of deployments. The table is made elsewhere, by `table_definition`."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def create(self, leases: Sequence[Lease]) -> None:
        """See `LeaseStore`. Rows are added in the order given."""
        absent = f"attribute_not_exists(#{KEY}) OR attribute_exists(#{TTL_ATTRIBUTE})"
        for lease in leases:
            try:
                await request(
                    self._client.put_item,
                    TableName=self._table,
                    Item=to_item(to_row(lease)),
                    ConditionExpression=absent,
                    ExpressionAttributeNames=names_in(absent),
                )
            except ConflictError:
                continue

    async def list(self, prefix: str) -> list[Lease]:
        """See `LeaseStore`."""
        found = scan_prefix(self._client, self._table, KEY, prefix)
        rows = [from_row(row) async for row in found if TTL_ATTRIBUTE not in row]
        return sorted(rows, key=lambda lease: lease.key)

    async def get(self, key: LeaseKey) -> Lease | None:
        """See `LeaseStore`."""
        reply = await request(
            self._client.get_item, TableName=self._table, Key=to_item({KEY: key}), ConsistentRead=True
        )
        row = from_item(reply.get("Item", {}))
        return from_row(row) if row and TTL_ATTRIBUTE not in row else None

    async def take(self, seen: Lease, owner: str) -> Lease:
        """See `LeaseStore`."""
        unchanged = "attribute_not_exists(#leaseOwner)" if seen.owner is None else "#leaseOwner = :seen_owner"
        return await self._make(
            changes.take(seen, owner),
            update=(
                # the numbers that later conditions compare, for a row of KCL's
                "SET #leaseOwner = :owner, #batch_no = if_not_exists(#batch_no, :zero), "
                "#generation = if_not_exists(#generation, :zero) "
                f"REMOVE {_HINTS}, #checkpointOwner "  # the last of a hand-over that KCL 3 had begun
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
        )

    async def claim(self, seen: Lease, claimant: str) -> Lease:
        """See `LeaseStore`."""
        epoch = "#epoch = :epoch" if seen.epoch else "(attribute_not_exists(#epoch) OR #epoch = :epoch)"  # a KCL owner
        unclaimed = "attribute_not_exists(#claim)" if seen.claim is None else "#claim = :seen_claim"
        return await self._make(
            changes.claim(seen, claimant),
            update="SET #claim = :claimant",
            condition=f"#leaseOwner = :owner AND {epoch} AND {unclaimed}",
            values={**_held(seen), ":claimant": claimant} | ({} if seen.claim is None else {":seen_claim": seen.claim}),
        )

    async def renew(self, held: Lease, *, caught_up_at: float | None = None, leaving: bool = False) -> Lease:
        """See `LeaseStore`."""
        noted = {} if caught_up_at is None else {"caught_up_at": caught_up_at}
        noted |= {"leaving": True} if leaving else {}
        set_ = ", ".join(f"#{name} = :{name}" for name in noted)
        return await self._make(
            changes.renew(held, caught_up_at, leaving=leaving),
            update=(f"SET {set_} " if noted else "") + "ADD #leaseCounter :one",
            condition=_HELD,
            values={**_held(held), ":one": 1} | {f":{name}": value for name, value in noted.items()},
        )

    async def release(self, held: Lease) -> None:
        """See `LeaseStore`."""
        try:
            await self._make(
                changes.release(held),
                update=f"REMOVE #leaseOwner, {_HINTS} ADD #leaseCounter :one",
                condition=_HELD,
                values={**_held(held), ":one": 1},
            )
        except LeaseLostError:
            return

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        """See `LeaseStore`."""
        return await self._make(
            changes.declare(held, intent),
            update="SET #intent = :intent",
            condition=f"{_UNTOUCHED} AND {_NO_INTENT}",
            values={**_untouched(held), ":intent": asdict(intent)},
        )

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """See `LeaseStore`."""
        intent = changes.pending(held)
        caught_up = {} if caught_up_at is None else {":caught_up_at": caught_up_at}
        return await self._make(
            changes.commit(
                held,
                intent,
                checkpoint=checkpoint,
                ledger=ledger,
                complete_through=complete_through,
                caught_up_at=caught_up_at,
            ),
            update=(
                f"SET {_MOVE}, #batch_no = :next, #manifest = :manifest, #ledger = :ledger, "
                "#complete_through = :complete_through"
                + (", #caught_up_at = :caught_up_at" if caught_up else "")
                + f" REMOVE #intent, {_NOTHING_PREPARED}"
            ),
            condition=f"{_HELD} AND #intent.#batch_no = :batch_no",
            values={
                **_held(held),
                ":batch_no": intent.batch_no,
                **_moved(checkpoint),
                ":next": intent.batch_no + 1,
                ":manifest": intent.manifest,
                ":ledger": asdict(ledger),
                ":complete_through": complete_through,
                **caught_up,
            },
        )

    async def end(self, held: Lease, *, caught_up_at: float | None) -> Lease:
        """See `LeaseStore`."""
        caught_up = {} if caught_up_at is None else {":caught_up_at": caught_up_at}
        return await self._make(
            changes.end(held, caught_up_at),
            update=(
                f"SET {_MOVE}"
                + (", #caught_up_at = :caught_up_at" if caught_up else "")
                + f" REMOVE {_NOTHING_PREPARED}"
            ),
            condition=f"{_UNTOUCHED} AND {_NO_INTENT}",
            values={**_untouched(held), **_moved(SHARD_END), **caught_up},
        )

    async def adopt(self, held: Lease, found: Lease) -> Lease:
        """See `LeaseStore`."""
        return await self._make(
            changes.adopt(held, found),
            update=(
                f"SET {_MOVE}, #batch_no = :next, #manifest = :manifest, #ledger = :ledger, "
                "#complete_through = :complete_through, #generation = :next_generation "
                f"REMOVE #intent, {_NOTHING_PREPARED}"
            ),
            condition=f"{_UNTOUCHED} AND #generation = :generation",
            values={
                **_untouched(held),
                ":generation": held.generation,
                **_moved(found.checkpoint),
                ":next": found.batch_no,
                ":manifest": found.manifest,
                ":ledger": asdict(found.ledger),
                ":complete_through": found.complete_through,
                ":next_generation": held.generation + 1,
            },
        )

    async def remove(self, seen: Lease, *, now: float) -> None:
        """See `LeaseStore`. The row is marked and nobody's any more; DynamoDB deletes it: no worker needs to."""
        update = f"SET #{TTL_ATTRIBUTE} = :now REMOVE #leaseOwner, {_HINTS} ADD #epoch :one, #leaseCounter :one"
        condition = f"#checkpoint = :ended AND #leaseCounter = :seen_counter AND {_NO_INTENT}"
        values = {":now": int(now), ":one": 1, ":ended": SHARD_END, ":seen_counter": seen.counter}
        try:
            await request(
                self._client.update_item,
                TableName=self._table,
                Key=to_item({KEY: seen.key}),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names_in(update, condition),
                ExpressionAttributeValues=to_item(values),
            )
        except ConflictError:
            if await self.get(seen.key) is not None:
                raise

    async def _make(self, change: Change, *, update: str, condition: str, values: Mapping[str, Any]) -> Lease:
        """`change` in DynamoDB's words → the row after it. When it is refused or not answered, the row is asked.

        A row that shows our change counts as an answer. One for which the write is still possible means that it did
        not happen so far, and the `RetryableError` is raised. Anything else is a refusal.
        """
        try:
            reply = await request(
                self._client.update_item,
                TableName=self._table,
                Key=to_item({KEY: change.key}),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=names_in(update, condition),
                ExpressionAttributeValues=to_item(values),
                ReturnValues="ALL_NEW",
            )
        except (ConflictError, RetryableError) as error:
            row = await self.get(change.key)
            if row is not None and change.made(row):
                return row
            if isinstance(error, RetryableError) and row is not None and change.possible(row):
                raise
            raise change.refused(row) from error
        return from_row(from_item(reply["Attributes"]))


def _held(held: Lease) -> dict[str, Any]:
    return {":owner": held.owner, ":epoch": held.epoch}


def _untouched(held: Lease) -> dict[str, Any]:
    return {**_held(held), ":from": held.checkpoint, ":batch_no": held.batch_no}


def _moved(checkpoint: str) -> dict[str, Any]:
    return {":checkpoint": checkpoint, ":within": sub_sequence_of(checkpoint), ":zero": 0}
