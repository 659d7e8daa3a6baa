"""A catalogue in memory: for tests, and for what needs no query engine."""

from collections.abc import Sequence

from headrace.catalog.growth import missing_columns
from headrace.errors import RequestError
from headrace.events.schema import COLUMNS, PARTITION_KEYS, Column, Kind
from headrace.lake.layout import HourPartition


class MemoryTable:
    """What a query engine keeps of a table: nothing until it is created. Catalogues may share one."""

    def __init__(self) -> None:
        self.columns: dict[str, str] | None = None
        self.partitions: set[HourPartition] = set()


class MemoryCatalog:
    """`Catalog` in memory. Like a query engine it refuses to work on a table that was not created."""

    def __init__(self, table: MemoryTable | None = None, columns: Sequence[Column] = COLUMNS) -> None:
        self._table = table or MemoryTable()
        self._schema = columns

    async def ensure_table(self) -> None:
        """Create the table if it is missing, and add the columns it lacks. Raises `ConfigError` as the port says."""
        keys = dict.fromkeys(PARTITION_KEYS, str(Kind.STRING))
        there = keys if self._table.columns is None else self._table.columns
        new = missing_columns("the table", there, self._schema)
        kept = {name: kind for name, kind in there.items() if name not in keys}
        self._table.columns = {**kept, **{column.name: str(column.kind) for column in new}, **keys}

    async def columns(self) -> dict[str, str]:
        """Columns and partition keys as they are now."""
        return dict(self._columns())

    async def partitions(self) -> set[HourPartition]:
        """All partitions registered."""
        self._columns()
        return set(self._table.partitions)

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Register partitions; those that are there already stay."""
        self._columns()
        self._table.partitions.update(partitions)

    async def drop_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Forget partitions; those that are not there are no error."""
        self._columns()
        self._table.partitions.difference_update(partitions)

    def _columns(self) -> dict[str, str]:
        if self._table.columns is None:
            raise RequestError("the table does not exist")
        return self._table.columns
