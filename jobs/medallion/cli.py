"""`headrace job medallion`: bronze → silver → gold, in one go or step by step."""

import asyncio
import signal
import time
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.settings import load
from headrace.telemetry.metrics import Metrics
from jobs.command import CloudFor, Style, Write, publish
from jobs.medallion import report
from jobs.medallion.app import EngineName, run
from jobs.medallion.listing import Scope
from jobs.medallion.model import Source
from jobs.medallion.plan import Request
from jobs.medallion.run import Outcome
from jobs.medallion.steps import STEPS, Step

JOB = "medallion"
STOPPED = 130
"""Exit status of a run that was told to stop, as shells have it for Ctrl-C."""
_STEPS = "\n".join(f"- [bold]{each.step}[/bold]: {each.about}" for each in STEPS)
_METRICS = ("headrace_job_runs_total", "headrace_job_seconds", "headrace_files_processed_total")
_DAY = ["%Y-%m-%d"]


def build(cloud_for: CloudFor, write: Write) -> typer.Typer:
    """The command; which cloud is meant and how rows look is the command line's to say."""
    app = typer.Typer(name=JOB, rich_markup_mode="rich", add_completion=False)

    @app.command(name=JOB, help=_HELP)
    def medallion(
        *,
        step: Annotated[Step | None, typer.Argument(help="Take this step only; default: all of them.")] = None,
        source: Annotated[
            Source | None,
            typer.Option(
                help="Files to load: raw/events/ or what the transformer landed. Default: as before, or events."
            ),
        ] = None,
        engine: Annotated[EngineName, typer.Option(help="What makes the tables.")] = EngineName.DUCKDB,
        first: Annotated[
            datetime | None, typer.Option("--from", metavar="DATE", formats=_DAY, help="Files of this day and later.")
        ] = None,
        last: Annotated[
            datetime | None, typer.Option("--to", metavar="DATE", formats=_DAY, help="Files of this day and before.")
        ] = None,
        full: Annotated[bool, typer.Option("--full", help="Make everything anew, from all files ever loaded.")] = False,
        forget_vanished: Annotated[
            bool, typer.Option("--forget-vanished", help="With --full: give up the rows of files that are gone.")
        ] = False,
        wait: Annotated[bool, typer.Option("--wait", help="Wait for a run that is under way.")] = False,
        style: Annotated[Style, typer.Option("--format", help="How the result is printed.")] = Style.TABLE,
        metrics_file: Annotated[
            Path | None,
            typer.Option("--metrics-file", metavar="FILE", help="Write job_runs_total and more here, for Prometheus."),
        ] = None,
        data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the local cloud.")] = Path(".headrace"),
    ) -> None:
        scope = Scope(first=_date(first), last=_date(last))
        request = Request(sources=(source,) if source else (), scope=scope, full=full, forget_vanished=forget_vanished)
        told = Console(stderr=True, highlight=False, soft_wrap=True)
        metrics, started = Metrics(), time.monotonic()
        outcome: Outcome | None = None
        try:
            outcome = asyncio.run(
                _run(cloud_for, data, request, (step,) if step else tuple(Step), engine, wait=wait, told=told)
            )
        except (KeyboardInterrupt, asyncio.CancelledError):
            told.print("stopped: what was decided, the next run finishes; all else is as if it had never been")
            raise typer.Exit(STOPPED) from None
        finally:
            _account(metrics, outcome, time.monotonic() - started)
            publish(JOB, metrics, metrics_file, *_METRICS)
        tables = outcome.shown
        write(report.COLUMNS if tables else (), report.rows_of(tables) if tables else (), style)
        for line in report.warnings(outcome):
            told.print(line, style="yellow", markup=False)
        for line in report.summary(outcome):
            told.print(line, style="dim", markup=False)

    return app


_HELP = f"""Bring new files of bronze to silver and gold: clean days, and tables that answer.

Only new files are read; late ones change just their days. Nobody sees half of a run, and one that was stopped or
killed is finished or begun anew by the next one. One run at a time. Steps, each of which may run by itself, in order:

{_STEPS}

Examples:
[bold]headrace job medallion[/bold],
[bold]headrace job medallion --source raw --from 2026-04-09[/bold],
[bold]headrace job medallion --full[/bold],
[bold]headrace job medallion plan --source raw[/bold] and then [bold]headrace job medallion silver[/bold]
"""


async def _run(
    cloud_for: CloudFor,
    data: Path,
    request: Request,
    steps: tuple[Step, ...],
    engine: EngineName,
    *,
    wait: bool,
    told: Console,
) -> Outcome:
    task = asyncio.current_task()
    assert task is not None, "a coroutine that runs has one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # asyncio does so for Ctrl-C
    async with cloud_for(data):
        return await run(
            load(), request, steps, engine=engine, wait=wait, on_wait=lambda text: told.print(text, markup=False)
        )


def _account(metrics: Metrics, outcome: Outcome | None, seconds: float) -> None:
    metrics.job_runs.labels(JOB, "succeeded" if outcome else "failed").inc()
    metrics.job_seconds.labels(JOB).set(seconds)
    if outcome is None:
        return
    files = outcome.silver.files if outcome.silver else ()
    counts = {
        "succeeded": sum(each.error is None for each in files),
        "rejected": len(outcome.plan.ignored) if outcome.plan else 0,
        "errored": sum(each.error is not None for each in files),
    }
    for result, count in counts.items():
        metrics.files_processed.labels(JOB, result).inc(count)


def _date(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
