"""Rows in any order into sorted files."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck.distinct import hashes
from jobs.medallion.duck.merge import merged, small_ones
from jobs.medallion.duck.reading import by_day
from jobs.medallion.duck.writer import SilverWriter, Target, Written, as_events, sorted_rows
from jobs.medallion.model import SilverFile
from tests.unit.jobs.medallion.duck.silver_world import NOON, Row, event, table


class Folder:
    """Files as they are made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = 0
        self.written: list[Written] = []

    def target(self, file_bytes: int = 1 << 20) -> Target:
        return Target(place=self.place, done=self.written.append, file_bytes=file_bytes)

    def place(self, day: str) -> tuple[str, Path]:
        self.made += 1
        return f"{day}-{self.made}", self.path / f"{day}-{self.made}"

    def rows(self, written: Written) -> pa.Table:
        return pq.ParquetFile(self.path / written.file.key).read().cast(EVENT_SCHEMA)

    def parquet(self) -> list[pq.ParquetFile]:
        return [pq.ParquetFile(self.path / written.file.key) for written in self.written]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def seconds(*numbers: int) -> list[Row]:
    return [event(number, NOON + timedelta(seconds=number)) for number in numbers]


def numbers(rows: pa.Table) -> list[int]:
    return [int(one.removeprefix("e-")) for one in rows.column("event_id").to_pylist()]


def test_rows_from_before_what_is_written_get_a_file_of_their_own(
    folder: Folder, connection: duckdb.DuckDBPyConnection
) -> None:
    writer = SilverWriter(connection, folder.target(), chunk_rows=4, late_rows=100)
    writer.add("2026-04-09", table(seconds(5, 7, 6, 8)))
    writer.add("2026-04-09", table(seconds(10, 1, 9, 8_000, 11)))
    writer.add("2026-04-09", table(seconds(2, 8_001)))
    writer.close()
    made = [numbers(folder.rows(written)) for written in folder.written]
    assert made == [[1, 2], [5, 6, 7, 8, 9, 10, 11, 8_000, 8_001]]


def test_a_row_of_the_last_moment_that_is_written_goes_on_there(
    folder: Folder, connection: duckdb.DuckDBPyConnection
) -> None:
    writer = SilverWriter(connection, folder.target(), chunk_rows=2)
    writer.add("2026-04-09", table([event(1), event(9)]))
    writer.add("2026-04-09", table([event(2), event(3)]))
    writer.close()
    assert [numbers(folder.rows(written)) for written in folder.written] == [[1, 9, 2, 3]]


def test_each_file_comes_with_the_hashes_of_its_rows_in_their_order(
    folder: Folder, connection: duckdb.DuckDBPyConnection
) -> None:
    draw = random.Random(3)
    writer = SilverWriter(connection, folder.target(8_000), chunk_rows=50, late_rows=30)
    for _ in range(20):
        writer.add("2026-04-09", table(seconds(*(draw.randrange(40_000) for _ in range(20)))))
    writer.close()
    assert len(folder.written) > 3
    for written in folder.written:
        known = [value for column in written.hashes for value in column.to_pylist()]
        assert known == hashes(connection, folder.rows(written).select(["event_id"])).to_pylist()


def test_more_days_than_files_may_be_open_lose_nothing(
    folder: Folder, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.medallion.duck.writer.OPEN_FILES", 2)
    writer = SilverWriter(connection, folder.target(), chunk_rows=1)
    for turn in range(2):
        for day in range(3):
            writer.add(f"day-{day}", table(seconds(2 * day + turn)))
    writer.close()
    assert len(folder.written) == 6
    assert sorted(number for one in folder.written for number in numbers(folder.rows(one))) == list(range(6))


def test_days_are_those_of_utc_and_midnight_belongs_to_the_new_one() -> None:
    midnight = NOON + timedelta(hours=12)
    rows = table([event(1, midnight), event(2, midnight - timedelta(microseconds=1)), event(3, midnight)])
    assert [(day, numbers(of_day)) for day, of_day in by_day(rows)] == [("2026-04-09", [2]), ("2026-04-10", [1, 3])]


def test_sorting_leaves_rows_of_one_moment_as_they_came() -> None:
    rows = table([event(3), event(1), *seconds(-1), event(2)])
    assert numbers(sorted_rows(rows)) == [-1, 3, 1, 2]


def test_a_column_that_an_older_file_does_not_have_is_null() -> None:
    rows = table([event(1, category="x")]).drop_columns(["category"])
    assert as_events(rows).to_pylist() == [event(1)]


@pytest.mark.parametrize("at_once", [1, 7_000])
@pytest.mark.parametrize("moments", [1, 3, 5_000])
def test_merging_files_gives_all_rows_in_order(
    at_once: int, moments: int, folder: Folder, connection: duckdb.DuckDBPyConnection
) -> None:
    draw = random.Random(moments)
    for start in range(0, 7_000, 1_400):
        writer = SilverWriter(connection, folder.target(1 << 30))
        at = [NOON + timedelta(seconds=draw.randrange(moments)) for _ in range(1_400)]
        writer.add("2026-04-09", table([event(start + number, moment) for number, moment in enumerate(at)]))
        writer.close()
    times: list[int] = []
    ids: list[int] = []
    for rows in merged(folder.parquet(), at_once):
        times.extend(rows.column("event_time").cast(pa.int64()).to_pylist())
        ids.extend(numbers(rows))
    assert times == sorted(times)
    assert sorted(ids) == list(range(7_000))


def test_few_small_files_stay_and_large_ones_always_do() -> None:
    def file(number: int, size: int) -> SilverFile:
        return SilverFile(key=str(number), size=size, rows=1, first=0, last=0)

    large = [file(number, 500) for number in range(20)]
    small = [file(100 + number, 499) for number in range(13)]
    assert small_ones([*large, *small[:12]], 1_000) == []
    assert small_ones([*large, *small], 1_000) == small
