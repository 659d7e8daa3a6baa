"""Queries on DuckDB. It sees the datasets of the tables a query names and nothing else: no files, no settings.

Views are put in place of their names, tables become `TableScan`s, the text becomes DuckDB's. One in-memory database
holds the macros; every query has a cursor of its own, which its `interrupt` stops from another thread.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
from sqlglot import exp

from deploy.local.athena import dialect, information_schema
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.functions import MACROS
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.hive_types import ColumnInfo, column_info, table_type
from deploy.local.athena.rewrite import to_duckdb
from deploy.local.athena.scan import Lake, TableScan
from deploy.local.athena.storage import Format
from deploy.local.athena.text_scan import TextScan

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


Input: TypeAlias = TableScan | pa.Table
"""What a name in a query stands for: files, or rows about the catalogue."""


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


OnCursor = Callable[[Callable[[], None]], None]
"""Gets what interrupts a query, as soon as there is something to interrupt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowColumn:
    """A column of `Rows`: `hive` is the type that a table would have, or Athena's where a table can have none."""

    name: str
    hive: str
    arrow: pa.DataType


@dataclass(kw_only=True)
class Rows:
    """A query that has started, for those who write what it finds."""

    columns: tuple[RowColumn, ...]
    reader: pa.RecordBatchReader
    scans: list[TableScan]

    @property
    def bytes_scanned(self) -> int:
        """As `Running.bytes_scanned`."""
        return sum(scan.bytes_scanned for scan in self.scans)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Rows as Arrow. Raises `QueryFailedError`."""
        with _failures():
            yield from self.reader


class Engine:
    """Runs queries for worker threads."""

    def __init__(self, glue: Glue, lake: Lake) -> None:
        self._glue = glue
        self._lake = lake
        self._database = locked_database()

    def close(self) -> None:
        """Free the memory."""
        self._database.close()

    def start(self, sql: str, database: str, on_cursor: OnCursor) -> Running:
        """Bind and start a query. `on_cursor` gets what interrupts it. Raises `QueryFailedError`."""
        inputs, text = self._prepare(sql, database)
        cursor = self._cursor(inputs)
        on_cursor(cursor.interrupt)
        with _failures():
            cursor.execute(text)
            columns = tuple(column_info(str(item[0]), str(item[1])) for item in cursor.description or ())
        return Running(columns=columns, cursor=cursor, scans=_scans(inputs))

    @contextlib.contextmanager
    def rows(self, sql: str, database: str, on_cursor: OnCursor) -> Iterator[Rows]:
        """Bind and start a query whose rows are written. Raises `QueryFailedError`."""
        inputs, text = self._prepare(sql, database)
        with self._cursor(inputs) as cursor:
            on_cursor(cursor.interrupt)
            with _failures():
                relation = cursor.sql(text)
                infos = [
                    column_info(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)
                ]
                reader = relation.to_arrow_reader(BATCH_ROWS)
            columns = tuple(
                RowColumn(name=info.name, hive=table_type(info, field.type), arrow=field.type)
                for info, field in zip(infos, reader.schema, strict=True)
            )
            yield Rows(columns=columns, reader=reader, scans=_scans(inputs))

    def describe(self, sql: str, database: str) -> tuple[ColumnInfo, ...]:
        """The columns a query would have. Raises `QueryFailedError`."""
        inputs, text = self._prepare(sql, database)
        with _failures(), self._cursor(inputs) as cursor:
            rows = cursor.execute(f"DESCRIBE {text}").fetchall()
        return tuple(column_info(str(row[0]), str(row[1])) for row in rows)

    def _cursor(self, inputs: Sequence[Input]) -> duckdb.DuckDBPyConnection:
        cursor = self._database.cursor()
        for number, one in enumerate(inputs):
            cursor.register(f"scan_{number}", one)
        return cursor

    def _prepare(self, sql: str, database: str) -> tuple[list[Input], str]:
        inputs: dict[tuple[str, str], Input] = {}
        query = self._resolve(dialect.parse(sql), database, inputs, depth=0)
        return list(inputs.values()), to_duckdb(query)

    def _resolve(
        self, query: exp.Query, database: str, inputs: dict[tuple[str, str], Input], *, depth: int
    ) -> exp.Query:
        """Put views and scans in place of the tables' names."""
        if depth > VIEW_DEPTH:
            raise QueryFailedError("INVALID_VIEW: views refer to each other too deeply")
        for reference in dialect.real_tables(query):
            bare = exp.to_identifier(reference.name.lower(), quoted=True)
            alias = reference.args.get("alias") or exp.TableAlias(this=bare)
            table = None if reference.db.lower() == "information_schema" else self._table(reference, database)
            if table is not None and table.view_query is not None:
                view = self._resolve(dialect.parse(table.view_query), table.database, inputs, depth=depth + 1)
                replacement: exp.Expr = exp.Subquery(this=view, alias=alias)
            else:
                key = ((reference.db or database).lower(), reference.name.lower())
                if key not in inputs:
                    inputs[key] = self._input(table, reference.name.lower())
                name = f"scan_{list(inputs).index(key)}"
                replacement = exp.Table(this=exp.to_identifier(name, quoted=True), alias=alias)
            for extra in ("joins", "laterals"):
                replacement.set(extra, reference.args.get(extra))
            reference.replace(replacement)
        return query

    def _input(self, table: Table | None, name: str) -> Input:
        if table is None:
            return information_schema.table(self._glue, name)
        kind = TableScan if table.storage.format is Format.PARQUET else TextScan
        return kind(self._lake, table, self._partitions_of(table))

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


