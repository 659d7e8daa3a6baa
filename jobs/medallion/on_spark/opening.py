"""Spark's engine on the bucket of the environment, in the session that the platform gives this process."""

from pathlib import Path

from pyspark.sql import SparkSession

from headrace.settings import Settings
from jobs.medallion.ports import Engine
from jobs.medallion.spark import SparkEngine


def open_engine(settings: Settings, scratch: Path) -> Engine:
    """The engine. `scratch` is the driver's; executors have folders of their own."""
    spark = SparkSession.builder.appName("headrace-medallion").getOrCreate()
    return SparkEngine(spark, f"s3a://{settings.bucket}", scratch, settings)
