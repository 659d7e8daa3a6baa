"""The gold step: each table from all of silver."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from jobs.medallion import places
from jobs.medallion.dialect import load, to_spark
from jobs.medallion.model import GoldReport, GoldTable, Plan, SilverReport, Tables
from jobs.medallion.on_spark.place import Place
from jobs.medallion.on_spark.relations import events_of
from jobs.medallion.ports import OnRows
from jobs.medallion.tables import GOLD

SILVER_EVENTS = "silver_events"


def make_gold(
    spark: SparkSession, place: Place, plan: Plan, silver: SilverReport, before: Tables, scratch: Path,
    check: Callable[[], None], on_rows: OnRows,
) -> GoldReport:  # fmt: skip
    """Make all tables of gold, in the work area; where no day changed they stay what and where they are.

    The driver holds each table whole: products by category, or days by hour, however many events there are.
    """
    if before.gold and not plan.full and not silver.days:
        return GoldReport(tables=before.gold)
    days = {} if plan.full else {day.day: day.files for day in before.days}
    days |= {day.day: day.files for day in silver.days}
    silver_files = [file for day in sorted(days) for file in days[day]]
    events_of(spark, place, [file.key for file in silver_files]).createOrReplaceTempView(SILVER_EVENTS)
    files = place.files(scratch)
    made = []
    for table in GOLD:
        check()
        rows = [row.asDict() for row in spark.sql(to_spark(load(table.name))).collect()]
        ordered = pa.Table.from_pylist(rows, table.arrow).sort_by([(name, "ascending") for name in table.sorted_by])
        key = places.work_gold(plan.run, plan.attempt, table.name)
        path = files.place(key)
        pq.write_table(ordered, str(path), compression="zstd", store_schema=False)
        files.upload(key)
        made.append(GoldTable(name=table.name, key=key, size=path.stat().st_size, rows=ordered.num_rows))
        on_rows(sum(file.rows for file in silver_files))
    return GoldReport(tables=tuple(made))
