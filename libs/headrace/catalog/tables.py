"""Tables, partitions and views of a database, and what is asked of who keeps them: `TableCatalog`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from headrace.errors import ConfigError

Values = tuple[str, ...]
"""A partition's values as text, in the order of the table's keys: `("2026-04-09",)`."""


class TableColumn(NamedTuple):
    """A column or a partition key; `kind` is its type as DDL spells it: `decimal(18,4)`, `map<string,string>`."""

    name: str
    kind: str
    about: str = ""


class Format(StrEnum):
    """What a table's files are."""

    PARQUET = "parquet"
    JSON = "json"
    """One object a line. What is no object is a row of NULLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as it is to be. `location` is an s3:// URL that ends in a slash."""

    name: str
    columns: Sequence[TableColumn]
    location: str
    keys: Sequence[TableColumn] = ()
    """Partition keys, in order."""
    format: Format = Format.PARQUET
    about: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Beyond those that every table of this format has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A table or view as it is, and the mark by which a later change of it is told."""

    table: Table | None
    """None for a view, and for a table of files that are none of ours."""
    version: str


def differs(wanted: Table, found: Found | None) -> bool:
    """Whether a table has to be put. Comments are not compared, and parameters only as far as we ask for them.

    Raises `ConfigError` for what no change can turn into it: a view, or a table with other partition keys.
    """
    if found is None:
        return True
    there = found.table
    if there is None:
        raise ConfigError([f"{wanted.name} is a view or a table that is not ours: drop it, or use another database"])
    if _kinds(there.keys) != _kinds(wanted.keys):
        raise ConfigError(
            [f"{wanted.name} is partitioned by {_list(there.keys)}, and not by {_list(wanted.keys)}: drop it"]
        )
    return (
        there.location != wanted.location
        or there.format is not wanted.format
        or _kinds(there.columns) != _kinds(wanted.columns)
        or any(there.parameters.get(name) != value for name, value in wanted.parameters.items())
    )


def _kinds(columns: Iterable[TableColumn]) -> list[tuple[str, str]]:
    return [(column.name, "".join(column.kind.split()).lower()) for column in columns]


def _list(columns: Iterable[TableColumn]) -> str:
    return ", ".join(f"{column.name} {column.kind}" for column in columns) or "nothing"


class TableCatalog(Protocol):
    """One database. Every method may be repeated without harm, and retries inside what may pass.

    All but `put_database` and `find` raise `NotFoundError` where the database or the table is not there.
    """

    async def put_database(self) -> None:
        """Create the database when it is missing."""
        ...

    async def find(self, name: str) -> Found | None:
        """The table or view of this name, or None."""
        ...

    async def put_table(self, table: Table, found: Found | None) -> None:
        """Create the table (`found` is None), or give it these columns and this location in one step.

        Readers see the old table or the new one. Partitions stay, and so do parameters that we know nothing of.
        Raises `ConflictError` when it is not (any more) as it was found.
        """
        ...

    async def partitions(self, table: str) -> dict[Values, str]:
        """All partitions and where each is: an s3:// URL that ends in a slash."""
        ...

    async def add_partitions(self, table: Table, locations: Mapping[Values, str]) -> None:
        """Register partitions; those that are there already stay where they are. All or an error."""
        ...

    async def move_partitions(self, table: Table, locations: Mapping[Values, str]) -> None:
        """Have partitions be at these places; those that are not there are registered. All or an error.

        A reader of one partition sees it at its old place or at the new one.
        """
        ...

    async def drop_partitions(self, table: str, values: Iterable[Values]) -> None:
        """Forget partitions; those that are not there are no error. Their objects stay. All or an error."""
        ...

    async def put_view(self, name: str, query: str) -> None:
        """Create a view or replace the one of that name. Raises `RequestError` for a query that does not hold."""
        ...
