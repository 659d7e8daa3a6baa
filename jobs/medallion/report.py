"""What a run came to, for people and for programs. Pure."""

from collections.abc import Iterator, Sequence

from headrace.catalog.results import ResultColumn, Row
from jobs.medallion.model import Plan, SilverReport, Tables
from jobs.medallion.run import Outcome
from jobs.medallion.steps import Step
from jobs.medallion.tables import SILVER_EVENTS

COLUMNS = tuple(ResultColumn(name=name, type=kind) for name, kind in (
    ("table", "varchar"), ("rows", "bigint"), ("run", "bigint"), ("bytes", "bigint"),
))  # fmt: skip
NAMED = 3
"""Files that a warning names; of the others it tells how many they are."""


def rows_of(tables: Tables) -> list[Row]:
    """A row for each published table; that of silver has the last run that changed one of its days."""
    files = [file for day in tables.days for file in day.files]
    newest = max((tables.runs[day.day] for day in tables.days), default=None)
    silver = (SILVER_EVENTS.name, sum(file.rows for file in files), newest, sum(file.size for file in files))
    return [silver, *((each.name, each.rows, tables.runs[each.name], each.size) for each in tables.gold)]


def summary(outcome: Outcome) -> Iterator[str]:
    """What was done, in a line or a few."""
    if outcome.idle:
        yield "nothing new"
    elif outcome.plan and Step.PLAN in outcome.seconds:
        yield _planned(outcome.plan)
    if outcome.silver and Step.SILVER in outcome.seconds:
        yield _read(outcome.silver, outcome.seconds[Step.SILVER])
    if outcome.manifest and not outcome.idle and {Step.PUBLISH, Step.REGISTER} & outcome.seconds.keys():
        verb = "published" if Step.REGISTER in outcome.seconds else "decided; step register is left"
        yield f"run {outcome.manifest.run} {verb}"
    if outcome.deleted:
        yield f"{_count(outcome.deleted, 'object')} of earlier runs deleted"
    steps = ", ".join(f"{step} {took:.1f}" for step, took in outcome.seconds.items())
    yield f"{sum(outcome.seconds.values()):.1f} s ({steps})"


def warnings(outcome: Outcome) -> Iterator[str]:
    """What somebody should look at: files that could not be read, and objects that are no files."""
    if outcome.silver and (errored := [each for each in outcome.silver.files if each.error is not None]):
        named = [f"{each.file.key}: {each.error}" for each in errored]
        yield f"{_count(len(named), 'file')} could not be read, and nothing of them counts: {_some(named)}"
    if outcome.plan and outcome.plan.ignored:
        named = [f"{key}: {why}" for key, why in outcome.plan.ignored]
        yield f"{_count(len(named), 'object')} ignored: {_some(named)}"
    if outcome.plan and outcome.plan.forgotten:
        yield f"rows of {_count(outcome.plan.forgotten, 'vanished file')} given up"


def _planned(plan: Plan) -> str:
    again = [each for each in plan.read if each.only_days is not None]
    files = f"{_count(len(plan.read) - len(again), 'file')} to read"
    days = f", {_count(len(plan.rebuild), 'day')} to rebuild from {_count(len(again), 'more file')}"
    anew = ", everything anew" if plan.full else ""
    size = _size(sum(each.file.size for each in plan.read))
    return f"run {plan.run}: {files}{days if plan.rebuild else ''}{anew} ({size})"


def _read(silver: SilverReport, seconds: float) -> str:
    rows, rejected = sum(each.rows for each in silver.files), sum(each.rejected for each in silver.files)
    speed = f" ({(rows + rejected) / seconds:,.0f} rows/s)" if seconds else ""
    return (
        f"{_count(len(silver.files), 'file')} read{speed}: {_count(rows, 'row')}, {rejected:,} rejected,"
        f" {_count(silver.duplicates, 'duplicate')}; {_count(len(silver.days), 'day')} changed"
    )


def _some(named: Sequence[str]) -> str:
    more = len(named) - NAMED
    return "; ".join(named[:NAMED]) + (f"; and {more:,} more" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / (1 << 20):,.1f} MiB"
