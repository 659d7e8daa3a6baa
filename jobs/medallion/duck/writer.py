"""Rows in any order → sorted Parquet files by day."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.distinct import hashes, without_copies
from jobs.medallion.model import SilverFile

FILE_BYTES = 128 << 20
"""A file is closed once it has reached this size."""
CHUNK_ROWS = 1 << 19
CHUNK_BYTES = 256 << 20
"""Rows of a day are sorted and written once they are so many, or so much in memory."""
LATE_ROWS = 1 << 18
"""Rows from before what is written already are a file of their own once they are so many."""
OPEN_FILES = 64
"""Of different days, at a time."""
GROUP_ROWS = 1 << 18
"""Of a row group, about."""
_PLAIN_COLUMNS = frozenset({"event_id", "event_time"})
"""Distinct in nearly every row: a dictionary would only be built to be given up."""
_DICTIONARY_COLUMNS = [name for name in EVENT_SCHEMA.names if name not in _PLAIN_COLUMNS]
_DICTIONARY_BYTES = 8 << 20
"""Room for all sessions of a row group: spelt out in every row they make files a twentieth larger."""
_BOUNDED_COLUMNS = [field.name for field in EVENT_SCHEMA if not pa.types.is_string(field.type)]
"""With least and greatest values. Those of texts would span all there are, and take a fifth of the writing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that is whole, in scratch."""

    day: str
    file: SilverFile
    hashes: tuple[pa.ChunkedArray, ...]
    """Of the event ids, row by row; none when nobody will ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where files go."""

    place: Callable[[str], tuple[str, Path]]
    """Day → key and path of a new file."""
    done: Callable[[Written], object]
    """Hears of each file that is whole."""
    file_bytes: int = FILE_BYTES


class FileWriter:
    """Sorted rows of one day into files, one after the other."""

    def __init__(self, day: str, target: Target) -> None:
        self._day = day
        self._target = target
        self._writer: pq.ParquetWriter | None = None
        self._key = ""
        self._path = Path()
        self._rows = 0
        self._first = 0
        self._last = 0
        self._hashes: list[pa.ChunkedArray] = []

    def append(self, rows: pa.Table, row_hashes: pa.ChunkedArray | None = None) -> None:
        """Write rows that are sorted, and none of which is before what was written."""
        if not rows.num_rows:
            return
        if self._writer is None:
            self._key, self._path = self._target.place(self._day)
            self._writer = _parquet_writer(self._path)
            self._first = _micros(rows, 0)
        groups = max(1, round(rows.num_rows / GROUP_ROWS))
        self._writer.write_table(rows, row_group_size=-(-rows.num_rows // groups))
        self._rows += rows.num_rows
        self._last = _micros(rows, rows.num_rows - 1)
        if row_hashes is not None:
            self._hashes.append(row_hashes)
        if self._path.stat().st_size >= self._target.file_bytes:
            self.close()

    def close(self) -> None:
        """Make the file whole; what is appended later goes to another one."""
        if self._writer is None:
            return
        self._writer.close()
        file = SilverFile(
            key=self._key, size=self._path.stat().st_size, rows=self._rows, first=self._first, last=self._last
        )
        written = Written(day=self._day, file=file, hashes=tuple(self._hashes))
        self._writer, self._rows, self._hashes = None, 0, []
        self._target.done(written)


@dataclass(slots=True, kw_only=True)
class _Day:
    main: FileWriter
    """Files that do not overlap: each begins where the one before ends."""
    late: FileWriter
    """Files of rows that came after later ones had been written."""
    end: int | None = None
    """Time of the last row in the main files, µs: no row before it may be added to them."""
    waiting: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    size: int = 0


class SilverWriter:
    """Rows in any order into sorted files by day. What repeats an event soon after it is dropped on the way.

    Memory: about three chunks, and eight bytes a row for the hashes.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, target: Target, *,
        chunk_rows: int = CHUNK_ROWS, late_rows: int = LATE_ROWS,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._target = target
        self._chunk_rows = chunk_rows
        self._late_rows = late_rows
        self._days: dict[str, _Day] = {}
        self._open: dict[str, _Day] = {}
        self._waiting_rows = 0
        self._waiting_size = 0
        self.duplicates = 0
        """Rows dropped so far."""

    def add(self, day: str, rows: pa.Table) -> None:
        """Take rows with `EVENT_SCHEMA`, all of that day."""
        at = self._day(day)
        at.waiting.append(rows)
        self._count(at, rows.num_rows, rows.nbytes)
        if self._is_chunk(at.rows, at.size):
            self._flush(day, at)
        while self._is_chunk(self._waiting_rows // 2, self._waiting_size // 2):
            self._flush(*max(self._days.items(), key=lambda each: each[1].size))

    def close(self) -> None:
        """Write all that waits, and make every file whole."""
        for day, at in self._days.items():
            self._flush(day, at, to_the_end=True)
            at.main.close()
            at.late.close()

    def _day(self, day: str) -> _Day:
        if day not in self._days:
            self._days[day] = _Day(main=FileWriter(day, self._target), late=FileWriter(day, self._target))
        return self._days[day]

    def _is_chunk(self, rows: int, size: int) -> bool:
        return rows >= self._chunk_rows or size >= CHUNK_BYTES

    def _flush(self, day: str, at: _Day, *, to_the_end: bool = False) -> None:
        if not at.rows:
            return
        rows, row_hashes = self._sorted(pa.concat_tables(at.waiting))
        at.waiting.clear()
        cut = 0 if at.end is None else rows_before(rows, at.end)
        on_time = rows.num_rows - cut
        if on_time:
            self._keep_open(day, at)
            at.main.append(rows.slice(cut), row_hashes.slice(cut))
            at.end = _micros(rows, rows.num_rows - 1)
        late = rows.slice(0, cut)
        if cut >= self._late_rows or cut > on_time or to_the_end:
            at.late.append(late, row_hashes.slice(0, cut))
            at.late.close()
            late = late.slice(0, 0)
        late = late.take(pa.arange(0, late.num_rows))  # a slice would keep the whole chunk in memory
        self._count(at, late.num_rows - at.rows, late.nbytes - at.size)
        if late.num_rows:
            at.waiting.append(late)

    def _count(self, at: _Day, rows: int, size: int) -> None:
        at.rows += rows
        at.size += size
        self._waiting_rows += rows
        self._waiting_size += size

    def _sorted(self, rows: pa.Table) -> tuple[pa.Table, pa.ChunkedArray]:
        before = rows.num_rows
        rows, row_hashes = without_copies(self._connection, rows, hashes(self._connection, rows.select(["event_id"])))
        self.duplicates += before - rows.num_rows
        order = _order(rows)
        return (rows, row_hashes) if order is None else (rows.take(order), row_hashes.take(order))

    def _keep_open(self, day: str, at: _Day) -> None:
        """Close the file that nothing was added to for longest, when too many are open."""
        self._open.pop(day, None)
        self._open[day] = at
        if len(self._open) > OPEN_FILES:
            self._open.pop(next(iter(self._open))).main.close()


def sorted_rows(rows: pa.Table) -> pa.Table:
    """Rows in the order of files."""
    order = _order(rows)
    return rows if order is None else rows.take(order)


def as_events(rows: pa.Table) -> pa.Table:
    """Rows of a file with `EVENT_SCHEMA`: what an older version did not write is null."""
    if rows.schema.equals(EVENT_SCHEMA):
        return rows
    columns = [
        rows.column(column.name).cast(column.type) if column.name in rows.column_names
        else pa.nulls(rows.num_rows, column.type)
        for column in EVENT_SCHEMA
    ]  # fmt: skip
    return pa.table(columns, schema=EVENT_SCHEMA)


def rows_before(rows: pa.Table, moment: int) -> int:
    """How many rows of a sorted table are before a moment, µs since 1970 UTC."""
    return int(pc.search_sorted(_times(rows), pa.scalar(moment, pa.int64())).as_py())


def _order(rows: pa.Table) -> pa.Array | None:
    """Indices that sort by event time; None for rows that are in order, as most are.

    Time alone: rows of one moment come as they came. To order them too would move most rows of a busy shop, which takes
    as long as compressing them and spares no query anything.
    """
    times = _times(rows)
    if pc.all(pc.less_equal(times[:-1], times[1:])).as_py() in {True, None}:
        return None
    return pc.sort_indices(times)


def _parquet_writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        str(path), EVENT_SCHEMA, compression="zstd", compression_level=1, use_dictionary=_DICTIONARY_COLUMNS,
        dictionary_pagesize_limit=_DICTIONARY_BYTES, write_statistics=_BOUNDED_COLUMNS, store_schema=False,
    )  # fmt: skip


def _times(rows: pa.Table) -> pa.Array:
    return rows.column("event_time").cast(pa.int64()).combine_chunks()


def _micros(rows: pa.Table, row: int) -> int:
    return int(rows.column("event_time")[row].value)
