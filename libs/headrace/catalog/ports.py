"""What Headrace asks of a catalogue of tables."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from headrace.lake.layout import HourPartition


class Catalog(Protocol):
    """The table of streamed events, as a query engine sees it. Every method may be repeated without harm.

    All but `ensure_table` raise `RequestError` when there is no table.
    """

    async def ensure_table(self) -> None:
        """Create database and table when they are missing, and add the columns that an older schema did not have.

        Nothing is dropped, renamed or given another type: raises `ConfigError` that names each column at odds with the
        schema.
        """
        ...

    async def columns(self) -> Mapping[str, str]:
        """Columns and partition keys as they are now, in order: name → type as Athena spells it."""
        ...

    async def partitions(self) -> set[HourPartition]:
        """All partitions registered."""
        ...

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Register partitions; those that are there already stay. All or an error."""
        ...

    async def drop_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Forget partitions; those that are not there are no error. Their objects stay. All or an error."""
        ...
