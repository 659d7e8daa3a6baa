"""CTAS, INSERT and UNLOAD: a query's rows into files, and what the catalogue learns of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from deploy.local.athena.coercion import arranged, check_types
from deploy.local.athena.engine import Engine, OnCursor, Rows
from deploy.local.athena.errors import QueryFailedError
from deploy.local.athena.glue import Glue
from deploy.local.athena.glue_items import Partition, Table
from deploy.local.athena.hive_types import to_arrow
from deploy.local.athena.names import Names
from deploy.local.athena.scan import partition_path, schema_of
from deploy.local.athena.sink import Sink, Target, Written
from deploy.local.athena.statements import ColumnDef, CreateTableAs, Insert, Unload, Write, WriteOptions
from deploy.local.athena.storage import Format, Storage, written_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Where a statement runs: its database, what its files are called, where results go (s3:// with a slash)."""

    database: str
    name: str
    results: str
    on_cursor: OnCursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was written, and what had to be read for it."""

    written: Written
    bytes_scanned: int
    manifest: str = ""
    """The s3:// URL of the list of files."""


class Writes:
    """Carries out statements that write, for worker threads. Each raises `QueryFailedError`."""

    def __init__(self, glue: Glue, engine: Engine, sink: Sink) -> None:
        self._glue = glue
        self._names = Names(glue)
        self._engine = engine
        self._sink = sink

    def run(self, statement: Write, job: Job) -> Done:
        """Write, then register: a partition is never in the catalogue before its file is in the bucket."""
        match statement:
            case CreateTableAs():
                done = self._create_table_as(statement, job)
            case Insert():
                done = self._insert(statement, job)
            case Unload():
                done = self._unload(statement, job)
        manifest = f"{job.results}{job.name}-manifest.csv"
        self._sink.write_manifest(manifest, done.written)
        return replace(done, manifest=manifest)

    def _create_table_as(self, statement: CreateTableAs, job: Job) -> Done:
        schema = self._names.schema(statement.name, job.database)
        if self._names.find(statement.name, job.database) is not None:
            if statement.if_not_exists:
                return Done(written=Written(), bytes_scanned=0)
            raise QueryFailedError(
                f"TABLE_ALREADY_EXISTS: line 1:1: Table 'awsdatacatalog.{schema}.{statement.name.table}' already exists"
            )
        location = statement.location or f"{job.results}tables/{job.name}/"
        self._need_empty(location)
        with self._engine.rows(statement.query, job.database, job.on_cursor) as rows:
            columns = _named_columns(rows)
            keys = _last_columns(columns, statement.options.partitioned_by)
            table = Table(
                database=schema,
                name=statement.name.table,
                columns=columns[: len(columns) - keys],
                partition_keys=columns[len(columns) - keys :],
                location=location,
                storage=written_as(statement.options.format, statement.options.field_delimiter),
            )
            batches = rows.batches() if statement.with_data else iter(())
            written = self._sink.write(_target(table, job, statement.options.compression), _as(table, batches))
            if not self._glue.create_table(table):
                raise QueryFailedError(f"TABLE_ALREADY_EXISTS: line 1:1: Table '{table.name}' already exists")
            self._register(table, written, {})
            return Done(written=written, bytes_scanned=rows.bytes_scanned)

    def _insert(self, statement: Insert, job: Job) -> Done:
        table = self._names.find(statement.name, job.database)
        if table is None:
            full = f"awsdatacatalog.{(statement.name.database or job.database).lower()}.{statement.name.table}"
            raise QueryFailedError(f"TABLE_NOT_FOUND: line 1:1: Table '{full}' does not exist")
        if table.view_query is not None:
            raise QueryFailedError("NOT_SUPPORTED: line 1:1: Inserting into views is not supported")
        if table.storage.format is Format.CSV:
            raise QueryFailedError("NOT_SUPPORTED: INSERT into tables with the OpenCSVSerde")
        if dict(table.properties).get("skip.header.line.count", "0") != "0":
            raise QueryFailedError("NOT_SUPPORTED: INSERT into tables whose files have header lines")
        known = {one.values: one for one in self._glue.partitions(table)} if table.partition_keys else {}
        every = [column.name for column in (*table.columns, *table.partition_keys)]
        with self._engine.rows(statement.query, job.database, job.on_cursor) as rows:
            given = statement.columns or tuple(every)
            check_types(rows.columns, given, schema_of(table))
            batches = (arranged(batch, given, schema_of(table)) for batch in rows.batches())
            target = _target(table, job, _table_compression(table), known)
            written = self._sink.write(target, batches)
            self._register(table, written, known)
            return Done(written=written, bytes_scanned=rows.bytes_scanned)

    def _unload(self, statement: Unload, job: Job) -> Done:
        options = statement.options
        self._need_empty(statement.location)
        with self._engine.rows(statement.query, job.database, job.on_cursor) as rows:
            columns = _columns(rows)
            keys = _last_columns(columns, options.partitioned_by)
            table = Table(
                database=job.database,
                name="unload",
                columns=columns[: len(columns) - keys],
                partition_keys=columns[len(columns) - keys :],
                location=statement.location,
                storage=_unloaded_as(options),
            )
            written = self._sink.write(_target(table, job, options.compression), _as(table, rows.batches()))
            return Done(written=written, bytes_scanned=rows.bytes_scanned)

    def _register(self, table: Table, written: Written, known: dict[tuple[str, ...], Partition]) -> None:
        new = [values for values in written.partitions if values and values not in known]
        folder = partial(_folder, table, known)
        self._glue.add_partitions(table, [Partition(values=values, location=folder(values)) for values in new])

    def _need_empty(self, location: str) -> None:
        if not self._sink.is_empty(location):
            raise QueryFailedError(
                f"HIVE_PATH_ALREADY_EXISTS: Target directory for table already exists: {location}. "
                "You may need to manually clean the data at this location before retrying."
            )


