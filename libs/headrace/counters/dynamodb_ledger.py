"""Reads the ledger that `DynamoCounterWriter` keeps."""

from collections.abc import Mapping
from typing import Any

from headrace.aws.dynamodb import query_between
from headrace.counters.dynamodb import HOUSEKEEPING
from headrace.counters.ledger import hour_of_sort_key, hour_sort_key, ledger_partition
from headrace.counters.ports import HourLedger


class DynamoLedgerReader:
    """The auditor's side."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def hours(self, origin: str, first: int, last: int) -> Mapping[int, HourLedger]:
        """See `LedgerReader`."""
        keys = (ledger_partition(origin), hour_sort_key(first), hour_sort_key(last))
        items = await query_between(self._client, self._table, keys, consistent=True)
        return {
            hour_of_sort_key(item["sk"]): HourLedger(
                last=item["last"], numbers={name: value for name, value in item.items() if name not in HOUSEKEEPING}
            )
            for item in items
        }
