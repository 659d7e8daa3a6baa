"""Many small sorted files of a day → few large ones, a window of time after the other."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.writer import FILE_BYTES, as_events, rows_before, sorted_rows
from jobs.medallion.model import SilverFile

SMALL_FILES = 12
"""A day has no more files below half the size aimed at than these."""
_ROWS = 1 << 20
"""In memory at a time, over all files."""


def small_ones(files: Sequence[SilverFile], file_bytes: int = FILE_BYTES) -> list[SilverFile]:
    """The files of a day to be merged: none, unless too many are small."""
    small = [file for file in files if file.size * 2 < file_bytes]
    return small if len(small) > SMALL_FILES else []


def merged(files: Sequence[pq.ParquetFile], rows_at_once: int = _ROWS) -> Iterator[pa.Table]:
    """Rows of sorted files in the order of all."""
    runs = [_Run(file, max(1024, rows_at_once // len(files))) for file in files]
    while runs := [run for run in runs if run.fill()]:
        open_ends = [run.last for run in runs if not run.exhausted]
        bound = min(open_ends, default=None)
        window = pa.concat_tables([run.before(bound) for run in runs])
        if window.num_rows:
            yield sorted_rows(window)
        else:
            for run in runs:  # all that is there is of one moment: the next rows may be of it too
                if not run.exhausted and run.last == bound:
                    run.more()


class _Run:
    """One file: rows that have been read and not been given away."""

    def __init__(self, file: pq.ParquetFile, rows_at_once: int) -> None:
        self._batches = file.iter_batches(batch_size=rows_at_once)
        self._rows = EVENT_SCHEMA.empty_table()
        self.exhausted = False

    @property
    def last(self) -> int:
        """Time of the last row at hand, µs."""
        return int(self._rows.column("event_time")[-1].value)

    def fill(self) -> bool:
        """Have at least a row at hand. False at the end of the file."""
        while not self._rows.num_rows and not self.exhausted:
            self.more()
        return bool(self._rows.num_rows)

    def more(self) -> None:
        """Read on."""
        batch = next(self._batches, None)
        if batch is None:
            self.exhausted = True
        else:
            self._rows = pa.concat_tables([self._rows, as_events(pa.Table.from_batches([batch]))])

    def before(self, bound: int | None) -> pa.Table:
        """Give away the rows before a moment, µs; all of them when there is none."""
        count = self._rows.num_rows if bound is None else rows_before(self._rows, bound)
        given, self._rows = self._rows.slice(0, count), self._rows.slice(count)
        return given
