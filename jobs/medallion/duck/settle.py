"""A day once all rows are written: copies go, and too many small files become few."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.distinct import PLACE, hashes, losers, repeated, shared
from jobs.medallion.duck.files import DOWNLOADS, Files, reaching
from jobs.medallion.duck.merge import merged, small_ones
from jobs.medallion.duck.writer import FileWriter, Target, Written, as_events
from jobs.medallion.model import SilverFile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A file of the day and which of its rows may be copies."""

    file: SilverFile
    suspects: pa.ChunkedArray | None
    """A boolean a row; None: no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settler:
    """Settles days, one after the other."""

    connection: duckdb.DuckDBPyConnection
    files: Files
    target: Target
    """Of files that take the place of others."""

    def drop_copies(self, day: str, old: Sequence[SilverFile], new: Sequence[Written]) -> tuple[tuple[str, ...], int]:
        """Keys of files that lost rows, and were written anew without them; and how many rows that were.

        The old files are known to hold each event once. Of rows equal in every column an old one stays, so that few
        old files change.
        """
        parts = self._parts(old, new)
        if all(part.suspects is None for part in parts):
            return (), 0
        starts = [0, *accumulate(part.file.rows for part in parts)]
        gone = self._losers(parts, starts)
        changed = []
        for part, start in zip(parts, starts, strict=False):
            low, high = (_index(gone, place) for place in (start, start + part.file.rows))
            if low < high:
                self._rewrite(day, part.file, pc.subtract(gone.slice(low, high - low), start))
                changed.append(part.file.key)
        return tuple(changed), len(gone)

    def merge_small(self, day: str, files: Sequence[SilverFile]) -> tuple[str, ...]:
        """Keys of files that were merged into new ones, when the day has too many small ones."""
        small = small_ones(files, self.target.file_bytes)
        if small:
            writer = FileWriter(day, self.target)
            for rows in merged([pq.ParquetFile(str(self.files.local(file.key))) for file in small]):
                writer.append(rows)
            writer.close()
        return tuple(file.key for file in small)

    def _parts(self, old: Sequence[SilverFile], new: Sequence[Written]) -> list[_Part]:
        """Old files first: their places are the lower ones."""
        new_hashes = [one for written in new for one in written.hashes]
        in_both = self._in_both(old, new_hashes)
        parts = [_Part(file=file, suspects=self._old_suspects(file, in_both)) for file in old]
        again = [repeated(self.connection, new_hashes), in_both]
        suspicious = pc.unique(pa.chunked_array(again, pa.uint64()))
        for written in new:
            of_file = pa.chunked_array([chunk for one in written.hashes for chunk in one.chunks], pa.uint64())
            parts.append(_Part(file=written.file, suspects=_among(of_file, suspicious)))
        return parts

    def _in_both(self, old: Sequence[SilverFile], new_hashes: Sequence[pa.ChunkedArray]) -> pa.Array:
        """Hashes of new rows that old ones have, too. The old files stay in scratch: gold reads them as well."""
        with ThreadPoolExecutor(DOWNLOADS) as fetching:
            paths = list(fetching.map(self.files.local, [file.key for file in old]))
        return shared(self.connection, paths, new_hashes)

    def _old_suspects(self, file: SilverFile, in_both: pa.Array) -> pa.ChunkedArray | None:
        if not len(in_both):
            return None
        return _among(hashes(self.connection, self.files.parquet(file.key).read(columns=["event_id"])), in_both)

    def _losers(self, parts: Sequence[_Part], starts: Sequence[int]) -> pa.Array:
        """Places over all parts, ascending. The rows go through a file: they may be all the rows of a large day."""
        path = self.files.scratch / "suspects.parquet"
        schema = EVENT_SCHEMA.append(pa.field(PLACE, pa.int64()))
        with pq.ParquetWriter(str(path), schema, compression="snappy") as writer:
            for part, start in zip(parts, starts, strict=False):
                for rows in self._suspects(part, start):
                    writer.write_table(rows)
        try:
            return losers(
                self.connection, f"read_parquet('{str(path).replace(chr(39), chr(39) * 2)}', hive_partitioning = false)"
            )
        finally:
            path.unlink()

    def _suspects(self, part: _Part, start: int) -> Iterator[pa.Table]:
        if part.suspects is None:
            return
        for offset, group, file in self._groups(part.file):
            count = file.metadata.row_group(group).num_rows
            places = pc.indices_nonzero(part.suspects.slice(offset, count)).cast(pa.int64())
            if len(places):
                with reaching(part.file.key):
                    rows = as_events(file.read_row_group(group)).take(places)
                yield rows.append_column(PLACE, pc.add(places, start + offset))

    def _rewrite(self, day: str, of: SilverFile, gone: pa.Array) -> None:
        """Write a file again without the rows of these numbers."""
        writer = FileWriter(day, replace(self.target, file_bytes=max(self.target.file_bytes, of.size)))
        self.files.local(of.key)
        for offset, group, file in self._groups(of):
            rows = as_events(file.read_row_group(group))
            numbers = pa.arange(offset, offset + rows.num_rows)
            writer.append(rows.filter(pc.invert(pc.is_in(numbers, gone))))
        writer.close()

    def _groups(self, of: SilverFile) -> Iterator[tuple[int, int, pq.ParquetFile]]:
        """Of each row group: the number of its first row, and its own; and the file."""
        file = self.files.parquet(of.key)
        offset = 0
        for group in range(file.num_row_groups):
            yield offset, group, file
            offset += file.metadata.row_group(group).num_rows


def _among(column: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray | None:
    if not len(values):
        return None
    found = pc.is_in(column, values)
    return found if pc.any(found).as_py() else None


def _index(places: pa.Array, place: int) -> int:
    return int(pc.search_sorted(places, pa.scalar(place, places.type)).as_py())
