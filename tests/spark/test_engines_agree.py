"""DuckDB and Spark make the same of the same files, row by row, run after run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pytest
from pyarrow import fs
from pyspark.sql import SparkSession

from headrace.settings import load
from jobs.medallion.duck.engine import DuckEngine
from jobs.medallion.duck.reading import UNREADABLE
from jobs.medallion.duck.silver import Sizes
from jobs.medallion.model import SilverReport, SourceFile, ToRead
from jobs.medallion.spark import SparkEngine
from jobs.medallion.tables import GOLD
from tests.spark.worlds import HIDDEN, LANDED, STRANGE, World, copy_of, files_in, make_bronze, make_landed

pytestmark = pytest.mark.filterwarnings("default")  # those of PySpark are not ours

RUNS = ("first", "second", "replaced", "full")


@dataclass(frozen=True, kw_only=True)
class After:
    """What a run has left."""

    silver: pa.Table
    gold: Mapping[str, pa.Table]
    report: SilverReport
    letters: Sequence[tuple[str, str, str, str]]
    heard_of: int
    """Rows and dead letters, over all runs so far."""


def whole(files: Sequence[SourceFile]) -> list[ToRead]:
    return [ToRead(file=file) for file in files]


def history(world: World) -> dict[str, After]:
    """Half of the files; the others; a file that was replaced, beside all that made its days; everything anew."""
    files = files_in(world.root)
    done = {"first": after(world, world.step(whole(files[::2])))}
    done["second"] = after(world, world.step(whole(files[1::2])))
    known = {report.file.key: report for run in world.reports for report in run.files}
    replaced = next(file for file in files if file.key == LANDED)
    days = known[replaced.key].days
    others = [known[file.key] for file in files if file != replaced]
    again = [ToRead(file=it.file, only_days=days) for it in others if set(it.days) & set(days)]
    make_landed(world.root, ["landed", "new"])
    done["replaced"] = after(world, world.step([*whole([replaced]), *again], rebuild=days))
    done["full"] = after(world, world.step(whole(files), full=True))
    return done


def after(world: World, report: SilverReport) -> After:
    return After(silver=world.silver(), gold=world.gold(), report=report, letters=world.letters(), heard_of=world.seen)


@pytest.fixture(scope="module")
def histories(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, After]]:
    """By engine."""
    folder = tmp_path_factory.mktemp("lake")
    make_bronze(folder / "bronze")
    scratch = folder / "scratch"
    scratch.mkdir()
    lakes = {name: copy_of(folder / "bronze", folder / name) for name in ("duckdb", "spark")}
    settings = load()
    engines = {
        "duckdb": DuckEngine(fs.LocalFileSystem(), str(lakes["duckdb"]), scratch, settings, sizes=Sizes(lines_up_to=0)),
        "spark": SparkEngine(spark, str(lakes["spark"]), scratch, settings),
    }
    return {name: history(World(root=lakes[name], engine=engine)) for name, engine in engines.items()}


@pytest.fixture(params=RUNS)
def both(request: pytest.FixtureRequest, histories: dict[str, dict[str, After]]) -> tuple[After, After]:
    """DuckDB's and Spark's, after one of the runs."""
    return histories["duckdb"][request.param], histories["spark"][request.param]


def test_silver_is_the_same_row_by_row(both: tuple[After, After]) -> None:
    duckdb, spark = both
    assert duckdb.silver.num_rows > 9_000
    assert spark.silver.equals(duckdb.silver), difference(duckdb.silver, spark.silver)


def test_every_table_of_gold_is_the_same_row_by_row(both: tuple[After, After]) -> None:
    duckdb, spark = both
    assert {name for name, rows in duckdb.gold.items() if rows.num_rows} == {table.name for table in GOLD}
    assert {name for name, rows in duckdb.gold.items() if not rows.equals(spark.gold[name])} == set()


def test_files_days_and_duplicates_are_reported_alike(both: tuple[After, After]) -> None:
    duckdb, spark = both
    assert spark.report.files == duckdb.report.files
    assert [day.day for day in spark.report.days] == [day.day for day in duckdb.report.days]
    assert spark.report.duplicates == duckdb.report.duplicates > 0
    assert spark.heard_of == duckdb.heard_of


def test_dead_letters_are_the_same(both: tuple[After, After]) -> None:
    duckdb, spark = both
    assert spark.letters == duckdb.letters


def test_the_files_had_flaws_of_many_kinds(histories: dict[str, dict[str, After]]) -> None:
    reasons = {reason for _, reason, _, _ in histories["spark"]["full"].letters}
    assert reasons > {UNREADABLE, "malformed_json", "not_utf8", "wrong_type", "invalid_timestamp"}


def test_rows_of_strangely_named_files_count(histories: dict[str, dict[str, After]]) -> None:
    told = {report.file.key: report for report in histories["spark"]["full"].report.files}
    assert told[STRANGE].rows > 20
    assert told[HIDDEN].rows == 1


def test_everything_made_anew_is_what_the_runs_had_made(histories: dict[str, dict[str, After]]) -> None:
    spark = histories["spark"]
    assert spark["full"].silver.equals(spark["replaced"].silver), difference(
        spark["replaced"].silver, spark["full"].silver
    )
    assert {name for name, rows in spark["full"].gold.items() if not rows.equals(spark["replaced"].gold[name])} == set()


def difference(one: pa.Table, other: pa.Table) -> str:
    """The first few rows that only one has."""
    rows = [{str(row) for row in table.to_pylist()} for table in (one, other)]
    return "\n".join([*sorted(rows[0] - rows[1])[:5], "and on the other side", *sorted(rows[1] - rows[0])[:5]])
