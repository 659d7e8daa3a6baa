"""De-duplication: which rows repeat an event of their day, and which of the copies stays.

Hashes of event ids find the few rows that may be copies; those rows alone are compared, by
`headrace/sql/medallion/distinct.sql`. Ids that differ and share a hash cost a comparison and no row.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from jobs.medallion import dialect

PLACE = "place"
"""Column of a row's number, by which it is told to go."""
_HASH = "CASE WHEN event_id IS NOT NULL THEN hash(event_id) END"
_AT_ONCE = 1 << 20
"""Hashes that are compared with their neighbours at a time."""


def hashes(connection: duckdb.DuckDBPyConnection, ids: pa.Table) -> pa.ChunkedArray:
    """Column `event_id` → uint64 a row; null where there is no id, for such rows are nobody's copies."""
    connection.register("ids", ids)
    try:
        return connection.sql(f"SELECT {_HASH} AS h FROM ids").to_arrow_table().column("h")  # noqa: S608 - our own
    finally:
        connection.unregister("ids")


def repeated(connection: duckdb.DuckDBPyConnection, columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Hashes that occur more than once in all columns together: once sorted they stand side by side.

    Null equals nothing. DuckDB sorts in less than half of the time in which it groups, and beyond its memory on disk.
    """
    chunks = [chunk for column in columns for chunk in column.chunks]
    connection.register("hashes", pa.table({"h": pa.chunked_array(chunks, pa.uint64())}))
    found: list[pa.Array] = []
    before = pa.array([], pa.uint64())
    try:
        for batch in connection.sql("SELECT h FROM hashes ORDER BY h").to_arrow_reader(_AT_ONCE):
            ascending = pa.concat_arrays([before, batch.column(0)])
            found.append(ascending[1:].filter(pc.equal(ascending[1:], ascending[:-1])))
            before = ascending[-1:]
    finally:
        connection.unregister("hashes")
    return pc.unique(pa.chunked_array(found, pa.uint64()))


def shared(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], others: Sequence[pa.ChunkedArray]) -> pa.Array:
    """Hashes of the ids in Parquet files that also occur in the others: one pass over all of these files."""
    if not files or not others:
        return pa.array([], pa.uint64())
    chunks = [chunk for column in others for chunk in column.chunks]
    connection.register("others", pa.table({"h": pa.chunked_array(chunks, pa.uint64())}))
    query = f"""
        SELECT DISTINCT {_HASH} AS h FROM read_parquet($files, hive_partitioning = false)
        WHERE h IN (SELECT h FROM others)
    """  # noqa: S608 - our own expression
    try:
        found = connection.sql(query, params={"files": [str(path) for path in files]}).to_arrow_table()
    finally:
        connection.unregister("others")
    return found.column("h").combine_chunks()


def without_copies(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, row_hashes: pa.ChunkedArray
) -> tuple[pa.Table, pa.ChunkedArray]:
    """Rows of one day and their hashes, each event once."""
    again = repeated(connection, [row_hashes])
    if not len(again):
        return rows, row_hashes
    places = pc.indices_nonzero(pc.is_in(row_hashes, again)).cast(pa.int64())
    connection.register("candidates", rows.take(places).append_column(PLACE, places))
    try:
        gone = losers(connection, "candidates")
    finally:
        connection.unregister("candidates")
    kept = pc.invert(pc.is_in(pa.arange(0, rows.num_rows), gone))
    return rows.filter(kept), row_hashes.filter(kept)


def losers(connection: duckdb.DuckDBPyConnection, candidates: str) -> pa.Array:
    """Places of rows that lose against a copy, ascending. `candidates` is a relation with a column `place`."""
    found = connection.sql(_losers().format(candidates=candidates)).to_arrow_table()
    return found.column(PLACE).combine_chunks()


@cache
def _losers() -> str:
    # What stands for `properties` is text, since a map has no order.
    return f"""
        WITH copies AS (
            SELECT
                *,
                array_to_string(
                    list_transform(
                        list_sort(map_entries(properties)), lambda entry: entry.key || chr(1) || entry.value
                    ),
                    chr(2)
                ) AS properties_text
            FROM {{candidates}}
        )
        SELECT {PLACE} FROM ({dialect.to_duckdb(dialect.load("distinct"))}) AS numbered WHERE copy > 1 ORDER BY {PLACE}
    """  # noqa: S608 - our own file
