"""The job's SQL in Spark's words."""

import sqlglot

from headrace.events.arrow import EVENT_SCHEMA
from headrace.settings import load
from jobs.medallion.on_spark.queries import silver_query
from jobs.medallion.on_spark.reading import CARRIED


def test_what_leads_back_to_a_line_is_carried_through_beside_what_sql_selects() -> None:
    query = sqlglot.parse_one(silver_query(load()), read="spark")
    assert query.named_selects == [*EVENT_SCHEMA.names, "doubtful", *CARRIED]
