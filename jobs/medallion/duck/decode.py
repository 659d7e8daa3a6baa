"""Files of bronze → rows and dead letters: by column for what SQL vouches for, line by line for the rest."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from headrace.events.enrich import Enricher
from headrace.events.ingest import id_prefix
from headrace.settings import Settings
from jobs.medallion.duck.complete import Completed, Completer
from jobs.medallion.duck.doubtful import FileOrigin, LineDecoder
from jobs.medallion.duck.inflate import Slots
from jobs.medallion.duck.landed import landed_portions
from jobs.medallion.duck.lines import Line, LinesInStep, OutOfStepError, read_lines
from jobs.medallion.duck.portion import Portion
from jobs.medallion.duck.raw import COUNT_QUERY, raw_query
from jobs.medallion.duck.suspicious import numbered
from jobs.medallion.model import Source, SourceFile

ROWS = 100_000
"""Of a portion, at most: some 60 MB."""
LINES_UP_TO = 48 << 10
"""Bytes of a raw file, gzipped, that are read line by line: some 700 events. DuckDB would plan its query for longer."""
SAMPLE = 20
"""Lines of a file that are looked at before the reading begins."""

_MINUTE = re.compile(
    r"(?:.*/)?year=(\d{4})/month=(\d\d)/day=(\d\d)/hour=(\d\d)/minute=(\d\d)/[^/]+", re.ASCII | re.DOTALL
)


class Decoder:
    """Decodes the files of a run. Safe for several threads: each call has a cursor of its own."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, settings: Settings, *, seen_at: float,
        lines_up_to: int = LINES_UP_TO,
    ) -> None:  # fmt: skip
        """`connection` has one thread: with more the lines of a file may come in any order.

        `seen_at`, in seconds since 1970 UTC, is when dead letters say that they were found. Raises `ConfigError` when a
        GeoIP database is set that cannot be read.
        """
        self._lines_up_to = lines_up_to
        self._slots = Slots()
        enricher = Enricher(settings.geoip_db)
        self._connection = connection
        self._query = lru_cache(partial(raw_query, settings))
        self._complete = Completer(enricher, anonymous_key=settings.anonymous_key.get_secret_value().encode())
        self._decode_lines = LineDecoder(settings, enricher, seen_at=seen_at)

    def __call__(self, file: SourceFile, path: Path) -> Iterator[Portion]:
        """The file, which has been copied to `path`: a name without `*`, `?` and `[`.

        Raises `UnreadableFileError`, at the first portion or later: then none of them count.
        """
        if file.source is Source.EVENTS:
            return landed_portions(path, ROWS)
        origin = FileOrigin(key=file.key, prefix=id_prefix(file.source, file.key), arrived=arrival_of(file.key))
        if path.stat().st_size <= self._lines_up_to:
            return self._line_by_line(read_lines(path), origin, 0)
        return self._raw(path, origin)

    def _raw(self, path: Path, origin: FileOrigin) -> Iterator[Portion]:
        with self._slots.inflated(path) as plain:
            if plain is None:
                yield from self._line_by_line(read_lines(path), origin, 0)
            else:
                yield from self._plain(plain, origin)

    def _plain(self, path: Path, origin: FileOrigin) -> Iterator[Portion]:
        done = 0
        lines: LinesInStep | None = None
        quoted = numbered(islice(read_lines(path, plain=True), SAMPLE))
        try:
            with closing(self._connection.cursor()) as cursor:
                for batch, is_last in self._batches(cursor, self._query(quoted), path, origin):
                    completed = self._complete(batch, done, origin.prefix, quoted=quoted)
                    stop = done + len(batch)
                    if not len(completed.doubtful):
                        portion = Portion(rows=completed.rows, rejected=())
                    else:
                        lines = lines or self._in_step(path, is_only=is_last and not done)
                        taken = lines.take(done, stop, completed.doubtful, is_last=is_last)
                        portion = self._mended(completed, taken, origin)
                    yield portion
                    done = stop
        except (duckdb.IOException, duckdb.InvalidInputException, OutOfStepError):
            yield from self._line_by_line(read_lines(path, plain=True), origin, done)

    def _batches(
        self, cursor: duckdb.DuckDBPyConnection, query: str, path: Path, origin: FileOrigin
    ) -> Iterator[tuple[pa.RecordBatch, bool]]:
        """What SQL makes of the file, and whether it is the last of it."""
        arrived = None if origin.arrived is None else int(origin.arrived * 1e6)
        reader = cursor.sql(query, params={"path": str(path), "arrived": arrived}).to_arrow_reader(ROWS)
        batch = next(reader, None)
        while batch is not None:
            following = next(reader, None)
            yield batch, following is None
            batch = following

    def _in_step(self, path: Path, *, is_only: bool) -> LinesInStep:
        """The lines of a file. Raises `OutOfStepError` when DuckDB has another number of rows for them."""
        if not is_only:  # of an only portion this shows for itself
            with closing(self._connection.cursor()) as cursor:
                rows: list[tuple[int]] = cursor.execute(COUNT_QUERY, {"path": str(path)}).fetchall()
            if rows[0][0] != sum(1 for _ in read_lines(path, plain=True)):
                raise OutOfStepError
        return LinesInStep(path)

    def _mended(self, completed: Completed, lines: Sequence[Line], origin: FileOrigin) -> Portion:
        """Rows of the lines that SQL had doubts about, at their places between the others."""
        decoded = self._decode_lines(lines, origin)
        at = pa.concat_arrays([completed.good, completed.doubtful.take(pa.array(decoded.good, pa.int64()))])
        rows = pa.concat_tables([completed.rows, decoded.rows]).take(pc.sort_indices(at))
        return Portion(rows=rows.combine_chunks(), rejected=decoded.rejected)

    def _line_by_line(self, lines: Iterator[Line], origin: FileOrigin, done: int) -> Iterator[Portion]:
        """Lines from the `done`-th on that is not blank, without DuckDB."""
        lines = (line for line in lines if line.row >= done)
        while some := list(islice(lines, ROWS)):
            decoded = self._decode_lines(some, origin)
            yield Portion(rows=decoded.rows, rejected=decoded.rejected)


def arrival_of(key: str) -> float | None:
    """The beginning of the minute in a key's path, in seconds since 1970 UTC; None when there is no such path."""
    match = _MINUTE.fullmatch(key)
    if match is None:
        return None
    year, month, day, hour, minute = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
    except ValueError:
        return None
