"""Parquet files of the transformer → rows."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.portion import Portion, UnreadableFileError

REQUIRED = ("event_id", "event_type", "event_time")


def landed_portions(path: Path, rows: int) -> Iterator[Portion]:
    """The file in portions of so many rows at most. Columns that it lacks are null, others are left out.

    Raises `UnreadableFileError` for what is no Parquet, lacks a column that no event is without, or has another type.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = [name for name in EVENT_SCHEMA.names if name in names]
            if missing := [name for name in REQUIRED if name not in wanted]:
                raise UnreadableFileError(f"no column {', '.join(missing)}")
            for batch in file.iter_batches(rows, columns=wanted):
                yield Portion(rows=_as_events(batch), rejected=())
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError(f"no Parquet: {error}") from error


def _as_events(batch: pa.RecordBatch) -> pa.Table:
    columns = [
        _as(field, batch.column(field.name)) if field.name in batch.schema.names else pa.nulls(len(batch), field.type)
        for field in EVENT_SCHEMA
    ]
    return pa.table(columns, schema=EVENT_SCHEMA)


def _as(field: pa.Field, column: pa.Array) -> pa.Array:
    if field.name in REQUIRED and column.null_count:
        raise UnreadableFileError(f"{field.name} is missing in {column.null_count} rows")
    if column.type == field.type:
        return column
    if not _is_alike(column.type, field.type):
        raise UnreadableFileError(f"{field.name} is {column.type}, not {field.type}")
    try:
        return pc.cast(column, field.type)
    except pa.ArrowInvalid as error:
        raise UnreadableFileError(f"{field.name} is {column.type}: {error}") from error


def _is_alike(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a cast only widens or narrows, and means nothing else."""
    return any(
        kind(given) and kind(wanted)
        for kind in (
            pa.types.is_integer,
            pa.types.is_floating,
            pa.types.is_decimal,
            pa.types.is_timestamp,
            pa.types.is_map,
            _is_text,
        )
    )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
