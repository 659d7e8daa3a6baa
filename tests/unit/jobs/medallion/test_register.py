"""What a registration makes of the catalogue, in memory; tests/integration asks the local Athena about the same."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.catalog.memory_tables import MemoryTables
from headrace.catalog.tables import Format, Table, Values
from headrace.errors import ConfigError, ConflictError
from jobs.medallion.model import GoldTable, SilverDay, SilverFile, Tables
from jobs.medallion.register import ATTEMPTS, Lakehouse, Registered, raw_partitions, register
from jobs.medallion.tables import GOLD, GOLD_RUNS

HOUSE = Lakehouse(bucket="lake", database="shop", events="events")
MARK = 1775728800.0  # 2026-04-09T10:00:00Z
NAMES = tuple(sorted(table.name for table in (*GOLD, GOLD_RUNS)))


class Recorder(MemoryTables):
    """Remembers what was changed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def put_table(self, table: Table, found: Any) -> None:
        self.calls.append(table.name)
        await super().put_table(table, found)

    async def add_partitions(self, table: Table, locations: Any) -> None:
        self.calls += [f"add {'/'.join(values)}" for values in locations]
        await super().add_partitions(table, locations)

    async def move_partitions(self, table: Table, locations: Any) -> None:
        self.calls += [f"move {'/'.join(values)}" for values in locations]
        await super().move_partitions(table, locations)

    async def drop_partitions(self, table: str, values: Any) -> None:
        self.calls += [f"drop {'/'.join(one)}" for one in values]
        await super().drop_partitions(table, values)

    async def put_view(self, name: str, query: str) -> None:
        self.calls.append("view")
        await super().put_view(name, query)


def published(days: dict[str, int], gold: int) -> Tables:
    """Days and the run of each, and the run of all tables of gold."""
    file = SilverFile(key="k", size=1, rows=1, first=0, last=0)
    return Tables(
        days=tuple(SilverDay(day=day, files=(file,)) for day in days),
        gold=tuple(GoldTable(name=name, key="k", size=1, rows=1) for name in NAMES),
        runs={**days, **dict.fromkeys(NAMES, gold)},
    )


def silver(day: str, run: int) -> tuple[Values, str]:
    return (day,), f"s3://lake/silver/events/event_date={day}/run={run:010}/"


async def test_the_first_registration_makes_every_table_and_then_the_view() -> None:
    catalog = Recorder()
    done = await register(catalog, HOUSE, published({"2026-04-09": 1}, 1), mark=MARK)
    assert done == Registered(tables=("raw_events", "events", "silver_events", *NAMES), added=1)
    assert catalog.calls[:3] == ["raw_events", "silver_events", "add 2026-04-09"]
    assert catalog.calls[-2:] == ["events", "view"]
    assert await catalog.partitions("silver_events") == dict([silver("2026-04-09", 1)])
    assert catalog.tables["product_funnel"].location == "s3://lake/gold/product_funnel/run=0000000001/"
    assert catalog.tables["gold_runs"].location == "s3://lake/gold/gold_runs/run=0000000001/"
    assert catalog.tables["raw_events"].format is Format.JSON
    assert [key.name for key in catalog.tables["raw_events"].keys] == ["year", "month", "day", "hour", "minute"]
    assert catalog.tables["silver_events"].location == "s3://lake/silver/events/"


async def test_a_second_registration_of_the_same_changes_nothing() -> None:
    catalog = Recorder()
    tables = published({"2026-04-09": 1, "2026-04-10": 1}, 1)
    await register(catalog, HOUSE, tables, mark=None)
    catalog.calls.clear()
    assert await register(catalog, HOUSE, tables, mark=None) == Registered()
    assert catalog.calls == ["view"]


async def test_days_roll_before_gold_and_gold_before_the_mark() -> None:
    catalog = Recorder()
    await register(catalog, HOUSE, published({"2026-04-08": 1, "2026-04-09": 1, "2026-04-10": 1}, 1), mark=MARK)
    catalog.calls.clear()
    after = published({"2026-04-09": 1, "2026-04-10": 2, "2026-04-11": 2}, 2)
    done = await register(catalog, HOUSE, after, mark=MARK + 3600)
    assert done == Registered(tables=NAMES, added=1, moved=1, dropped=1)
    assert catalog.calls[:3] == ["add 2026-04-11", "move 2026-04-10", "drop 2026-04-08"]
    assert sorted(catalog.calls[3:-1]) == list(NAMES)
    assert catalog.calls[-1] == "view"
    assert await catalog.partitions("silver_events") == dict(
        [silver("2026-04-09", 1), silver("2026-04-10", 2), silver("2026-04-11", 2)]
    )


