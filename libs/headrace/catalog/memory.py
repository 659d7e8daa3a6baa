"""A catalogue in memory: for tests, and for what needs no query engine."""

from collections.abc import Sequence

from headrace.errors import RequestError
from headrace.lake.layout import HourPartition


class MemoryCatalog:
    """`Catalog` in memory. Like a query engine it refuses to work on a table that was not created."""

    def __init__(self) -> None:
        self._partitions: set[HourPartition] | None = None

    async def ensure_table(self) -> None:
        """Create the table if it is missing."""
        if self._partitions is None:
            self._partitions = set()

    async def partitions(self) -> set[HourPartition]:
        """All partitions registered. Raises `RequestError` without a table."""
        return set(self._table())

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Register partitions; those that are there already stay. Raises `RequestError` without a table."""
        self._table().update(partitions)

    def _table(self) -> set[HourPartition]:
        if self._partitions is None:
            raise RequestError("the table does not exist")
        return self._partitions
