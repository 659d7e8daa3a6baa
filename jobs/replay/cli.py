"""`headrace job replay`: dead letters put right and landed, once however often it is run."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.errors import ConfigError
from headrace.events.mapping import load_mapping
from headrace.events.parse import Reason
from headrace.events.repairs import Repairs, parse_repairs
from headrace.settings import load
from headrace.spool import REASON as SPOOLED
from jobs.command import CloudFor, Style, Write
from jobs.replay.app import run
from jobs.replay.lots import REASONS, Selection
from jobs.replay.mend import Mending
from jobs.replay.rehearse import Change
from jobs.replay.report import COLUMNS, Report, shown

ALL = "all"
_NOT_OURS = {
    Reason.EXTRA_COLUMNS: "events with extra columns are in the table already, with all that the schema names",
    SPOOLED: "whoever put events below kinesis_failures/ puts them back by itself",
}
FIRST_YEAR, LAST_YEAR = 1970, 9998


def build(cloud_for: CloudFor, write: Write) -> typer.Typer:
    """The command; which cloud is meant and how rows look is the command line's to say."""
    app = typer.Typer(name="replay", rich_markup_mode="rich", add_completion=False)

    @app.command()
    def replay(
        *,
        reason: Annotated[str, typer.Option(help=f"Why they were turned away: {', '.join(REASONS)}; or {ALL}.")],
        first: Annotated[
            str, typer.Option("--from", metavar="TIME", help="A day, or a time in UTC: 2026-04-09T08:00.")
        ],
        last: Annotated[
            str, typer.Option("--to", metavar="TIME", help="A day, that day included, or the first moment not meant.")
        ],
        sets: Annotated[
            list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Put a value there: JSON, else text.")
        ] = None,
        renames: Annotated[
            list[str] | None,
            typer.Option("--rename", metavar="OLD=NEW", help="Move what stands at one path to another."),
        ] = None,
        casts: Annotated[
            list[str] | None,
            typer.Option("--cast", metavar="PATH=TYPE", help="Read a value as int, float, str or bool."),
        ] = None,
        mapping: Annotated[
            str | None, typer.Option(metavar="FILE", help="What the poller mapped its events with, if anything.")
        ] = None,
        turn: Annotated[
            int, typer.Option("--round", min=1, help="2: what failed again when round 1 was replayed; and so on.")
        ] = 1,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show the first lines.")] = False,
        style: Annotated[Style, typer.Option("--format", help="How the result is printed.")] = Style.TABLE,
        data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the local cloud.")] = Path(".headrace"),
    ) -> None:
        """Put dead letters right and land them: as rows, as counts, or as dead letters again.

        Renames come first, then casts, then new values, each in the order given. A path may have dots: items.0.id.
        Whatever happens, each line is replayed once: run it again after a crash, or by mistake.

        Example: [bold]headrace job replay --reason wrong_type --from 2026-04-09 --to 2026-04-10 --cast price=int[/bold]
        """
        try:
            selection = select(reason, first, last, turn)
            repairs = parse_repairs(sets=sets or (), renames=renames or (), casts=casts or ())
        except ConfigError as error:
            raise typer.BadParameter("\n".join(error.problems)) from None
        report = Report(dry_run=dry_run, round=turn)
        changes = asyncio.run(_run(cloud_for, data, selection, repairs, mapping, report))
        for line in shown(changes):
            Console(stderr=style is not Style.TABLE, highlight=False, soft_wrap=True).print(line)
        write(COLUMNS, report.rows(), style)
        told = Console(stderr=True, highlight=False, soft_wrap=True)
        told.print(report.summary(), style="dim", markup=False)
        for problem in report.problems:
            told.print(problem, style="red", markup=False)
        raise typer.Exit(1 if report.problems else 0)

    return app


async def _run(
    cloud_for: CloudFor, data: Path, selection: Selection, repairs: Repairs, mapping: str | None, report: Report
) -> list[Change]:
    async with cloud_for(data):
        settings = load(**({} if mapping is None else {"mapping": mapping}))
        mending = Mending(repairs=repairs, mapping=load_mapping(settings.mapping) if settings.mapping else None)
        return await run(settings, selection, mending, report)


def select(reason: str, first: str, last: str, turn: int) -> Selection:
    """The options as values. Raises `ConfigError` listing all problems."""
    problems = []
    if reason in _NOT_OURS:
        problems.append(f"--reason {reason}: {_NOT_OURS[reason]}")
    elif reason != ALL and reason not in REASONS:
        problems.append(f"--reason {reason}: the reasons are {', '.join(REASONS)}; or {ALL}")
    moments = []
    for option, text, whole_day in (("--from", first, timedelta(0)), ("--to", last, timedelta(days=1))):
        try:
            moments.append(_moment(text, whole_day).timestamp())
        except (ValueError, OverflowError):
            problems.append(f"{option} {text}: must be a day, or a time like 2026-04-09T08:00 (UTC)")
    if not problems and moments[0] >= moments[1]:
        problems.append(f"--from {first} is not before --to {last}")
    if problems:
        raise ConfigError(problems)
    return Selection(
        reasons=frozenset(REASONS if reason == ALL else [reason]), start=moments[0], end=moments[1], round=turn
    )


def _moment(text: str, whole_day: timedelta) -> datetime:
    """A time, in UTC unless it says otherwise; for a day its start and `whole_day`. Raises `ValueError`."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    else:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + whole_day
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"the year {moment.year}")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
