"""The table `gold_runs`: which run made which table, newest first. Each run writes it anew, from the one before."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.medallion.manifest import Manifest
from jobs.medallion.tables import GOLD_RUNS, SILVER_EVENTS

KEPT_ROWS = 1000
"""About as many; the rows of one run stay together."""


def rows(manifest: Manifest) -> list[dict[str, Any]]:
    """A row for each table that a run published."""
    common = {
        "run": manifest.run,
        "decided_at": datetime.fromtimestamp(manifest.decided_at, UTC).replace(tzinfo=None),
        "source_files": manifest.totals.files,
        "source_rows": manifest.totals.rows,
        "engine": manifest.engine,
        "full": manifest.full,
    }
    return [{"table_name": name, "rows": count, "bytes": size, **common} for name, count, size in _published(manifest)]


def add(earlier: bytes | None, new: list[dict[str, Any]]) -> tuple[bytes, int]:
    """The table's Parquet before a run → after it, and its rows. What is too old for `KEPT_ROWS` is left out."""
    schema = GOLD_RUNS.arrow
    table = pa.Table.from_pylist(new, schema=schema)
    if earlier is not None:
        table = pa.concat_tables([table, pq.read_table(io.BytesIO(earlier)).select(schema.names).cast(schema)])
    table = table.slice(0, max(KEPT_ROWS, len(new)))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue(), table.num_rows


def _published(manifest: Manifest) -> Iterator[tuple[str, int, int]]:
    """Tables that the run changed: name, rows and bytes."""
    tables = manifest.tables
    if any(copy.target.startswith(SILVER_EVENTS.folder) for copy in manifest.copies):
        files = [file for day in tables.days for file in day.files]
        yield SILVER_EVENTS.name, sum(file.rows for file in files), sum(file.size for file in files)
    for table in tables.gold:
        if table.name != GOLD_RUNS.name and tables.runs[table.name] == manifest.run:
            yield table.name, table.rows, table.size
