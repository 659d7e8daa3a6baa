"""A query's columns → the columns of the table they are inserted into, as far as Athena converts by itself. Pure."""

from collections.abc import Callable, Sequence

import pyarrow as pa

from deploy.local.athena.engine import RowColumn
from deploy.local.athena.errors import QueryFailedError


def check_types(columns: Sequence[RowColumn], given: Sequence[str], schema: pa.Schema) -> None:
    """Raises `QueryFailedError` when `given`, the columns named, do not fit the query's or the table's."""
    for name in given:
        if name not in schema.names:
            raise QueryFailedError(f"COLUMN_NOT_FOUND: line 1:1: Insert column name does not exist in target: {name}")
    if len(columns) != len(given) or len(set(given)) != len(given):
        raise QueryFailedError(
            f"MISMATCHED_COLUMN_ALIASES: line 1:1: Insert query has {len(columns)} expression(s) but expected "
            f"{len(given)} target column(s)"
        )
    wanted = [schema.field(name).type for name in given]
    if not all(_fits(column.arrow, kind) for column, kind in zip(columns, wanted, strict=True)):
        raise QueryFailedError(
            "TYPE_MISMATCH: line 1:1: Insert query has mismatched column types: "
            f"Table: [{', '.join(map(str, wanted))}], Query: [{', '.join(column.hive for column in columns)}]"
        )


def arranged(batch: pa.RecordBatch, given: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    """All columns of `schema`, those not given as NULL. Raises `QueryFailedError` for a value that does not fit."""
    place = {name: number for number, name in enumerate(given)}
    try:
        columns = [
            batch.column(place[field.name]).cast(field.type)
            if field.name in place
            else pa.nulls(len(batch), field.type)
            for field in schema
        ]
    except pa.ArrowInvalid as error:
        raise QueryFailedError(f"NUMERIC_VALUE_OUT_OF_RANGE: {error}") from error
    return pa.record_batch(columns, schema=schema)


def _fits(given: pa.DataType, wanted: pa.DataType) -> bool:
    if given == wanted or pa.types.is_null(given):
        return True
    if pa.types.is_nested(given):
        return bool(given.id == wanted.id)
    return any(from_kind(given) and into(given, wanted) for from_kind, into in _CONVERSIONS)


def _is_wider(given: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(given.bit_width <= wanted.bit_width)


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType, pa.DataType], bool]], ...] = (
    (pa.types.is_integer, lambda given, wanted: pa.types.is_integer(wanted) and _is_wider(given, wanted)),
    (pa.types.is_integer, lambda _given, wanted: pa.types.is_floating(wanted) or pa.types.is_decimal(wanted)),
    (pa.types.is_decimal, lambda _given, wanted: pa.types.is_floating(wanted) or pa.types.is_decimal(wanted)),
    # HUGEINT comes as decimal(38,0) and is bigint to Athena.
    (pa.types.is_decimal, lambda given, wanted: given.scale == 0 and pa.types.is_int64(wanted)),
    (pa.types.is_floating, lambda given, wanted: pa.types.is_floating(wanted) and _is_wider(given, wanted)),
    (pa.types.is_date, lambda _given, wanted: pa.types.is_timestamp(wanted)),
)
