"""Documents in DynamoDB: one item each, `key` → `document` (JSON text), `version` and `write_id`."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from headrace.aws.dynamodb import from_item, hash_table, names_in, request, scan_prefix, to_item
from headrace.errors import ConflictError, RetryableError
from headrace.state.codec import decode, encode
from headrace.state.ports import Document

KEY = "key"


def table_definition(name: str) -> dict[str, Any]:
    """Arguments of CreateTable for the state table."""
    return hash_table(name, KEY)


class DynamoStateStore:
    """The `StateStore` of deployments. The table is made elsewhere, by `table_definition`."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def get(self, key: str) -> Document | None:
        """See `StateStore`."""
        row = await self._row(key)
        return _document(row) if row is not None else None

    async def put(self, key: str, value: dict[str, Any], *, expected: int) -> int:
        """See `StateStore`."""
        # tells our write from that of another who wrote the same value at the same moment
        write_id = uuid4().hex
        item = {KEY: key, "document": encode(key, value).decode(), "version": expected + 1, "write_id": write_id}
        condition = "#version = :expected" if expected else f"attribute_not_exists(#{KEY})"
        values = {"ExpressionAttributeValues": to_item({":expected": expected})} if expected else {}
        try:
            await request(
                self._client.put_item,
                TableName=self._table,
                Item=to_item(item),
                ConditionExpression=condition,
                ExpressionAttributeNames=names_in(condition),
                **values,
            )
        except (ConflictError, RetryableError) as error:
            row = await self._row(key) or {"version": 0}
            if row.get("write_id") != write_id:
                if isinstance(error, RetryableError) and row["version"] == expected:
                    raise
                raise ConflictError(f"document {key} is at version {row['version']}, not {expected}") from error
        return expected + 1

    async def list(self, prefix: str) -> dict[str, Document]:
        """See `StateStore`."""
        rows = [row async for row in scan_prefix(self._client, self._table, KEY, prefix)]
        return {row[KEY]: _document(row) for row in sorted(rows, key=lambda row: str(row[KEY]))}

    async def _row(self, key: str) -> dict[str, Any] | None:
        reply = await request(
            self._client.get_item, TableName=self._table, Key=to_item({KEY: key}), ConsistentRead=True
        )
        return from_item(reply["Item"]) if "Item" in reply else None


def _document(row: Mapping[str, Any]) -> Document:
    return Document(value=decode(row["document"]), version=row["version"])
