"""DDL as text, from the schema. Pure: nothing here talks to anybody.

Athena runs DDL on Hive's grammar: names in backticks, strings in single quotes with backslash escapes.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headrace.events.schema import COLUMNS, PARTITION_KEYS
from headrace.lake.layout import EVENTS, HourPartition

MAX_STATEMENT_BYTES = 262_144
"""Athena's limit on one statement, UTF-8."""

MAX_PARTITIONS = 100
"""Of one ALTER TABLE: Athena documents no cap for ADD PARTITION, and 100 for CTAS and INSERT."""

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsTable:
    """The table of streamed events: what it is called, and the bucket its objects are in."""

    database: str
    name: str
    bucket: str

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
    """`CREATE EXTERNAL TABLE IF NOT EXISTS …`, with the columns and partition keys of `headrace.events.schema`."""
    columns = ",\n  ".join(
        f"{identifier(column.name)} {column.kind} COMMENT {literal(column.about)}" for column in COLUMNS
    )
    keys = ", ".join(f"{identifier(key)} string" for key in PARTITION_KEYS)
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {table.sql} (\n  {columns}\n)\n"
        f"PARTITIONED BY ({keys})\n"
        "STORED AS PARQUET\n"
        f"LOCATION {literal(table.location)}\n"
        "TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'SNAPPY')"
    )


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
    head = f"ALTER TABLE {table.sql} ADD IF NOT EXISTS"
    clauses: list[str] = []
    size = len(head)
    for partition in sorted(set(partitions)):
        clause = _partition_clause(table, partition)
        added = len(clause.encode())
        if clauses and (len(clauses) == max_partitions or size + added > max_bytes):
            yield head + "".join(clauses)
            clauses, size = [], len(head)
        clauses.append(clause)
        size += added
    if clauses:
        yield head + "".join(clauses)


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


def _partition_clause(table: EventsTable, partition: HourPartition) -> str:
    pairs = zip(PARTITION_KEYS, partition.values, strict=True)
    values = ", ".join(f"{identifier(key)} = {literal(value)}" for key, value in pairs)
    return f"\n  PARTITION ({values}) LOCATION {literal(f'{table.location}{partition.path}/')}"
