"""Gold from the days that changed and what was there before: the same tables, to the byte, as from all of silver."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from headrace.errors import StopError, UnavailableError
from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.duck import gold as module
from jobs.medallion.duck.files import Files
from jobs.medallion.duck.gold import make_gold
from jobs.medallion.model import GoldReport, GoldTable, Plan, SilverDay, SilverFile, SilverReport, Source, Tables
from jobs.medallion.ports import CancelledRunError
from jobs.medallion.tables import GOLD
from tests.unit.jobs.medallion.gold_oracle import Row, by_day, events, gold

NAMES = [table.name for table in GOLD]
DAILY = ["hourly_revenue", "category_daily_performance", "daily_user_activity"]


@dataclass(slots=True)
class Lake:
    """A bucket in a folder, and an engine's scratch that forgets between runs."""

    folder: Path
    connection: duckdb.DuckDBPyConnection
    numbers: Iterator[int] = field(default_factory=itertools.count)
    heard: list[int] = field(default_factory=list)
    check: Callable[[], None] = lambda: None

    def silver(self, day: date, rows: Sequence[Row], *, split: int = 1) -> SilverDay:
        """A day's files, in the bucket."""
        parts = [rows[at::split] for at in range(split)] if rows else []
        return SilverDay(day=day.isoformat(), files=tuple(self._file(day, part) for part in parts if part))

    def run(
        self, changed: Sequence[SilverDay], before: Tables, *, full: bool = False, keep_scratch: bool = False
    ) -> tuple[GoldReport, Tables]:
        """What the gold step reports, and what is published after it."""
        run = next(self.numbers)
        plan = Plan(run=run, attempt="a", started=0.0, sources=(Source.RAW,), full=full, read=())
        if not keep_scratch:
            shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        report = make_gold(
            self.connection, plan, SilverReport(days=tuple(changed), files=(), duplicates=0), before,
            Files(fs.SubTreeFileSystem(str(self.folder), fs.LocalFileSystem()), "bucket", self.folder / "scratch"),
            self.check, self.heard.append,
        )  # fmt: skip
        days = ({} if full else {day.day: day for day in before.days}) | {day.day: day for day in changed}
        after = Tables(days=tuple(days[day] for day in sorted(days) if days[day].files), gold=report.tables)
        return report, after

    def path(self, key: str) -> Path:
        return self.folder / "bucket" / key

    def rows(self, table: GoldTable) -> list[dict[str, Any]]:
        return list(pq.read_table(self.path(table.key)).to_pylist())

    def _file(self, day: date, rows: Sequence[Row]) -> SilverFile:
        key = f"silver/events/event_date={day}/{next(self.numbers)}.parquet"
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows), schema=EVENT_SCHEMA), self.path(key), store_schema=False)
        return SilverFile(key=key, size=self.path(key).stat().st_size, rows=len(rows), first=0, last=0)


@contextmanager
def lake_in(connection: duckdb.DuckDBPyConnection) -> Iterator[Lake]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bucket").mkdir()
        yield Lake(Path(folder), connection)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@pytest.fixture
def lake(database: duckdb.DuckDBPyConnection) -> Iterator[Lake]:
    with lake_in(database) as made:
        yield made


RUNS = st.lists(st.tuples(events(), st.booleans(), st.integers(1, 3)), min_size=2, max_size=3)


@settings(max_examples=8, deadline=None)
@given(runs=RUNS, portion=st.sampled_from([1, 10, 1000]), copied=st.sampled_from([0, 5000, 1 << 30]))
def test_whatever_days_change_the_tables_are_those_of_all_rows_made_from_scratch(
    database: duckdb.DuckDBPyConnection, runs: list[tuple[list[Row], bool, int]], portion: int, copied: int
) -> None:
    with lake_in(database) as lake, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_AT_ONCE", portion)
        patch.setattr(module, "COPIED_BYTES", copied)
        held: dict[date, Sequence[Row]] = {}
        after = Tables()
        for rows, replaces, split in runs:
            new = by_day(rows)
            emptied = [day for day in held if replaces and day not in new]
            held |= {day: [*(() if replaces else held.get(day, ())), *more] for day, more in new.items()}
            held |= dict.fromkeys(emptied, ())
            report, after = lake.run([lake.silver(day, held[day], split=split) for day in [*new, *emptied]], after)
        scratch, _ = lake.run([lake.silver(day, rows) for day, rows in held.items()], Tables())
        silver = [row for day in held.values() for row in day]
        for one, other in zip(report.tables, scratch.tables, strict=True):
            assert lake.rows(one) == gold(one.name, silver)
            assert lake.path(one.key).read_bytes() == lake.path(other.key).read_bytes()


def event(day: int, **more: Any) -> Row:
    when = pa.scalar(f"2026-04-{day:02} 12:00:00").cast(pa.timestamp("us")).as_py()
    view = {"event_type": "page_view", "event_time": when, "product_id": "p", "user_id": "u"}
    return {**dict.fromkeys(EVENT_SCHEMA.names), **view, **more}


APRIL = [date(2026, 4, day) for day in range(1, 31)]