def _scans(inputs: Sequence[Input]) -> list[TableScan]:
    return [one for one in inputs if isinstance(one, TableScan)]


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """DuckDB's errors → `QueryFailedError`, worded as Athena words them where it has a word."""
    try:
        yield
    except duckdb.InterruptException as error:
        raise CancelledError("Query cancelled by user") from error
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # as Arrow, DuckDB's errors come as OSError
        if "INTERRUPT" in str(error):
            raise CancelledError("Query cancelled by user") from error
        raise QueryFailedError(_reason(error)) from error


def _reason(error: Exception) -> str:
    message = str(error).split("\n\n", maxsplit=1)[0].strip()
    text = message.partition(": ")[2] or message
    if match := re.search(r"(?:HIVE_|INVALID_FUNCTION_ARGUMENT)[^\n]*", text):
        return match[0]
    if match := re.search(r'Referenced column "([^"]+)" not found', text):
        return f"COLUMN_NOT_FOUND: line 1:1: Column '{match[1]}' cannot be resolved"
    if "Division by zero" in text or "value inf to DECIMAL" in text:
        return "DIVISION_BY_ZERO: / by zero"
    for kind, words, code in _CODES:
        if isinstance(error, kind) or message.startswith(words):
            return f"{code}: {text}"
    return f"GENERIC_INTERNAL_ERROR: {text}"


_CODES: tuple[tuple[type[duckdb.Error], str, str], ...] = (
    (duckdb.CatalogException, "Catalog Error", "FUNCTION_NOT_FOUND"),
    (duckdb.BinderException, "Binder Error", "SYNTAX_ERROR"),
    (duckdb.ParserException, "Parser Error", "SYNTAX_ERROR"),
    (duckdb.ConversionException, "Conversion Error", "INVALID_CAST_ARGUMENT"),
    (duckdb.OutOfRangeException, "Out of Range Error", "NUMERIC_VALUE_OUT_OF_RANGE"),
    (duckdb.OutOfMemoryException, "Out of Memory Error", "EXCEEDED_MEMORY_LIMIT"),
    (duckdb.InvalidInputException, "Invalid Input Error", "INVALID_FUNCTION_ARGUMENT"),
    (duckdb.NotImplementedException, "Not implemented Error", "NOT_SUPPORTED"),
)
"""DuckDB's errors by class, by the words they start with, and Athena's code for them."""
