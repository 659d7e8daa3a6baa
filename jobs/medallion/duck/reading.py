"""One file of bronze → what is known of it once all of it has been read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from headrace.quarantine import envelope
from jobs.medallion.duck.doubtful import STAGE
from jobs.medallion.duck.files import Files
from jobs.medallion.duck.letters import LetterSpool
from jobs.medallion.duck.portion import Portion, UnreadableFileError
from jobs.medallion.duck.writer import sorted_rows
from jobs.medallion.model import FileReport, Source, SourceFile, ToRead
from jobs.medallion.ports import OnRows

UNREADABLE = "unreadable_file"
"""Reason of the one dead letter of a file that cannot be read."""
HELD_BYTES = 64 << 20
"""Of the rows of one file in memory; what is more waits in scratch until the file has proved readable."""
_SUFFIXES = {Source.RAW: ".jsonl.gz", Source.EVENTS: ".parquet"}


class Decode(Protocol):
    """Decodes a copy of a file. Safe for several threads."""

    def __call__(self, file: SourceFile, path: Path) -> Iterator[Portion]:
        """Its lines, in portions. Raises `UnreadableFileError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file to read, copied to scratch."""

    asked: ToRead
    path: Path


@dataclass(slots=True)
class Spool:
    """Tables that wait: in memory, and from `HELD_BYTES` on in a file."""

    path: Path
    tables: list[pa.Table] = field(default_factory=list)
    held: int = 0
    _file: pa.RecordBatchFileWriter | None = None

    def add(self, rows: pa.Table) -> None:
        """Take one more."""
        if self._file is None and self.held + rows.nbytes <= HELD_BYTES:
            self.tables.append(rows)
            self.held += rows.nbytes
            return
        if self._file is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._file = pa.ipc.new_file(str(self.path), rows.schema, options=options)
        self._file.write_table(rows)

    def drain(self) -> Iterator[pa.Table]:
        """All of them, in order; none stays."""
        while self.tables:
            yield self.tables.pop(0)
        if self._file is not None:
            self._file.close()
            with pa.OSFile(str(self.path)) as source:
                batches = pa.ipc.open_file(source)
                for number in range(batches.num_record_batches):
                    yield pa.Table.from_batches([batches.get_batch(number)])
        self.forget()

    def forget(self) -> None:
        """Give memory and file back."""
        self.tables.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
            self.path.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A file that has been read."""

    report: FileReport
    days: dict[str, Spool]
    """Rows that count, by day."""
    letters: LetterSpool
    """None of a file that was read before: they were sent then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Fetches and decodes the files of a run, in several threads at a time."""

    files: Files
    decode: Decode
    on_rows: OnRows
    check: Callable[[], None]
    """Raises when the run is to stop."""
    seen_at: float
    """Seconds since 1970 UTC."""

    def fetch(self, numbered: tuple[int, ToRead]) -> Fetched:
        """Copy the file to scratch, under a number: keys of strangers are no names for files here."""
        self.check()
        number, asked = numbered
        path = self.files.scratch / "bronze" / f"{number:07}{_SUFFIXES[asked.file.source]}"
        return Fetched(asked=asked, path=self.files.fetch(asked.file.key, path, etag=asked.file.etag))

    def read(self, fetched: Fetched) -> Read:
        """Decode all of it. What cannot be read to its end counts for nothing, but for one dead letter."""
        days: dict[str, Spool] = {}
        letters = LetterSpool(fetched.path.with_suffix(".letters"))
        try:
            return self._read(fetched, days, letters)
        except UnreadableFileError as error:
            for spool in days.values():
                spool.forget()
            letters.forget()
            return self._unreadable(fetched.asked, letters, str(error))
        finally:
            fetched.path.unlink()

    def _read(self, fetched: Fetched, days: dict[str, Spool], letters: LetterSpool) -> Read:
        asked = fetched.asked
        rows = rejected = 0
        seen: set[str] = set()
        for portion in self.decode(asked.file, fetched.path):
            self.check()
            rows += portion.rows.num_rows
            rejected += len(portion.rejected)
            if asked.only_days is None:
                letters.add(portion.rejected)
            for day, of_day in by_day(portion.rows):
                seen.add(day)
                if asked.only_days is None or day in asked.only_days:
                    if day not in days:
                        days[day] = Spool(fetched.path.with_suffix(f".{day}.arrow"))
                    days[day].add(sorted_rows(of_day))
            self.on_rows(portion.rows.num_rows + len(portion.rejected))
        report = FileReport(file=asked.file, rows=rows, rejected=rejected, days=tuple(sorted(seen)))
        return Read(report=report, days=days, letters=letters)

    def _unreadable(self, asked: ToRead, letters: LetterSpool, why: str) -> Read:
        position = asked.file.key
        if asked.only_days is None:
            letters.add(
                [envelope(b"", reason=UNREADABLE, detail=why, stage=STAGE, position=position, seen_at=self.seen_at)]
            )
        report = FileReport(file=asked.file, rows=0, rejected=0, days=(), error=why)
        return Read(report=report, days={}, letters=letters)


def by_day(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Rows of each UTC day of the event time, ascending by day; the order within a day stays."""
    dates = rows.column("event_time").cast(pa.date32())
    found = sorted(pc.unique(dates).to_pylist())
    for day in found:
        yield day.isoformat(), rows if len(found) == 1 else rows.filter(pc.equal(dates, day))