def test_each_table_is_one_object_in_the_work_area_with_its_size_and_rows(lake: Lake) -> None:
    report, _ = lake.run([lake.silver(APRIL[0], [event(1), event(1, product_id="q")])], Tables())
    assert [table.name for table in report.tables] == NAMES
    for table in report.tables:
        assert table.key == f"_runs/medallion/0000000001-a/gold/{table.name}.parquet"
        assert table.size == lake.path(table.key).stat().st_size
        assert table.rows == pq.read_metadata(lake.path(table.key)).num_rows
        assert pq.read_metadata(lake.path(table.key)).row_group(0).column(0).compression == "ZSTD"


def test_without_events_each_table_is_an_object_without_rows(lake: Lake) -> None:
    report, _ = lake.run([], Tables())
    assert [table.rows for table in report.tables] == [0] * 5
    for table, definition in zip(report.tables, GOLD, strict=True):
        assert pq.read_schema(lake.path(table.key)) == definition.arrow


def test_where_no_day_changed_the_tables_stay_what_and_where_they_are(lake: Lake) -> None:
    report, after = lake.run([lake.silver(APRIL[0], [event(1)])], Tables())
    again, _ = lake.run([], after)
    assert again.tables == report.tables


def test_tables_by_day_read_the_days_that_changed_and_no_others(lake: Lake) -> None:
    _, before = lake.run([lake.silver(APRIL[0], [event(1)] * 7), lake.silver(APRIL[1], [event(2)] * 5)], Tables())
    gone = before.days[0].files[0].key
    lake.heard.clear()
    _, after = lake.run([lake.silver(APRIL[1], [event(2)] * 6)], before)
    assert sorted(lake.heard) == [6, 6, 6, 13, 13]
    lake.path(gone).unlink()
    with pytest.raises(UnavailableError, match="silver cannot be read for product_funnel"):
        lake.run([lake.silver(APRIL[1], [event(2)])], after)


def test_files_that_are_in_scratch_are_not_asked_of_the_bucket(lake: Lake) -> None:
    _, before = lake.run([lake.silver(APRIL[0], [event(1)] * 7)], Tables())
    lake.path(before.days[0].files[0].key).unlink()
    report, _ = lake.run([lake.silver(APRIL[1], [event(2)])], before, keep_scratch=True)
    assert {table.name: table.rows for table in report.tables}["daily_user_activity"] == 2


def without_rate(table: pa.Table) -> pa.Table:
    return table.drop_columns(["events_per_user"])


def with_other_type(table: pa.Table) -> pa.Table:
    return table.set_column(1, "unique_users", table.column("unique_users").cast(pa.int32()))


@pytest.mark.parametrize("change", [without_rate, with_other_type])
def test_a_table_of_other_columns_than_today_is_made_from_all_days(
    lake: Lake, change: Callable[[pa.Table], pa.Table]
) -> None:
    first, before = lake.run([lake.silver(APRIL[0], [event(1)])], Tables())
    path = lake.path(first.tables[-1].key)
    pq.write_table(change(pq.read_table(path)), path)
    report, _ = lake.run([lake.silver(APRIL[1], [event(2)])], before)
    assert lake.rows(report.tables[-1]) == gold("daily_user_activity", [event(1), event(2)])


@pytest.mark.parametrize("missing", NAMES)
def test_a_table_that_was_not_there_before_is_made_from_all_days(lake: Lake, missing: str) -> None:
    _, before = lake.run([lake.silver(APRIL[0], [event(1)])], Tables())
    known = Tables(days=before.days, gold=tuple(table for table in before.gold if table.name != missing))
    for changed, silver in (([], [event(1)]), ([lake.silver(APRIL[1], [event(2)])], [event(1), event(2)])):
        report, _ = lake.run(changed, known)
        [table] = [table for table in report.tables if table.name == missing]
        assert lake.rows(table) == gold(missing, silver)


def test_of_a_full_run_nothing_from_before_counts(lake: Lake) -> None:
    _, before = lake.run([lake.silver(APRIL[0], [event(1)])], Tables())
    report, _ = lake.run([lake.silver(APRIL[1], [event(2)])], before, full=True)
    for table in report.tables:
        assert lake.rows(table) == gold(table.name, [event(2)])


def test_an_object_that_is_no_parquet_stops_the_step_and_names_the_table(lake: Lake) -> None:
    _, before = lake.run([lake.silver(APRIL[0], [event(1)])], Tables())
    lake.path(before.days[0].files[0].key).write_bytes(b"{}" * 100)
    with pytest.raises(StopError, match="silver cannot be read for product_funnel"):
        lake.run([lake.silver(APRIL[1], [event(2)])], before)


def test_a_run_that_is_asked_to_stop_reads_no_more(lake: Lake) -> None:
    def stop_after_two() -> None:
        if len(lake.heard) == 2:
            raise CancelledRunError("asked to stop")

    lake.check = stop_after_two
    with pytest.raises(CancelledRunError):
        lake.run([lake.silver(APRIL[0], [event(1)])], Tables())
    assert lake.heard == [1, 1]


def test_paths_with_quotes_and_partition_names_in_them_mean_nothing(database: duckdb.DuckDBPyConnection) -> None:
    with tempfile.TemporaryDirectory(prefix="it's category=x ") as folder:
        lake = Lake(Path(folder), database)
        lake.path("").mkdir()
        report, _ = lake.run([lake.silver(APRIL[0], [event(1, category="shoes")])], Tables())
        assert lake.rows(report.tables[0])[0]["category"] == "shoes"
