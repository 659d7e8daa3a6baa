"""Tables of ours as Spark sees them."""

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from headrace.events.arrow import EVENT_SCHEMA
from jobs.medallion.on_spark.place import Place

_NAMES = {
    pa.string(): "string", pa.binary(): "binary", pa.bool_(): "boolean", pa.int32(): "int", pa.int64(): "bigint",
    pa.float64(): "double", pa.date32(): "date", pa.timestamp("us"): "timestamp_ntz",
}  # fmt: skip


def ddl(schema: pa.Schema) -> str:
    """A schema as Spark's DDL. Raises `KeyError` for a type that no table of ours has."""
    return ", ".join(f"`{field.name}` {_name(field.type)}" for field in schema)


def events_of(spark: SparkSession, place: Place, keys: Sequence[str]) -> DataFrame:
    """Events of files of silver, and their `event_date`."""
    schema = ddl(EVENT_SCHEMA)
    if keys:
        # Without a look-up of folders: what a path says must not become a column.
        reader = spark.read.schema(schema).option("recursiveFileLookup", value=True)
        events = reader.parquet(*(f"{place.uri}/{key}" for key in keys))
    else:
        events = spark.createDataFrame([], schema)
    return events.withColumn("event_date", fn.col("event_time").cast("date"))


def _name(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_map(kind):
        return f"map<{_name(kind.key_type)},{_name(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{','.join(f'{field.name}:{_name(field.type)}' for field in kind)}>"
    return _NAMES[kind]
