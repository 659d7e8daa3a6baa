"""The SQL of the reference texts in `../shared/reference`, as it stands there, on tables with rows in them."""

import gzip
import json
import re
from pathlib import Path

import pytest

from tests.integration.athena_lake import Lake

FENCED = re.compile(r"```sql\n(.*?)```", re.DOTALL)
EVENTS = [
    # user, session, type, product, category, price, quantity, time
    ("u1", "s1", "page_view", "p1", "toys", 10.5, 1, "2026-04-09T13:00:00Z"),
    ("u1", "s1", "add_to_cart", "p1", "toys", 10.5, 1, "2026-04-09T13:01:00Z"),
    ("u1", "s1", "purchase", "p1", "toys", 10.5, 3, "2026-04-09T13:02:00Z"),
    ("u2", "s2", "page_view", "p1", "toys", 10.5, 1, "2026-04-09T14:00:00Z"),
    ("u2", "s3", "page_view", "p2", "books", 4.0, 1, "2026-04-10T09:00:00Z"),
]
KEYS = ("user_id", "session_id", "event_type", "product_id", "category", "price", "quantity", "timestamp")
BRONZE = """
CREATE EXTERNAL TABLE bronze (user_id string, session_id string, event_type string, product_id string, category string,
  price double, quantity int, `timestamp` timestamp)
PARTITIONED BY (year string, month string, day string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{bucket}/bronze/'
"""
GOLD = {
    "product_funnel": """
        SELECT *, CAST(add_to_cart_count AS double) / view_count AS view_to_cart_rate,
          CAST(purchase_count AS double) / nullif(add_to_cart_count, 0) AS cart_to_purchase_rate,
          CAST(purchase_count AS double) / view_count AS view_to_purchase_rate
        FROM (SELECT product_id, category, count_if(event_type = 'page_view') AS view_count,
            count_if(event_type = 'add_to_cart') AS add_to_cart_count,
            count_if(event_type = 'purchase') AS purchase_count FROM bronze GROUP BY 1, 2) AS counts""",
    "hourly_revenue": """
        SELECT date("timestamp") AS event_date, hour("timestamp") AS event_hour, sum(price * quantity) AS total_revenue,
          count(*) AS purchase_count, avg(price * quantity) AS avg_order_value, sum(quantity) AS total_items_sold
        FROM bronze WHERE event_type = 'purchase' GROUP BY 1, 2""",
    "product_popularity": """
        SELECT product_id, category, count(*) AS view_count, count(DISTINCT user_id) AS unique_viewers
        FROM bronze WHERE event_type = 'page_view' GROUP BY 1, 2""",
    "category_daily_performance": """
        SELECT date("timestamp") AS event_date, category, count(*) AS total_events,
          count_if(event_type = 'page_view') AS page_views, count_if(event_type = 'add_to_cart') AS add_to_carts,
          count_if(event_type = 'purchase') AS purchases,
          sum(CASE WHEN event_type = 'purchase' THEN price * quantity ELSE 0 END) AS total_revenue
        FROM bronze GROUP BY 1, 2""",
    "daily_user_activity": """
        SELECT *, CAST(total_events AS double) / unique_users AS events_per_user,
          CAST(unique_sessions AS double) / unique_users AS sessions_per_user
        FROM (SELECT date("timestamp") AS event_date, count(DISTINCT user_id) AS unique_users,
            count(DISTINCT session_id) AS unique_sessions, count(*) AS total_events FROM bronze GROUP BY 1) AS days""",
}
ANSWERS = {
    "product_funnel": [
        ["p1", "toys", "2", "1", "1", "50.0", "100.0", "50.0"], ["p2", "books", "1", "0", "0", "0.0", None, "0.0"],
    ],
    "hourly_revenue": [["2026-04-09", "13", "31.5", "1", "31.5", "3"]],
    "product_popularity": [["p1", "toys", "2", "2", "1.0"], ["p2", "books", "1", "1", "1.0"]],
    "category_daily_performance": [
        ["2026-04-10", "books", "1", "1", "0", "0", "0.0", "0.0"],
        ["2026-04-09", "toys", "4", "2", "1", "1", "31.5", "50.0"],
    ],
    "daily_user_activity": [
        ["2026-04-10", "1", "1", "1", "1.0", "1.0", "1.0"], ["2026-04-09", "2", "2", "4", "2.0", "1.0", "2.0"],
    ],
}  # fmt: skip


@pytest.fixture(scope="session")
def reference_sql(real_data: Path) -> list[str]:
    texts = [file.read_text(errors="replace") for file in sorted((real_data.parent / "reference").glob("*.txt"))]
    return [sql for text in texts for sql in FENCED.findall(text)]


@pytest.fixture
def lake(athena_url: str, ministack_url: str) -> Lake:
    return Lake(athena_url, ministack_url)


def test_the_queries_answer_on_gold_tables_made_of_compressed_json(lake: Lake, reference_sql: list[str]) -> None:
    lake.rows(BRONZE.format(bucket=lake.bucket))
    body = "".join(json.dumps(dict(zip(KEYS, event, strict=True))) + "\n" for event in EVENTS)
    lake.put("bronze/year=2026/month=04/day=09/events.jsonl.gz", gzip.compress(body.encode()))
    lake.rows("MSCK REPAIR TABLE bronze")
    for table, query in GOLD.items():
        lake.rows(f"CREATE TABLE {table} WITH (format = 'PARQUET', write_compression = 'SNAPPY') AS {query}")
    queries = {match[1]: sql for sql in reference_sql if (match := re.search(r"\bFROM (\w+)", sql))}
    assert {table: lake.rows(queries[table]) for table in GOLD} == ANSWERS


def test_the_table_definition_takes_rows_by_date(lake: Lake, reference_sql: list[str]) -> None:
    (ddl,) = [sql for sql in reference_sql if sql.lstrip().upper().startswith("CREATE EXTERNAL TABLE")]
    found = re.search(r"EXISTS (\w+)\.(\w+).*LOCATION 's3://([\w-]+)/", ddl, re.DOTALL)
    assert found is not None
    database, table, bucket = found.groups()
    lake.s3.create_bucket(Bucket=bucket)
    lake.rows(f"CREATE DATABASE {database}")
    lake.rows(ddl)
    lake.rows(
        f"INSERT INTO {database}.{table} (user_id, event_time, country, event_date) VALUES "
        "('u1', TIMESTAMP '2026-04-09 13:00:00', 'DE', DATE '2026-04-09')"
    )
    assert lake.rows(f"SHOW PARTITIONS {database}.{table}") == [["event_date=2026-04-09"]]
    assert lake.rows(
        f"SELECT user_id, event_time, city, event_date FROM {database}.{table} WHERE event_date > DATE '2026-04-01'"
    ) == [["u1", "2026-04-09 13:00:00.000", None, "2026-04-09"]]
