"""What the steps of a run hand to each other, as values that are JSON in the bucket."""

from enum import StrEnum

import msgspec


class Source(StrEnum):
    """Where bronze comes from."""

    RAW = "raw"
    """Gzipped JSON lines below `raw/events/`."""
    EVENTS = "events"
    """What the transformer landed below `events/`."""


class SourceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a file of bronze."""

    source: Source
    key: str
    etag: str
    size: int
    """Bytes."""


class ToRead(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run reads."""

    file: SourceFile
    only_days: tuple[str, ...] | None = None
    """Of a file that was read before: just the rows of these days count, the others are in silver. None: all rows."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do. Days are `2026-04-09`, UTC, by event time."""

    run: int
    """Number of the run: that of the run before plus one."""
    attempt: str
    """Tells tries of one number apart: their work areas never meet."""
    started: float
    """Seconds since 1970 UTC: when the sources were listed."""
    sources: tuple[Source, ...]
    full: bool
    """Whether all is made anew: no row of the tables so far counts."""
    read: tuple[ToRead, ...]
    rebuild: tuple[str, ...] = ()
    """Days of which no row so far counts: a file that they were made from was replaced, and `read` names all others."""
    ignored: tuple[tuple[str, str], ...] = ()
    """Keys among the sources that are no files of theirs, and why."""
    partial: bool = False
    """Whether only some days of the sources were looked at: then the rest of them may be new, too."""
    forgotten: int = 0
    """With `full`: files that were read before and are gone, whose rows are given up."""


class SilverFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a day of silver."""

    key: str
    """Where its bytes are: in a work area, or where a run before has published them."""
    size: int
    """Bytes."""
    rows: int
    first: int
    """Least event time, µs since 1970 UTC."""
    last: int
    """Greatest event time, µs since 1970 UTC."""


class SilverDay(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one day: the whole of its partition, none to be added."""

    day: str
    files: tuple[SilverFile, ...]


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: rows + rejected = its lines; empty lines do not count."""

    file: SourceFile
    rows: int
    rejected: int
    days: tuple[str, ...]
    """Days of its rows, ascending."""
    error: str | None = None
    """Why the file could not be read at all; then no row of it counts, and a dead letter tells of it."""


class SilverReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the silver step made."""

    days: tuple[SilverDay, ...]
    """The days that changed, ascending; one without files is gone."""
    files: tuple[FileReport, ...]
    duplicates: int
    """Rows that repeat an event id of their day."""
    dead_letters: tuple[str, ...] = ()
    """Keys in the work area of objects with envelopes."""
    seconds: float = 0.0


class GoldTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table of gold, whole."""

    name: str
    key: str
    """Of its one Parquet object, in the work area or where a run before has published it."""
    size: int
    rows: int


class GoldReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the gold step made: every table, whether it changed or not."""

    tables: tuple[GoldTable, ...]
    seconds: float = 0.0


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """What is published: all days of silver and all tables of gold, and the run that published each."""

    days: tuple[SilverDay, ...] = ()
    """Ascending."""
    gold: tuple[GoldTable, ...] = ()
    runs: dict[str, int] = {}
    """By day and by name of a gold table: the number of the run in whose folder it is."""
