"""The job around the engine: how it is started, and how it ends when it is told to or when Spark fails."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from headrace.errors import UnavailableError
from headrace.settings import load
from jobs.medallion.model import Plan, SilverReport, Source, SourceFile, Tables, ToRead
from jobs.medallion.ports import CancelledRunError
from jobs.medallion.spark import SparkEngine, asked_for
from jobs.medallion.steps import Step

pytestmark = pytest.mark.filterwarnings("default")  # those of PySpark are not ours


def plan(keys: Sequence[str]) -> Plan:
    files = [SourceFile(source=Source.EVENTS, key=key, etag="", size=1) for key in keys]
    read = tuple(ToRead(file=file) for file in files)
    return Plan(run=1, attempt="a", started=1.0, sources=(Source.EVENTS,), full=False, read=read)


def test_a_platform_adds_arguments_and_gives_each_a_value() -> None:
    asked = asked_for([
        "--JOB_NAME", "medallion", "--source", "raw", "--full", "true", "--TempDir", "s3://t/",
        "--environment", "S3_BUCKET=lake,AWS_REGION=eu-west-1",
    ])  # fmt: skip
    assert (asked.request.sources, asked.request.full, asked.request.forget_vanished) == ((Source.RAW,), True, False)
    assert asked.environment == {"S3_BUCKET": "lake", "AWS_REGION": "eu-west-1"}
    assert asked.steps == tuple(Step)


def test_steps_and_days_are_asked_for_as_on_the_command_line() -> None:
    asked = asked_for(["--step", "silver", "--from", "2026-04-08", "--to", "2026-04-09", "--wait"])
    assert (asked.steps, asked.wait) == ((Step.SILVER,), True)
    assert (asked.request.scope.first, asked.request.scope.last) == (date(2026, 4, 8), date(2026, 4, 9))


@pytest.mark.parametrize("wrong", [["--full", "yes"], ["--environment", "S3_BUCKET"], ["--step", "bronze"]])
def test_a_wrong_argument_ends_the_job_before_it_begins(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        asked_for(wrong)


def test_an_engine_that_is_stopped_ends_the_call_under_way(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"none")
    engine = SparkEngine(spark, str(tmp_path), tmp_path, load())
    with pytest.raises(CancelledRunError):
        engine.silver(plan(["a.parquet"]), Tables(), lambda _: engine.stop())
    with pytest.raises(CancelledRunError):
        engine.gold(plan([]), SilverReport(days=(), files=(), duplicates=0), Tables(), lambda _: None)


def test_a_file_that_is_gone_fails_the_run_and_says_which(spark: SparkSession, tmp_path: Path) -> None:
    engine = SparkEngine(spark, str(tmp_path), tmp_path, load())
    with pytest.raises(UnavailableError, match=r"events/gone\.parquet is not there"):
        engine.silver(plan(["events/gone.parquet"]), Tables(), lambda _: None)
    assert not list(tmp_path.glob("_runs/**/*.parquet"))


def test_sources_without_files_make_empty_tables(spark: SparkSession, tmp_path: Path) -> None:
    engine = SparkEngine(spark, str(tmp_path), tmp_path, load())
    silver = engine.silver(plan([]), Tables(), lambda _: None)
    assert (silver.days, silver.files, silver.duplicates, silver.dead_letters) == ((), (), 0, ())
    gold = engine.gold(plan([]), silver, Tables(), lambda _: None)
    assert len(gold.tables) == 5
    assert {table.rows for table in gold.tables} == {0}
