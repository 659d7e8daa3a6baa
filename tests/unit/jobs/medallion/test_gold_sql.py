"""The SQL of the gold tables on DuckDB, against plain Python and the declared columns."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.dialect import load, to_duckdb, to_spark
from jobs.medallion.tables import GOLD, TableDefinition
from tests.unit.jobs.medallion.gold_oracle import MIDNIGHT, Row, day_of, events, gold

TABLES = pytest.mark.parametrize("table", GOLD, ids=[table.name for table in GOLD])
SILVER = EVENT_SCHEMA.append(pa.field("event_date", pa.date32()))
QUERIES = {table.name: to_duckdb(load(table.name)) for table in GOLD}


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


def made(database: duckdb.DuckDBPyConnection, table: TableDefinition, silver: list[Row]) -> pa.Table:
    rows = [{**row, "event_date": day_of(row)} for row in silver]
    database.register("silver_events", pa.Table.from_pylist(rows, schema=SILVER))
    found = database.sql(QUERIES[table.name]).to_arrow_table()
    return found.sort_by([(name, "ascending") for name in table.sorted_by])


@TABLES
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_table_holds_what_plain_python_counts(
    database: duckdb.DuckDBPyConnection, table: TableDefinition, data: st.DataObject
) -> None:
    silver = data.draw(events())
    found = made(database, table, silver)
    assert found.schema == table.arrow
    assert found.to_pylist() == gold(table.name, silver)


def sale(revenue: str | None, **more: Any) -> dict[str, Any]:
    money = None if revenue is None else Decimal(revenue)
    return {"event_type": "purchase", "event_time": MIDNIGHT, "revenue": money, **more}


def by_name(name: str) -> TableDefinition:
    return next(table for table in GOLD if table.name == name)


def test_an_average_is_rounded_to_the_nearest_double_however_large_the_sum(
    database: duckdb.DuckDBPyConnection,
) -> None:
    silver = [sale("99999999999999.9999"), sale("99999999999999.9996"), sale("0.0001")]
    [row] = made(database, by_name("hourly_revenue"), silver).to_pylist()
    assert row["total_revenue"] == Decimal("199999999999999.9996")
    assert row["avg_order_value"] == float("199999999999999.9996") / 3


def test_events_of_all_categories_and_of_none_add_up_to_all_events(database: duckdb.DuckDBPyConnection) -> None:
    silver = [
        {"event_type": "click", "event_time": MIDNIGHT, "category": each} for each in ("shoes", None, "toys", None)
    ]
    found = made(database, by_name("category_daily_performance"), silver)
    assert found.column("category").to_pylist() == ["shoes", "toys", None]
    assert sum(found.column("total_events").to_pylist()) == 4


def test_an_hour_begins_with_its_first_microsecond_in_utc(database: duckdb.DuckDBPyConnection) -> None:
    ten = datetime.fromisoformat("2026-04-09T10:00:00")
    silver = [sale("1", event_time=ten), sale("1", event_time=ten - timedelta(microseconds=1))]
    found = made(database, by_name("hourly_revenue"), silver)
    assert found.column("event_hour").to_pylist() == [9, 10]


@TABLES
def test_each_file_selects_the_columns_that_are_declared_in_their_order(table: TableDefinition) -> None:
    query = sqlglot.parse_one(load(table.name), read="athena")
    assert query.named_selects == table.arrow.names
    assert {found.name for found in query.find_all(sqlglot.exp.Table)} == {"silver_events"}


@TABLES
def test_each_file_says_what_it_makes_and_reads_and_goes_through_to_spark(table: TableDefinition) -> None:
    first, *_ = text = load(table.name).splitlines()
    assert first == f"-- {table.about}"
    assert any(line.startswith("-- Reads silver_events: ") for line in text)
    assert sqlglot.parse_one(to_spark(load(table.name)), read="spark").named_selects == table.arrow.names
