"""DDL as text, from the schema. Pure: nothing here talks to anybody.

Athena runs DDL on Hive's grammar: names in backticks, strings in single quotes with backslash escapes.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from headrace.events.schema import COLUMNS, PARTITION_KEYS, Column
from headrace.lake.layout import EVENTS, HourPartition

MAX_STATEMENT_BYTES = 262_144
"""Athena's limit on one statement, UTF-8."""

MAX_PARTITIONS = 100
"""Of one ALTER TABLE: Athena documents no cap for ADD PARTITION, and 100 for CTAS and INSERT."""

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsTable:
    """The table of streamed events: what it is called, the bucket its objects are in, and its columns."""

    database: str
    name: str
    bucket: str
    columns: Sequence[Column] = COLUMNS

    @property
    def location(self) -> str:
        """Where its partitions are: an s3:// URL that ends in a slash."""
        return f"s3://{self.bucket}/{EVENTS}/"

    @property
    def sql(self) -> str:
        """The qualified name as DDL spells it. Raises `ValueError` for a name that needs quoting."""
        return f"{identifier(self.database)}.{identifier(self.name)}"


def create_database_sql(database: str) -> str:
    """`CREATE DATABASE IF NOT EXISTS …`."""
    return f"CREATE DATABASE IF NOT EXISTS {identifier(database)}"


def create_table_sql(table: EventsTable) -> str:
    """`CREATE EXTERNAL TABLE IF NOT EXISTS …`, with the columns and partition keys of the schema."""
    columns = ",\n  ".join(map(_column, table.columns))
    keys = ", ".join(f"{identifier(key)} string" for key in PARTITION_KEYS)
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {table.sql} (\n  {columns}\n)\n"
        f"PARTITIONED BY ({keys})\n"
        "STORED AS PARQUET\n"
        f"LOCATION {literal(table.location)}\n"
        "TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'SNAPPY')"
    )


def describe_sql(table: EventsTable) -> str:
    """`DESCRIBE …`: one row for each column and partition key; `headrace.catalog.growth` reads them."""
    return f"DESCRIBE {table.sql}"


def add_columns_sql(table: EventsTable, columns: Iterable[Column]) -> str:
    """`ALTER TABLE … ADD COLUMNS (…)`: after the columns there are, before the partition keys."""
    return f"ALTER TABLE {table.sql} ADD COLUMNS (" + ", ".join(map(_column, columns)) + ")"


def show_partitions_sql(table: EventsTable) -> str:
    """`SHOW PARTITIONS …`: one row each, spelt `year=2026/month=04/day=09/hour=00`."""
    return f"SHOW PARTITIONS {table.sql}"


def add_partitions_sql(
    table: EventsTable,
    partitions: Iterable[HourPartition],
    *,
    max_partitions: int = MAX_PARTITIONS,
    max_bytes: int = MAX_STATEMENT_BYTES,
) -> Iterator[str]:
    """`ALTER TABLE … ADD IF NOT EXISTS PARTITION (…) LOCATION '…' …`, as few statements as the limits allow.

    Repeats are dropped and the order is by time. None for no partitions.
    """

    def clause(partition: HourPartition) -> str:
        return f"{_partition(partition)} LOCATION {literal(f'{table.location}{partition.path}/')}"

    head = f"ALTER TABLE {table.sql} ADD IF NOT EXISTS"
    return _statements(head, "", map(clause, sorted(set(partitions))), max_partitions, max_bytes)


def drop_partitions_sql(
    table: EventsTable,
    partitions: Iterable[HourPartition],
    *,
    max_partitions: int = MAX_PARTITIONS,
    max_bytes: int = MAX_STATEMENT_BYTES,
) -> Iterator[str]:
    """`ALTER TABLE … DROP IF EXISTS PARTITION (…), PARTITION (…)`, spread like `add_partitions_sql`."""
    head = f"ALTER TABLE {table.sql} DROP IF EXISTS"
    return _statements(head, ",", map(_partition, sorted(set(partitions))), max_partitions, max_bytes)


def identifier(name: str) -> str:
    """A name in backticks. Raises `ValueError` for all but lower-case letters, digits and underscores."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a database, table or column")
    return f"`{name}`"


def literal(text: str) -> str:
    """A string as DDL spells it. Raises `ValueError` for control characters."""
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError(f"{text!r} has control characters")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _column(column: Column) -> str:
    return f"{identifier(column.name)} {column.kind} COMMENT {literal(column.about)}"


def _partition(partition: HourPartition) -> str:
    pairs = zip(PARTITION_KEYS, partition.values, strict=True)
    return "PARTITION (" + ", ".join(f"{identifier(key)} = {literal(value)}" for key, value in pairs) + ")"


def _statements(head: str, separator: str, clauses: Iterable[str], most: int, max_bytes: int) -> Iterator[str]:
    taken: list[str] = []
    size = len(head)
    for clause in clauses:
        added = len(f"{separator}\n  {clause}".encode())
        if taken and (len(taken) == most or size + added > max_bytes):
            yield f"{head}\n  " + f"{separator}\n  ".join(taken)
            taken, size = [], len(head)
        taken.append(clause)
        size += added
    if taken:
        yield f"{head}\n  " + f"{separator}\n  ".join(taken)
