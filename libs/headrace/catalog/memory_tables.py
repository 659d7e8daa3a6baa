"""`TableCatalog` in memory: for tests, and for what needs no query engine."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from headrace.catalog.tables import Found, Table, Values
from headrace.errors import ConflictError, NotFoundError


class MemoryTables:
    """A database in memory; it is not there until it is put. `views` are queries by name."""

    def __init__(self) -> None:
        self.is_there = False
        self.tables: dict[str, Table] = {}
        self.views: dict[str, str] = {}
        self._locations: dict[str, dict[Values, str]] = {}
        self._versions: dict[str, int] = {}

    async def put_database(self) -> None:
        """See the port."""
        self.is_there = True

    async def find(self, name: str) -> Found | None:
        """See the port."""
        if name in self.views:
            return Found(table=None, version="")
        if name not in self.tables:
            return None
        return Found(table=self.tables[name], version=str(self._versions[name]))

    async def put_table(self, table: Table, found: Found | None) -> None:
        """See the port."""
        if not self.is_there:
            raise NotFoundError("the database does not exist")
        there = await self.find(table.name)
        if (there and there.version) != (found and found.version):
            raise ConflictError(f"{table.name} is not as it was found")
        kept = {} if there is None or there.table is None else there.table.parameters
        self.tables[table.name] = replace(table, parameters={**kept, **table.parameters})
        self._versions[table.name] = self._versions.get(table.name, 0) + 1
        self._locations.setdefault(table.name, {})

    async def partitions(self, table: str) -> dict[Values, str]:
        """See the port."""
        return dict(self._of(table))

    async def add_partitions(self, table: Table, locations: Mapping[Values, str]) -> None:
        """See the port."""
        there = self._of(table.name)
        for values, location in locations.items():
            there.setdefault(values, location)

    async def move_partitions(self, table: Table, locations: Mapping[Values, str]) -> None:
        """See the port."""
        self._of(table.name).update(locations)

    async def drop_partitions(self, table: str, values: Iterable[Values]) -> None:
        """See the port."""
        there = self._locations.get(table, {})
        for one in values:
            there.pop(one, None)

    async def put_view(self, name: str, query: str) -> None:
        """See the port. The query is taken as it is."""
        if not self.is_there:
            raise NotFoundError("the database does not exist")
        self.views[name] = query

    def _of(self, table: str) -> dict[Values, str]:
        if table not in self._locations:
            raise NotFoundError(f"table {table} does not exist")
        return self._locations[table]
