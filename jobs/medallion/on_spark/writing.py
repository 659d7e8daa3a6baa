"""Events in order → the files of their days."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import TaskContext

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.files import Files
from jobs.medallion.duck.writer import GROUP_ROWS, FileWriter, Target, Written
from jobs.medallion.on_spark.place import Place

WRITTEN = pa.schema([
    ("day", pa.string()), ("key", pa.string()), ("size", pa.int64()), ("rows", pa.int64()), ("first", pa.int64()),
    ("last", pa.int64()),
])  # fmt: skip
"""A day, and a `SilverFile` of it."""


def write_days(
    place: Place, folder: str, file_bytes: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Batches of `event_date` and `EVENT_SCHEMA`, sorted by day, time and id → Parquet files; `WRITTEN` tells of them.

    Every try of a task has names of its own: one that was given up never writes over what another has made.
    """
    context = TaskContext.get()
    if context is None:
        raise RuntimeError("this runs in tasks of Spark only")
    task = f"{context.partitionId():05}-{context.attemptNumber()}"
    with tempfile.TemporaryDirectory() as scratch:
        days = _Days(place.files(Path(scratch)), f"{folder}{{day}}/{task}-{{number:05}}.parquet", file_bytes)
        for day, rows in _by_day(batches):
            yield from days.add(day, rows)
        yield from days.close()


class _Days:
    """The files of a task, one day after the other."""

    def __init__(self, files: Files, key: str, file_bytes: int) -> None:
        self._files = files
        self._key = key
        self._target = Target(place=self._place, done=self._done, file_bytes=file_bytes)
        self._day = ""
        self._writer: FileWriter | None = None
        self._waiting: list[pa.Table] = []
        self._count = 0
        self._ready: list[Written] = []

    def add(self, day: str, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Take rows behind those before; tells of files that are whole by now."""
        if day != self._day:
            yield from self.close()
            self._day, self._writer = day, FileWriter(day, self._target)
        self._waiting.append(rows)
        if sum(table.num_rows for table in self._waiting) >= GROUP_ROWS:
            self._flush()
            yield from self._told()

    def close(self) -> Iterator[pa.RecordBatch]:
        """Write all that waits; tells of the last files of the day."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
        yield from self._told()

    def _flush(self) -> None:
        if self._writer is not None and self._waiting:
            self._writer.append(pa.concat_tables(self._waiting))
            self._waiting.clear()

    def _place(self, day: str) -> tuple[str, Path]:
        key = self._key.format(day=day, number=self._count)
        self._count += 1
        return key, self._files.place(key)

    def _done(self, written: Written) -> None:
        self._ready.append(written)

    def _told(self) -> Iterator[pa.RecordBatch]:
        for written in self._ready:
            file = written.file
            self._files.upload(file.key)
            self._files.place(file.key).unlink()
            told = {"day": written.day, "key": file.key, "size": file.size, "rows": file.rows}
            yield pa.RecordBatch.from_pylist([{**told, "first": file.first, "last": file.last}], WRITTEN)
        self._ready.clear()


def _by_day(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
    for batch in batches:
        rows = pa.Table.from_batches([batch.select(EVENT_SCHEMA.names)]).cast(EVENT_SCHEMA)
        days = pc.run_end_encode(batch["event_date"])
        start = 0
        for day, end in zip(days.values.to_pylist(), days.run_ends.to_pylist(), strict=True):
            yield day.isoformat(), rows.slice(start, end - start)
            start = end
