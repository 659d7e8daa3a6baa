"""The job's SQL as Spark runs it."""

import sqlglot
from sqlglot import exp

from headrace.settings import Settings
from jobs.medallion.dialect import load, to_spark
from jobs.medallion.duck.raw import silver_raw
from jobs.medallion.on_spark.reading import CARRIED

RAW_EVENTS, COPIES = "raw_events", "copies"
"""Relations that the queries read."""

PROPERTIES_TEXT = """
    array_join(transform(array_sort(map_entries(properties)), entry -> entry.key || chr(1) || entry.value), chr(2))
"""
"""What stands for a map in an order, see `distinct.sql`."""


def silver_query(settings: Settings) -> str:
    """`silver_raw.sql`, with `CARRIED` as they came."""
    query = sqlglot.parse_one(to_spark(silver_raw(settings)), read="spark")
    for select in query.find_all(exp.Select):
        if not select.is_star:
            select.select(*CARRIED, copy=False)
    return query.sql("spark")


def distinct_query() -> str:
    """`distinct.sql`."""
    return to_spark(load("distinct"))
