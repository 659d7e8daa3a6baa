"""A KCL application's lease table in DynamoDB: read whole, and written row by row on the way back."""

from collections.abc import Mapping
from typing import Any

from headrace.aws.dynamodb import names_in, request, scan_prefix, to_item
from headrace.errors import ConfigError, NotFoundError
from headrace.leases.kcl import KclLease, parse
from headrace.leases.rows import KEY

_NOT_CARRIED = (
    "leaseOwner", "checkpointOwner",
    "pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState",
)  # fmt: skip
"""What belongs to a worker that had the lease before; without an owner KCL's workers take it at once."""


class KclTable:
    """The table of one application; its name is the application's unless KCL was told another."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def read(self) -> list[KclLease]:
        """All leases, in order of key. Raises `NotFoundError` when there is no such table, or it is none of KCL's."""
        items = [item async for item in scan_prefix(self._client, self._table, KEY, "")]
        try:
            leases = [lease for item in items if (lease := parse(item)) is not None]
        except ValueError as error:
            raise NotFoundError(f"{self._table} is no lease table of KCL 2 or 3: {error}") from error
        return sorted(leases, key=lambda lease: lease.key)

    async def write(self, row: Mapping[str, Any], seen: KclLease | None) -> None:
        """Put a row of `kcl.export_row` in place of `seen`, or add it; other attributes of KCL's stay.

        Raises `ConflictError` when the row is not as it was seen.
        """
        values = {name: value for name, value in row.items() if name not in {KEY, "leaseCounter"}}
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        update += " REMOVE " + ", ".join(f"#{name}" for name in _NOT_CARRIED) + " ADD #leaseCounter :one"
        condition = f"attribute_not_exists(#{KEY})" if seen is None else "#leaseCounter = :seen"
        asked = {f":{name}": value for name, value in values.items()} | {":one": 1}
        await request(
            self._client.update_item,
            TableName=self._table,
            Key=to_item({KEY: row[KEY]}),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames=names_in(update, condition),
            ExpressionAttributeValues=to_item(asked if seen is None else asked | {":seen": seen.counter}),
        )


async def refuse_table_of_kcl(client: Any, table: str) -> None:
    """Raise `ConfigError` when the control table is one that a single-stream KCL application keeps its leases in.

    None of its rows would be known to us by their keys, and the whole stream would be read again beside it.
    """
    first = await anext(aiter(scan_prefix(client, table, KEY, "shardId-")), None)
    if first is not None:
        raise ConfigError(
            [f"HEADRACE_CONTROL_TABLE: {table} is a KCL application's; see `headrace leases import --help`"]
        )
