"""What people are told of a run."""

from msgspec.structs import replace

from jobs.medallion import report
from jobs.medallion.model import FileReport, Plan, SilverDay, SilverReport, Source, SourceFile, ToRead
from jobs.medallion.run import Outcome
from jobs.medallion.steps import Step
from tests.unit.jobs.medallion.test_crash_enumeration import two_runs


def file(name: str) -> SourceFile:
    return SourceFile(source=Source.RAW, key=name, etag="e", size=3 << 20)


PLAN = Plan(
    run=7, attempt="x", started=0.0, sources=(Source.RAW,), full=False,
    read=(ToRead(file=file("a")), ToRead(file=file("b"), only_days=("2026-04-09",))), rebuild=("2026-04-09",),
)  # fmt: skip


def silver(*errors: str | None) -> SilverReport:
    files = [
        FileReport(file=file(f"f{n}"), rows=0 if error else 1000, rejected=0 if error else 1, days=(), error=error)
        for n, error in enumerate(errors)
    ]
    return SilverReport(days=(SilverDay(day="2026-04-09", files=()),), files=tuple(files), duplicates=1)


async def test_each_table_has_a_row_with_the_run_that_made_it() -> None:
    world = await two_runs()
    outcome = await world.run()
    assert outcome.shown is not None
    assert report.rows_of(outcome.shown) == [
        ("silver_events", 6, 3, 6 * 43 + 1),
        ("daily_user_activity", 3, 3, 38),
        ("product_funnel", 3, 3, 5),
        ("gold_runs", 9, 3, outcome.shown.gold[-1].size),
    ]


def test_a_whole_run_is_told_in_a_few_lines() -> None:
    seconds = dict.fromkeys(Step, 0.5)
    outcome = Outcome(plan=PLAN, silver=silver(None, None), seconds=seconds, deleted=12)
    assert list(report.summary(outcome)) == [
        "run 7: 1 file to read, 1 day to rebuild from 1 more file (6.0 MiB)",
        "2 files read (4,004 rows/s): 2,000 rows, 2 rejected, 1 duplicate; 1 day changed",
        "12 objects of earlier runs deleted",
        "3.0 s (plan 0.5, silver 0.5, gold 0.5, publish 0.5, register 0.5, clean 0.5)",
    ]


def test_a_run_without_work_says_so() -> None:
    outcome = Outcome(plan=replace(PLAN, read=(), rebuild=()), idle=True, seconds={Step.PLAN: 0.1})
    assert list(report.summary(outcome)) == ["nothing new", "0.1 s (plan 0.1)"]


def test_a_step_only_tells_of_itself() -> None:
    outcome = Outcome(plan=PLAN, silver=silver(None), seconds={Step.GOLD: 0.1})
    assert list(report.summary(outcome)) == ["0.1 s (gold 0.1)"]


def test_files_that_could_not_be_read_are_warned_of_and_the_first_few_named() -> None:
    outcome = Outcome(silver=silver("cut", None, "no gzip", "cut", "cut", "cut"), seconds={Step.SILVER: 1.0})
    assert list(report.warnings(outcome)) == [
        "5 files could not be read, and nothing of them counts: f0: cut; f2: no gzip; f3: cut; and 2 more"
    ]


def test_objects_that_are_no_files_and_rows_given_up_are_warned_of() -> None:
    plan = replace(PLAN, ignored=(("raw/events/x.csv", "wrong name"),), forgotten=2)
    assert list(report.warnings(Outcome(plan=plan, seconds={Step.PLAN: 1.0}))) == [
        "1 object ignored: raw/events/x.csv: wrong name",
        "rows of 2 vanished files given up",
    ]
