"""What Headrace asks of a catalogue of tables."""

from collections.abc import Sequence
from typing import Protocol

from headrace.lake.layout import HourPartition


class Catalog(Protocol):
    """The table of streamed events, as a query engine sees it. Every method may be repeated without harm."""

    async def ensure_table(self) -> None:
        """Create database and table from the schema when they are missing."""
        ...

    async def partitions(self) -> set[HourPartition]:
        """All partitions registered."""
        ...

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        """Register partitions; those that are there already stay. All or an error."""
        ...
