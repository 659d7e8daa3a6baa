"""The silver step: files of bronze → sorted days without copies."""

import contextlib
from collections import defaultdict
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from headrace.clock import Clock
from jobs.medallion import places
from jobs.medallion.duck.decode import LINES_UP_TO
from jobs.medallion.duck.files import DOWNLOADS, Files, Uploads, in_order
from jobs.medallion.duck.letters import Letters
from jobs.medallion.duck.reading import Read, Reader
from jobs.medallion.duck.settle import Settler
from jobs.medallion.duck.writer import CHUNK_ROWS, FILE_BYTES, LATE_ROWS, SilverWriter, Target, Written
from jobs.medallion.model import FileReport, Plan, SilverDay, SilverFile, SilverReport, Tables

AHEAD = 8
"""Source files in scratch that wait for a decoder, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much at a time. Tests make them small."""

    file_bytes: int = FILE_BYTES
    chunk_rows: int = CHUNK_ROWS
    late_rows: int = LATE_ROWS
    lines_up_to: int = LINES_UP_TO


class SilverStep:
    """One run of the step: made for one call of `run`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, plan: Plan, before: Tables, files: Files, reader: Reader,
        *, clock: Clock, threads: int, sizes: Sizes,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._plan = plan
        self._files = files
        self._reader = reader
        self._clock = clock
        self._threads = threads
        self._before = {day.day: day.files for day in before.days}
        self._new: dict[str, dict[str, Written]] = defaultdict(dict)
        self._made: dict[str, int] = defaultdict(int)
        self._target = Target(place=self._place, done=self._done, file_bytes=sizes.file_bytes)
        self._writer = SilverWriter(connection, self._target, chunk_rows=sizes.chunk_rows, late_rows=sizes.late_rows)
        self._settler = Settler(connection=connection, files=files, target=self._target)
        self._uploads = Uploads(files)
        self._letters = Letters(files, lambda number: places.work_dead_letters(plan.run, plan.attempt, number))

    def run(self) -> SilverReport:
        """Read, write, settle each day, and wait until all is in the bucket."""
        started = self._clock.monotonic()
        reports: list[FileReport] = []
        with contextlib.closing(self._uploads):
            with contextlib.closing(self._read()) as files:
                for read in files:
                    reports.append(read.report)
                    self._letters.add(read.letters.drain())
                    for day, spool in read.days.items():
                        for rows in spool.drain():
                            self._writer.add(day, rows)
            self._writer.close()
            self._letters.write()
            self._connection.execute(f"SET threads = {self._threads}")  # nobody decodes any more
            days, dropped = self._settle()
            self._uploads.wait()
        return SilverReport(
            days=days,
            files=tuple(reports),
            duplicates=self._writer.duplicates + dropped,
            dead_letters=tuple(self._letters.keys),
            seconds=self._clock.monotonic() - started,
        )

    def _read(self) -> Generator[Read]:
        """The files in the order of the plan. While one is written others are decoded, and more are fetched."""
        with contextlib.ExitStack() as stack:
            getting = stack.enter_context(ThreadPoolExecutor(DOWNLOADS))
            decoding = stack.enter_context(ThreadPoolExecutor(self._threads))
            fetched = in_order(getting, self._reader.fetch, enumerate(self._plan.read), AHEAD)
            stack.enter_context(contextlib.closing(fetched))
            read = in_order(decoding, self._reader.read, fetched, self._threads + 1)
            stack.enter_context(contextlib.closing(read))
            yield from read

    def _settle(self) -> tuple[tuple[SilverDay, ...], int]:
        """The days that changed, and how many rows were dropped as copies."""
        gone = set(self._before) if self._plan.full else set(self._plan.rebuild)
        changed = []
        dropped = 0
        for day in sorted(gone | set(self._new)):
            self._reader.check()
            kept = {} if day in gone else {file.key: file for file in self._before.get(day, ())}
            dropped += self._drop_copies(day, kept)
            self._merge_small(day, kept)
            files = [*kept.values(), *(written.file for written in self._new[day].values())]
            if self._plan.full or set(kept) != {file.key for file in self._before.get(day, ())} or self._new[day]:
                changed.append(SilverDay(day=day, files=tuple(sorted(files, key=_by_time))))
        return tuple(changed), dropped

    def _drop_copies(self, day: str, kept: dict[str, SilverFile]) -> int:
        new = list(self._new[day].values())
        changed, dropped = self._settler.drop_copies(day, list(kept.values()), new)
        self._forget(day, kept, changed)
        return dropped

    def _merge_small(self, day: str, kept: dict[str, SilverFile]) -> None:
        files = [*kept.values(), *(written.file for written in self._new[day].values())]
        self._forget(day, kept, self._settler.merge_small(day, files))

    def _forget(self, day: str, kept: dict[str, SilverFile], keys: Sequence[str]) -> None:
        for key in keys:
            if kept.pop(key, None) is None:
                del self._new[day][key]
                self._uploads.drop(key)

    def _place(self, day: str) -> tuple[str, Path]:
        key = places.work_silver(self._plan.run, self._plan.attempt, day, self._made[day])
        self._made[day] += 1
        return key, self._files.place(key)

    def _done(self, written: Written) -> None:
        self._new[written.day][written.file.key] = written
        self._uploads.start(written.file.key)


def _by_time(file: SilverFile) -> tuple[int, str]:
    return file.first, file.key
