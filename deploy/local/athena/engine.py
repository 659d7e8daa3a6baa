"""Queries on DuckDB. It sees the datasets of the tables a query names and nothing else: no files, no settings.

Views are put in place of their names, tables become `TableScan`s, the text becomes DuckDB's. One in-memory database
holds the macros; every query has a cursor of its own, which its `interrupt` stops from another thread.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
from sqlglot import exp

from deploy.local.athena import dialect, information_schema
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.failures import failures
from deploy.local.athena.functions import MACROS
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.hive_types import ColumnInfo, column_info, table_type
from deploy.local.athena.pruning import condition_on
from deploy.local.athena.rewrite import to_duckdb
from deploy.local.athena.scan import NUMBER, Lake, TableScan, partition_table
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


@dataclass(slots=True)
class Inputs:
    """What one query reads. Of each table it sees one state, however often it reads it."""

    found: dict[tuple[str, str, str | None], Input] = field(default_factory=dict)
    """By database, name, and what is asked of the partition keys there."""
    partitions: dict[tuple[str, str], Callable[[], Sequence[Partition]]] = field(default_factory=dict)
    """Of a table, looked up when they are needed first."""


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
        with failures():
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
        with failures():
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
        with failures():
            cursor.execute(text)
            columns = tuple(column_info(str(item[0]), str(item[1])) for item in cursor.description or ())
        return Running(columns=columns, cursor=cursor, scans=_scans(inputs))

    @contextlib.contextmanager
    def rows(self, sql: str, database: str, on_cursor: OnCursor) -> Iterator[Rows]:
        """Bind and start a query whose rows are written. Raises `QueryFailedError`."""
        inputs, text = self._prepare(sql, database)
        with self._cursor(inputs) as cursor:
            on_cursor(cursor.interrupt)
            with failures():
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
        with failures(), self._cursor(inputs) as cursor:
            rows = cursor.execute(f"DESCRIBE {text}").fetchall()
        return tuple(column_info(str(row[0]), str(row[1])) for row in rows)

    def _cursor(self, inputs: Sequence[Input]) -> duckdb.DuckDBPyConnection:
        cursor = self._database.cursor()
        for number, one in enumerate(inputs):
            cursor.register(f"scan_{number}", one)
        return cursor

    def _prepare(self, sql: str, database: str) -> tuple[list[Input], str]:
        inputs = Inputs()
        query = self._resolve(dialect.parse(sql), database, inputs, depth=0)
        return list(inputs.found.values()), to_duckdb(query)

    def _resolve(self, query: exp.Query, database: str, inputs: Inputs, *, depth: int) -> exp.Query:
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
                keys = frozenset(key.name for key in table.partition_keys) if table is not None else frozenset()
                condition = condition_on(reference, keys)
                asked = None if condition is None else condition.sql()
                key = ((reference.db or database).lower(), reference.name.lower(), asked)
                if key not in inputs.found:
                    inputs.found[key] = self._input(table, reference.name.lower(), condition, inputs)
                name = f"scan_{list(inputs.found).index(key)}"
                replacement = exp.Table(this=exp.to_identifier(name, quoted=True), alias=alias)
            for extra in ("joins", "laterals"):
                replacement.set(extra, reference.args.get(extra))
            reference.replace(replacement)
        return query

    def _input(self, table: Table | None, name: str, condition: exp.Expr | None, inputs: Inputs) -> Input:
        if table is None:
            return information_schema.table(self._glue, name)
        kind = TableScan if table.storage.format is Format.PARQUET else TextScan
        return kind(self._lake, table, self._partitions_of(table, condition, inputs))

    def _table(self, reference: exp.Table, database: str) -> Table:
        schema = (reference.db or database).lower()
        table = self._glue.table(schema, reference.name.lower())
        if table is not None and reference.catalog.lower() in {"", "awsdatacatalog"}:
            return table
        if not self._glue.has_database(schema):
            raise QueryFailedError(f"SCHEMA_NOT_FOUND: line 1:1: Schema '{schema}' does not exist")
        name = f"awsdatacatalog.{schema}.{reference.name.lower()}"
        raise QueryFailedError(f"TABLE_NOT_FOUND: line 1:1: Table '{name}' does not exist")

    def _partitions_of(
        self, table: Table, condition: exp.Expr | None, inputs: Inputs
    ) -> Callable[[], Sequence[Partition]]:
        if not table.partition_keys:
            return lambda: [Partition(values=(), location=table.location)]
        every = inputs.partitions.setdefault((table.database, table.name), _once(partial(self._glue.partitions, table)))
        if condition is None:
            return every
        query = to_duckdb(exp.select(exp.column(NUMBER, quoted=True)).from_("partitions").where(condition))
        return _once(lambda: self._pruned(table, every(), query))

    def _pruned(self, table: Table, partitions: Sequence[Partition], query: str) -> Sequence[Partition]:
        """The partitions that a condition on their values lets pass; all when it fails: the query itself says how."""
        with self._database.cursor() as cursor, contextlib.suppress(duckdb.Error):
            cursor.register("partitions", partition_table(table, partitions))
            return [partitions[number] for (number,) in cursor.execute(query).fetchall()]
        return partitions


def _once(call: Callable[[], Sequence[Partition]]) -> Callable[[], Sequence[Partition]]:
    """Make a call when its result is needed first. DuckDB scans in threads, and `cache` alone may call twice."""
    lock, cached = threading.Lock(), cache(call)

    def result() -> Sequence[Partition]:
        with lock:
            return cached()

    return result


def _scans(inputs: Sequence[Input]) -> list[TableScan]:
    return [one for one in inputs if isinstance(one, TableScan)]