def _folder(table: Table, known: dict[tuple[str, ...], Partition], values: tuple[str, ...]) -> str:
    """A registered partition stays where it is; a new one goes below the table."""
    if not values:
        return table.location
    return known[values].location if values in known else f"{table.location}{partition_path(table, values)}/"


def _target(table: Table, job: Job, compression: str, known: dict[tuple[str, ...], Partition] | None = None) -> Target:
    return Target(
        schema=schema_of(table),
        keys=len(table.partition_keys),
        folder=partial(_folder, table, known or {}),
        storage=table.storage,
        compression=compression,
        name=job.name,
    )


def _columns(rows: Rows) -> tuple[ColumnDef, ...]:
    for column in rows.columns:
        if column.hive == "unknown":
            raise QueryFailedError(f"COLUMN_TYPE_UNKNOWN: line 1:1: Column type is unknown: {column.name}")
        if column.hive == "timestamp with time zone":
            raise QueryFailedError(f"NOT_SUPPORTED: Unsupported Hive type: {column.hive} of {column.name}")
    found = tuple(ColumnDef(name=column.name.lower(), type=column.hive) for column in rows.columns)
    names = [column.name for column in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise QueryFailedError(f"DUPLICATE_COLUMN_NAME: line 1:1: Column name '{twice[0]}' specified more than once")
    return found


def _named_columns(rows: Rows) -> tuple[ColumnDef, ...]:
    for number, column in enumerate(rows.columns, start=1):
        if column.name == f"_col{number - 1}":
            raise QueryFailedError(f"MISSING_COLUMN_NAME: line 1:1: Column name not specified at position {number}")
    return _columns(rows)


def _last_columns(columns: tuple[ColumnDef, ...], keys: tuple[str, ...]) -> int:
    """How many columns are partition keys: the last ones, in the order named."""
    if keys and (len(keys) >= len(columns) or tuple(column.name for column in columns[-len(keys) :]) != keys):
        raise QueryFailedError(
            "HIVE_COLUMN_ORDER_MISMATCH: Partition keys must be the last columns in the table and in the same order as "
            f"the table properties: {list(keys)}"
        )
    return len(keys)


def _as(table: Table, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns of the table's types: HUGEINT is bigint to Athena."""
    schema = pa.schema([(column.name, to_arrow(column.type)) for column in (*table.columns, *table.partition_keys)])
    return (arranged(batch, tuple(schema.names), schema) for batch in batches)


def _table_compression(table: Table) -> str:
    properties = dict(table.properties)
    names = ("write.compression", "parquet.compression", "write_compression")
    return next((properties[name].upper() for name in names if name in properties), "")


def _unloaded_as(options: WriteOptions) -> Storage:
    return written_as(options.format, options.field_delimiter or ",")
