"""The manifest: all that a decided run publishes, for whoever has to finish it. Its number exists once.

It is complete: a process that never saw the sources, the plan or the reports can apply it. Fields that are not known
are passed over, so new ones may be added; `version` grows when an older Headrace must not touch a run.
"""

import gzip
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from headrace.clock import HOUR_SECONDS, hour_of
from headrace.errors import HaltedError
from headrace.lake.layout import Quarantine, quarantine_object
from jobs.medallion import places
from jobs.medallion.model import GoldReport, GoldTable, Plan, SilverReport, Source, Tables

VERSION = 1

GZIP_FROM = 64 << 10
"""Bytes of JSON. Below, a manifest stays readable as it is."""
FRESH_SECONDS = HOUR_SECONDS
"""Streamed events of the last hour may still be on their way: the view takes them from `events`."""
_GZIP = b"\x1f\x8b"


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """An object on its way to where the tables name it."""

    source: str
    """Key in a work area, or where a run before has published it."""
    target: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers."""

    files: int
    """Of the sources, read."""
    errored: int
    """Of those, the ones that could not be read."""
    rows: int
    rejected: int
    duplicates: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    version: int = VERSION
    run: int
    attempt: str
    """Of the plan: tells whether a manifest that is there already is ours."""
    engine: str
    full: bool
    sources: tuple[Source, ...]
    """All that were ever loaded, in order of name."""
    started: float
    decided_at: float
    """Both in seconds since 1970 UTC."""
    mark: float | None
    """The view `all_events` takes what is older from silver only; seconds since 1970 UTC."""
    tables: Tables
    """After the run; all keys are where they are published."""
    copies: tuple[Copy, ...]
    superseded: tuple[str, ...]
    """Folders that the run before named and this one does not."""
    raw: tuple[str, ...]
    """Keys of bronze, one in each folder that the run read from: these folders are partitions."""
    bookmarks: dict[str, dict[str, Any]]
    """Documents of the state table that change."""
    totals: Totals


def manifest_of(
    plan: Plan,
    silver: SilverReport,
    gold: GoldReport,
    before: Manifest | None,
    *,
    bookmarks: dict[str, dict[str, Any]],
    engine: str,
    decided_at: float,
) -> Manifest:
    """What the steps of a run come to. `before` is the run that it builds on. Pure."""
    tables, copies = _published(plan, silver, gold, before.tables if before else Tables())
    return Manifest(
        run=plan.run,
        attempt=plan.attempt,
        engine=engine,
        full=plan.full,
        sources=tuple(sorted({*plan.sources, *(before.sources if before else ())})),
        started=plan.started,
        decided_at=decided_at,
        mark=_mark(plan, before),
        tables=tables,
        copies=(*copies, *_dead_letters(plan, silver)),
        superseded=tuple(sorted(folders(before.tables) - folders(tables))) if before else (),
        raw=_raw_folders(plan),
        bookmarks=bookmarks,
        totals=_totals(silver),
    )


def with_table(manifest: Manifest, table: GoldTable, before: Manifest | None) -> Manifest:
    """A manifest that publishes one more table of gold, which was made from what it says."""
    key = places.gold_file(table.name, manifest.run)
    tables = manifest.tables
    after = replace(
        tables, gold=(*tables.gold, replace(table, key=key)), runs={**tables.runs, table.name: manifest.run}
    )
    return replace(
        manifest,
        tables=after,
        copies=(*manifest.copies, Copy(source=table.key, target=key)),
        superseded=tuple(sorted(folders(before.tables) - folders(after))) if before else (),
    )


def folders(tables: Tables) -> set[str]:
    """The folders that tables name."""
    days = {places.silver_folder(each.day, tables.runs[each.day]) for each in tables.days}
    return days | {places.gold_folder(each.name, tables.runs[each.name]) for each in tables.gold}


def _published(plan: Plan, silver: SilverReport, gold: GoldReport, before: Tables) -> tuple[Tables, tuple[Copy, ...]]:
    """The tables after a run, and which objects have to be copied for that.

    A day that changed moves into a folder of this run as a whole, files that stay included: a partition is one folder.
    """
    copies: list[Copy] = []

    def moved(key: str, target: str) -> str:
        copies.append(Copy(source=key, target=target))
        return target

    days = {} if plan.full else {each.day: each for each in before.days}
    runs = {day: before.runs[day] for day in days}
    for changed in silver.days:
        files = tuple(
            replace(file, key=moved(file.key, places.silver_file(changed.day, plan.run, n)))
            for n, file in enumerate(changed.files)
        )
        days[changed.day] = replace(changed, files=files)
        runs[changed.day] = plan.run
    for day in [day for day, whole in days.items() if not whole.files]:
        del days[day], runs[day]
    tables: list[GoldTable] = []
    stays = {each.name: each.key for each in before.gold}
    for table in gold.tables:
        stay = stays.get(table.name) == table.key
        runs[table.name] = before.runs[table.name] if stay else plan.run
        key = table.key if stay else moved(table.key, places.gold_file(table.name, plan.run))
        tables.append(replace(table, key=key))
    after = Tables(days=tuple(days[day] for day in sorted(days)), gold=tuple(tables), runs=runs)
    return after, tuple(copies)


def _dead_letters(plan: Plan, silver: SilverReport) -> Iterator[Copy]:
    """They go among those of the transformer, by the day of the run."""
    for n, key in enumerate(silver.dead_letters):
        name = f"medallion-{plan.run:010}-{n:05}"
        yield Copy(source=key, target=quarantine_object(Quarantine.FAILED_TRANSFORMATION, plan.started, name))


def _mark(plan: Plan, before: Manifest | None) -> float | None:
    """It only moves with all that streamed events have brought by then, and never back."""
    earlier = before.mark if before else None
    if plan.partial or Source.EVENTS not in plan.sources:
        return earlier
    return max(earlier or 0.0, float(hour_of(plan.started - FRESH_SECONDS) * HOUR_SECONDS))


def _totals(silver: SilverReport) -> Totals:
    return Totals(
        files=len(silver.files),
        errored=sum(each.error is not None for each in silver.files),
        rows=sum(each.rows for each in silver.files),
        rejected=sum(each.rejected for each in silver.files),
        duplicates=silver.duplicates,
    )


def _raw_folders(plan: Plan) -> tuple[str, ...]:
    """A key of each folder of raw files that a plan reads."""
    keys = {each.file.key.rpartition("/")[0]: each.file.key for each in plan.read if each.file.source is Source.RAW}
    return tuple(keys[folder] for folder in sorted(keys))


_decoder = msgspec.json.Decoder(Manifest)


class _Version(msgspec.Struct, frozen=True):
    version: int


def encode(manifest: Manifest) -> bytes:
    """A manifest → JSON, gzipped when it is large. Equal manifests make equal bytes."""
    body = msgspec.json.encode(manifest)
    return body if len(body) < GZIP_FROM else gzip.compress(body, mtime=0)


def decode(key: str, body: bytes) -> Manifest:
    """The reverse of `encode`. Raises `HaltedError` when it is none, or one that only a newer version may touch."""
    try:
        text = gzip.decompress(body) if body.startswith(_GZIP) else body
        version = msgspec.json.decode(text, type=_Version).version
        if version > VERSION:
            raise HaltedError(f"{key} has format {version}; this version of Headrace knows {VERSION}: update it")
        return _decoder.decode(text)
    except (msgspec.DecodeError, EOFError, OSError) as error:
        raise HaltedError(f"{key} is no manifest: {error}") from error