async def test_days_get_the_columns_that_an_older_version_did_not_have() -> None:
    catalog = Recorder()
    tables = published({"2026-04-09": 1}, 1)
    await register(catalog, HOUSE, tables, mark=None)
    older = catalog.tables["silver_events"]
    catalog.tables["silver_events"] = replace(older, columns=older.columns[:-1])
    assert await register(catalog, HOUSE, tables, mark=None) == Registered(tables=("silver_events",), moved=1)
    assert await register(catalog, HOUSE, tables, mark=None) == Registered()


async def test_a_day_without_files_has_no_partition() -> None:
    catalog = Recorder()
    tables = Tables(days=(SilverDay(day="2026-04-09", files=()),), runs={"2026-04-09": 1})
    await register(catalog, HOUSE, tables, mark=None)
    assert await catalog.partitions("silver_events") == {}


async def test_what_was_moved_by_hand_is_put_right() -> None:
    catalog = Recorder()
    tables = published({"2026-04-09": 3}, 3)
    await register(catalog, HOUSE, tables, mark=None)
    there = await catalog.find("silver_events")
    assert there is not None
    assert there.table is not None
    by_msck: Values = ("2026-04-09",)
    await catalog.move_partitions(there.table, {by_msck: "s3://lake/silver/events/event_date=2026-04-09/"})
    assert await register(catalog, HOUSE, tables, mark=None) == Registered(moved=1)
    assert await catalog.partitions("silver_events") == dict([silver("2026-04-09", 3)])


@pytest.mark.parametrize("late", [published({"2026-04-09": 1}, 1), published({"2026-04-10": 1}, 1), Tables()])
async def test_a_registration_that_comes_late_takes_nothing_back(late: Tables) -> None:
    catalog = Recorder()
    await register(catalog, HOUSE, published({"2026-04-09": 2}, 2), mark=None)
    catalog.calls.clear()
    with pytest.raises(ConflictError, match=r"silver_events of 2026-04-09 is at .*run=0000000002/ already"):
        await register(catalog, HOUSE, late, mark=None)
    assert catalog.calls == []


async def test_a_table_of_gold_is_not_taken_back_either() -> None:
    catalog = Recorder()
    await register(catalog, HOUSE, published({"2026-04-09": 1}, 2), mark=None)
    with pytest.raises(ConflictError, match="later than run 1"):
        await register(catalog, HOUSE, published({"2026-04-09": 1}, 1), mark=None)
    assert catalog.tables["product_funnel"].location.endswith("run=0000000002/")


class Busy(MemoryTables):
    """Somebody changes a table whenever one is about to be put."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def put_table(self, table: Table, found: Any) -> None:
        if self.times and table.name == "product_funnel":
            self.times -= 1
            raise ConflictError("changed")
        await super().put_table(table, found)


async def test_a_table_that_somebody_changed_is_looked_at_anew() -> None:
    catalog = Busy(ATTEMPTS - 1)
    await register(catalog, HOUSE, published({}, 1), mark=None)
    assert catalog.tables["product_funnel"].location.endswith("run=0000000001/")
    with pytest.raises(ConflictError):
        await register(Busy(ATTEMPTS), HOUSE, published({}, 1), mark=None)


async def test_a_view_in_the_place_of_a_table_is_told() -> None:
    catalog = Recorder()
    await catalog.put_database()
    await catalog.put_view("silver_events", "SELECT 1 AS one")
    with pytest.raises(ConfigError, match="silver_events is a view"):
        await register(catalog, HOUSE, published({}, 1), mark=None)


async def test_the_partitions_of_the_files_that_were_read_are_registered() -> None:
    catalog = Recorder()
    minute = "raw/events/year=2026/month=04/day=09/hour=10/minute=05"
    keys = [f"{minute}/a b.jsonl.gz", f"{minute}/c.jsonl.gz", "raw/events/stray.jsonl.gz", f"{minute}/deep/d.jsonl.gz"]
    await register(catalog, HOUSE, Tables(), mark=None, raw=keys)
    expected: dict[Values, str] = {("2026", "04", "09", "10", "05"): f"s3://lake/{minute}/"}
    assert await catalog.partitions("raw_events") == expected == raw_partitions(HOUSE, keys)


async def test_the_view_is_silver_alone_until_streamed_events_were_loaded() -> None:
    catalog = Recorder()
    await register(catalog, HOUSE, Tables(), mark=None)
    assert "UNION" not in catalog.views["all_events"]
    assert "events" not in catalog.tables


async def test_the_view_adds_what_was_streamed_since_the_hour_of_the_mark_and_is_not_in_silver() -> None:
    catalog = Recorder()
    await register(catalog, HOUSE, Tables(), mark=MARK + 1799.5)
    silver, events = catalog.views["all_events"].split("UNION ALL")
    assert "WHERE" not in silver
    assert "AND event_time >= TIMESTAMP '2026-04-09 10:00:00'\nAND NOT EXISTS" in events
    assert "(day > '09' OR (day = '09' AND hour >= '10'))" in events
    assert "known.event_date >= DATE '2026-04-09' AND known.event_time >= TIMESTAMP '2026-04-09 10:00:00'" in events
