"""Half a year of a shop's orders from CSV to gold: every sum is what DuckDB finds in the CSV files, to the cent."""

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from cli.cloud import cloud_for
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.clock import SystemClock
from headrace.settings import load
from tests.data.command import headrace

LINES, REPEATED = 245_903, 2_012
"""All lines, and those among them that equal an earlier one in every cell: an item that was scanned twice."""
ORDERS = """
CREATE TABLE orders AS
SELECT InvoiceNo AS session_id, StockCode AS product_id, CAST(Quantity AS BIGINT) AS quantity,
  CAST(InvoiceDate AS TIMESTAMP) AS event_time, CAST(InvoiceDate AS DATE) AS event_date,
  CAST(UnitPrice AS DECIMAL(18, 4)) AS price, CAST(UnitPrice AS DECIMAL(18, 4)) * CAST(Quantity AS BIGINT) AS revenue,
  Country AS country, CustomerID AS customer, coalesce(CustomerID, 'of ' || InvoiceNo) AS user_id, Description
FROM read_csv($files, all_varchar = true, union_by_name = true)"""
QUESTIONS = (
    # what is asked of gold or silver, and of the files; users that nobody named are `anon-…`
    (
        "SELECT event_date, event_hour, total_revenue, purchase_count, total_items_sold FROM hourly_revenue",
        "SELECT event_date, hour(event_time), sum(revenue), count(*), sum(quantity) FROM orders GROUP BY 1, 2",
    ),
    (
        "SELECT event_date, total_events, purchases, total_revenue FROM category_daily_performance",
        "SELECT event_date, count(*), count(*), sum(revenue) FROM orders GROUP BY 1",
    ),
    (
        "SELECT event_date, unique_users, unique_sessions, total_events FROM daily_user_activity",
        "SELECT event_date, count(DISTINCT user_id), count(DISTINCT session_id), count(*) FROM orders GROUP BY 1",
    ),
    (
        "SELECT product_id, purchase_count, view_count FROM product_funnel",
        "SELECT product_id, count(*), 0 FROM orders GROUP BY 1",
    ),
    (
        "SELECT count(*), sum(revenue), min(quantity) FROM silver_events WHERE quantity < 0",
        "SELECT count(*), sum(revenue), min(quantity) FROM orders WHERE quantity < 0",
    ),
    (
        "SELECT country, count(DISTINCT user_id), sum(revenue) FROM silver_events WHERE user_id < 'a' GROUP BY 1",
        "SELECT country, count(DISTINCT customer), sum(revenue) FROM orders WHERE customer IS NOT NULL GROUP BY 1",
    ),
    (
        "SELECT count(*), sum(revenue), count(DISTINCT user_id) FROM all_events",
        "SELECT count(*), sum(revenue), count(DISTINCT user_id) FROM orders",
    ),
)
UP = {"HEADRACE_BATCH_AGE": "5s", "HEADRACE_BATCH_PARTITIONS": "400"}
"""Half a year passes in a minute: with the usual limits it would be thousands of small objects."""


def in_order(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """As Athena's cells are typed here: numbers as numbers, days as text."""
    found = [tuple(value.isoformat() if isinstance(value, date) else value for value in row) for row in rows]
    return sorted(found, key=lambda row: [(value is None, value) for value in row])


async def in_the_tables(data: Path) -> list[list[tuple[Any, ...]]]:
    """Run the job twice in the cloud of the data folder, and ask the questions."""
    async with cloud_for(data):
        settings = load()
        cloud = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        for _ in range(2):
            job = ("job", "medallion", "--source", "events", "--data", str(data / "none"))
            await asyncio.to_thread(headrace, *job, env=cloud)
        async with AwsSession(settings.region) as aws:
            athena = AthenaClient(
                await aws.client("athena"),
                clock=SystemClock(), workgroup=settings.workgroup, output=settings.athena_output_url,
                database=settings.database,
            )  # fmt: skip
            return [in_order((await athena.query(asked)).rows) for asked, _ in QUESTIONS]


def test_revenue_returns_hours_and_customers_are_those_of_the_files(real_data: Path, tmp_path: Path) -> None:
    files = [str(file) for file in sorted((real_data / "uci_online_retail_by_day").glob("*.csv"))]
    connection = duckdb.connect()
    connection.execute(ORDERS, {"files": files})
    distinct = "SELECT count(*) FROM (SELECT DISTINCT * FROM orders)"
    assert connection.execute(distinct).fetchall() == [(LINES - REPEATED,)]

    sources = [part for file in files for part in ("--source", file)]
    told = headrace(
        "up", *sources, "--mapping", "examples/uci_online_retail.toml", "--shards", "1", "--until-drained",
        "--data", str(tmp_path / "data"), env=UP,
    )  # fmt: skip
    assert json.loads(told)["committed"] == LINES

    found = asyncio.run(in_the_tables(tmp_path / "data"))
    for (asked, of_the_files), rows in zip(QUESTIONS, found, strict=True):
        assert rows == in_order(connection.execute(of_the_files).fetchall()), asked
