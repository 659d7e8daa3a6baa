"""Manifests: what the reports of the steps come to, and their bytes."""

import pytest
from msgspec.structs import replace

from headrace.errors import HaltedError
from jobs.medallion import places
from jobs.medallion.manifest import GZIP_FROM, Manifest, decode, encode, manifest_of
from jobs.medallion.model import (
    FileReport,
    GoldReport,
    GoldTable,
    Plan,
    SilverDay,
    SilverFile,
    SilverReport,
    Source,
    SourceFile,
    ToRead,
)

HOUR = 3600.0
STARTED = 1_775_721_600.0 + 1800


def plan(run: int, source: Source = Source.RAW, *, full: bool = False, partial: bool = False) -> Plan:
    read = tuple(
        ToRead(file=SourceFile(source=source, key=key, etag="e", size=1))
        for key in ("raw/events/year=2026/a/1.gz", "raw/events/year=2026/a/2.gz", "raw/events/b/3.gz")
    )
    return Plan(run=run, attempt="x", started=STARTED, sources=(source,), full=full, read=read, partial=partial)


def day(name: str, *keys: str) -> SilverDay:
    files = tuple(SilverFile(key=key, size=2, rows=1, first=0, last=0) for key in keys)
    return SilverDay(day=name, files=files)


def silver(*days: SilverDay) -> SilverReport:
    return SilverReport(days=days, files=(), duplicates=0)


def gold(**keys: str) -> GoldReport:
    return GoldReport(tables=tuple(GoldTable(name=name, key=key, size=1, rows=1) for name, key in keys.items()))


def made(plan: Plan, silver: SilverReport, gold: GoldReport, before: Manifest | None = None) -> Manifest:
    return manifest_of(plan, silver, gold, before, bookmarks={}, engine="none", decided_at=STARTED + 60)


FIRST = made(plan(1), silver(day("2026-04-08", "w/8"), day("2026-04-09", "w/9")), gold(a="w/a", b="w/b"))


def test_a_day_and_a_table_that_changed_move_into_folders_of_the_run_and_the_others_stay() -> None:
    there = FIRST.tables.days[1].files[0].key
    second = made(plan(2), silver(day("2026-04-09", there, "w2/9")), gold(a=FIRST.tables.gold[0].key, b="w2/b"), FIRST)
    assert [file.key for each in second.tables.days for file in each.files] == [
        "silver/events/event_date=2026-04-08/run=0000000001/00000.parquet",
        "silver/events/event_date=2026-04-09/run=0000000002/00000.parquet",
        "silver/events/event_date=2026-04-09/run=0000000002/00001.parquet",
    ]
    assert second.tables.runs == {"2026-04-08": 1, "2026-04-09": 2, "a": 1, "b": 2}
    assert [(copy.source, copy.target) for copy in second.copies] == [
        (there, places.silver_file("2026-04-09", 2, 0)),
        ("w2/9", places.silver_file("2026-04-09", 2, 1)),
        ("w2/b", places.gold_file("b", 2)),
    ]
    assert second.superseded == ("gold/b/run=0000000001/", "silver/events/event_date=2026-04-09/run=0000000001/")


def test_a_day_without_files_is_gone() -> None:
    second = made(plan(2), silver(day("2026-04-09")), gold(a="w2/a", b="w2/b"), FIRST)
    assert [each.day for each in second.tables.days] == ["2026-04-08"]
    assert "2026-04-09" not in second.tables.runs
    assert places.silver_folder("2026-04-09", 1) in second.superseded


def test_of_a_full_run_nothing_is_left_that_it_did_not_make() -> None:
    second = made(plan(2, full=True), silver(day("2026-04-09", "w2/9")), gold(a="w2/a"), FIRST)
    assert [each.day for each in second.tables.days] == ["2026-04-09"]
    assert set(second.superseded) == {
        "silver/events/event_date=2026-04-08/run=0000000001/",
        "silver/events/event_date=2026-04-09/run=0000000001/",
        "gold/a/run=0000000001/",
        "gold/b/run=0000000001/",
    }


def test_the_mark_moves_to_the_hour_before_the_last_one_with_streamed_events_only() -> None:
    assert FIRST.mark is None
    streamed = made(plan(2, Source.EVENTS), silver(), gold(), FIRST)
    assert streamed.mark == 1_775_721_600.0 - HOUR
    assert streamed.sources == (Source.EVENTS, Source.RAW)
    later = replace(plan(3), started=STARTED + 10 * HOUR)
    assert made(later, silver(), gold(), streamed).mark == streamed.mark
    assert made(replace(later, sources=(Source.EVENTS,)), silver(), gold(), streamed).mark == streamed.mark + 10 * HOUR
    some_days = replace(later, sources=(Source.EVENTS,), partial=True)
    assert made(some_days, silver(), gold(), streamed).mark == streamed.mark
    clock_went_back = replace(later, sources=(Source.EVENTS,), started=STARTED - 10 * HOUR)
    assert made(clock_went_back, silver(), gold(), streamed).mark == streamed.mark


def test_dead_letters_go_among_the_transformers_under_a_name_that_tells_the_run() -> None:
    report = SilverReport(days=(), files=(), duplicates=0, dead_letters=("w/dead",))
    [copy] = made(plan(7), report, gold()).copies
    assert copy.source == "w/dead"
    assert copy.target == (
        "failed_transformation_records/year=2026/month=04/day=09/medallion-0000000007-00000.jsonl.gz"
    )


def test_it_names_a_file_in_each_folder_of_bronze() -> None:
    assert FIRST.raw == ("raw/events/b/3.gz", "raw/events/year=2026/a/2.gz")
    assert made(plan(1, Source.EVENTS), silver(), gold()).raw == ()


def test_it_tells_the_run_in_numbers() -> None:
    files = [
        FileReport(file=each.file, rows=rows, rejected=rejected, days=(), error=error)
        for each, rows, rejected, error in zip(plan(1).read, (5, 7, 0), (1, 0, 0), (None, None, "cut"), strict=True)
    ]
    totals = made(plan(1), SilverReport(days=(), files=tuple(files), duplicates=3), gold()).totals
    assert (totals.files, totals.errored, totals.rows, totals.rejected, totals.duplicates) == (3, 1, 12, 1, 3)


def test_small_or_large_it_is_read_as_it_was_written() -> None:
    large = replace(FIRST, bookmarks={f"key-{n}": {"run": 1, "of": "x" * 50} for n in range(2000)})
    assert encode(FIRST).startswith(b"{")
    assert len(encode(large)) < GZIP_FROM
    assert decode("k", encode(FIRST)) == FIRST
    assert decode("k", encode(large)) == large
    assert encode(large) == encode(large)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"no", b"\x1f\x8b", b"\x1f\x8bgarbage of some length", encode(FIRST)[:-5], b'{"version":1}']
)
def test_what_is_no_manifest_halts_the_job(body: bytes) -> None:
    with pytest.raises(HaltedError, match="some/key is no manifest"):
        decode("some/key", body)


def test_a_manifest_of_a_newer_version_is_left_alone() -> None:
    with pytest.raises(HaltedError, match="has format 2; this version of Headrace knows 1"):
        decode("k", encode(replace(FIRST, version=2)))
