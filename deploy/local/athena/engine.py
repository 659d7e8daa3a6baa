"""Queries on DuckDB. It sees the datasets of the tables a query names and nothing else: no files, no settings.

Views are put in place of their names, tables become `TableScan`s, the text becomes DuckDB's. One in-memory database
holds the macros; every query has a cursor of its own, which its `interrupt` stops from another thread.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
from sqlglot import exp

from deploy.local.athena import dialect
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.functions import MACROS
from deploy.local.athena.glue import Glue, Partition, Table
from deploy.local.athena.hive_types import ColumnInfo, column_info
from deploy.local.athena.rewrite import to_duckdb
from deploy.local.athena.scan import Lake, TableScan

BATCH_ROWS = 10_000
VIEW_DEPTH = 16
_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "memory_limit": "1GB",
    "threads": "2",
}


def locked_database() -> duckdb.DuckDBPyConnection:
    """An empty database with the macros, that can reach nothing outside and cannot be set up otherwise."""
    database = duckdb.connect(":memory:", config=_LOCKED)
    database.execute("SET python_enable_replacements = false; SET TimeZone = 'UTC'")
    database.execute(MACROS)
    database.execute("SET lock_configuration = true")
    return database


class CancelledError(QueryFailedError):
    """The query was stopped while it ran."""


@dataclass(kw_only=True)
class Running:
    """A query that has started: its columns, then its rows in batches."""

    columns: tuple[ColumnInfo, ...]
    cursor: duckdb.DuckDBPyConnection
    scans: list[TableScan] = field(default_factory=list)

    @property
    def bytes_scanned(self) -> int:
        """What has been read so far, counted as `scan` says."""
        return sum(scan.bytes_scanned for scan in self.scans)

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Rows as Python values. Raises `QueryFailedError`."""
        with _failures():
            while rows := self.cursor.fetchmany(BATCH_ROWS):
                yield rows


class Engine:
    """Runs queries for worker threads."""

    def __init__(self, glue: Glue, lake: Lake) -> None:
        self._glue = glue
        self._lake = lake
        self._database = locked_database()

    def close(self) -> None:
        """Free the memory."""
        self._database.close()

    def start(self, sql: str, database: str, on_cursor: Callable[[Callable[[], None]], None]) -> Running:
        """Bind and start a query. `on_cursor` gets what interrupts it. Raises `QueryFailedError`."""
        scans, text = self._prepare(sql, database)
        cursor = self._cursor(scans)
        on_cursor(cursor.interrupt)
        with _failures():
            cursor.execute(text)
            columns = tuple(column_info(str(item[0]), str(item[1])) for item in cursor.description or ())
        return Running(columns=columns, cursor=cursor, scans=scans)

    def describe(self, sql: str, database: str) -> tuple[ColumnInfo, ...]:
        """The columns a query would have. Raises `QueryFailedError`."""
        scans, text = self._prepare(sql, database)
        with _failures(), self._cursor(scans) as cursor:
            rows = cursor.execute(f"DESCRIBE {text}").fetchall()
        return tuple(column_info(str(row[0]), str(row[1])) for row in rows)

    def _cursor(self, scans: list[TableScan]) -> duckdb.DuckDBPyConnection:
        cursor = self._database.cursor()
        for number, scan in enumerate(scans):
            cursor.register(f"scan_{number}", scan)
        return cursor

    def _prepare(self, sql: str, database: str) -> tuple[list[TableScan], str]:
        scans: dict[tuple[str, str], TableScan] = {}
        query = self._resolve(dialect.parse(sql), database, scans, depth=0)
        return list(scans.values()), to_duckdb(query)

    def _resolve(
        self, query: exp.Query, database: str, scans: dict[tuple[str, str], TableScan], *, depth: int
    ) -> exp.Query:
        """Put views and scans in place of the tables' names."""
        if depth > VIEW_DEPTH:
            raise QueryFailedError("INVALID_VIEW: views refer to each other too deeply")
        for reference in dialect.real_tables(query):
            table = self._table(reference, database)
            alias = reference.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name, quoted=True))
            if table.view_query is not None:
                view = self._resolve(dialect.parse(table.view_query), table.database, scans, depth=depth + 1)
                replacement: exp.Expr = exp.Subquery(this=view, alias=alias)
            else:
                key = (table.database, table.name)
                scans.setdefault(key, TableScan(self._lake, table, self._partitions_of(table)))
                name = f"scan_{list(scans).index(key)}"
                replacement = exp.Table(this=exp.to_identifier(name, quoted=True), alias=alias)
            for extra in ("joins", "laterals"):
                replacement.set(extra, reference.args.get(extra))
            reference.replace(replacement)
        return query

    def _table(self, reference: exp.Table, database: str) -> Table:
        schema = (reference.db or database).lower()
        table = self._glue.table(schema, reference.name.lower())
        if table is not None and reference.catalog.lower() in {"", "awsdatacatalog"}:
            return table
        if not self._glue.has_database(schema):
            raise QueryFailedError(f"SCHEMA_NOT_FOUND: line 1:1: Schema '{schema}' does not exist")
        name = f"awsdatacatalog.{schema}.{reference.name.lower()}"
        raise QueryFailedError(f"TABLE_NOT_FOUND: line 1:1: Table '{name}' does not exist")

    def _partitions_of(self, table: Table) -> Callable[[], list[Partition]]:
        if not table.partition_keys:
            return lambda: [Partition(values=(), location=table.location)]
        return lambda: self._glue.partitions(table)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """DuckDB's errors → `QueryFailedError`, worded as Athena words them where it has a word."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise CancelledError("Query cancelled by user") from error
    except duckdb.Error as error:
        raise QueryFailedError(_reason(error)) from error


def _reason(error: duckdb.Error) -> str:
    message = str(error).split("\n\n", maxsplit=1)[0].strip()
    text = message.partition(": ")[2] or message
    if match := re.search(r"(?:HIVE_|INVALID_FUNCTION_ARGUMENT)[^\n]*", text):
        return match[0]
    if match := re.search(r'Referenced column "([^"]+)" not found', text):
        return f"COLUMN_NOT_FOUND: line 1:1: Column '{match[1]}' cannot be resolved"
    if "Division by zero" in text or "value inf to DECIMAL" in text:
        return "DIVISION_BY_ZERO: / by zero"
    for kind, code in (
        (duckdb.CatalogException, "FUNCTION_NOT_FOUND"),
        (duckdb.BinderException, "SYNTAX_ERROR"),
        (duckdb.ParserException, "SYNTAX_ERROR"),
        (duckdb.ConversionException, "INVALID_CAST_ARGUMENT"),
        (duckdb.OutOfRangeException, "NUMERIC_VALUE_OUT_OF_RANGE"),
        (duckdb.OutOfMemoryException, "EXCEEDED_MEMORY_LIMIT"),
        (duckdb.InvalidInputException, "INVALID_FUNCTION_ARGUMENT"),
        (duckdb.NotImplementedException, "NOT_SUPPORTED"),
    ):
        if isinstance(error, kind):
            return f"{code}: {text}"
    return f"GENERIC_INTERNAL_ERROR: {text}"
