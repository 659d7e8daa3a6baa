"""`headrace job simulate bulk`: raw events by the hundred thousand."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.errors import NotFoundError
from headrace.lake.layout import RAW_EVENTS
from headrace.lake.s3 import S3Store
from headrace.settings import load
from jobs.command import CloudFor, progress
from jobs.simulate.bulk.places import Folder
from jobs.simulate.bulk.plan import (
    MINUTES,
    MOST_FILES_PER_MINUTE,
    Flaws,
    Plan,
    files_for,
    problem_with,
    some_events,
)
from jobs.simulate.bulk.run import OnEvents, Summary, run

TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%d"]
_FIRST_END = datetime(1970, 1, 3, tzinfo=UTC)
"""So that even what is late happened after 1970 began."""
_LAST_MINUTES = 60 * 24 * 366


def add_to(app: typer.Typer, cloud_for: CloudFor) -> typer.Typer:
    """Add the command; which cloud is meant is the command line's to say."""

    @app.command()
    def bulk(
        *,
        events: Annotated[
            int | None, typer.Option(min=1, help="How many; unset: 500,000 to 750,000, as the seed has it.")
        ] = None,
        minutes: Annotated[int, typer.Option(min=1, max=_LAST_MINUTES, help="Spread evenly over so many.")] = MINUTES,
        end: Annotated[
            datetime | None,
            typer.Option(formats=TIMES, help="First minute after the events, UTC; unset: the current one."),
        ] = None,
        seed: Annotated[int, typer.Option(help="The same seed, end and numbers make the same bytes.")] = 7,
        to: Annotated[
            Path | None, typer.Option(metavar="FOLDER", file_okay=False, help="A folder instead of the bucket.")
        ] = None,
        files_per_minute: Annotated[
            int | None,
            typer.Option(min=1, max=MOST_FILES_PER_MINUTE, help="Unset: so that none has more than 100,000 events."),
        ] = None,
        bad_lines: Annotated[float, typer.Option(min=0, max=1, help="Share of lines more that are no events.")] = 0.0,
        duplicates: Annotated[
            float, typer.Option(min=0, max=1, help="Share of lines more that repeat an event, soon after it.")
        ] = 0.0,
        late: Annotated[
            float, typer.Option(min=0, max=1, help="Share of visits that took place 10 minutes to 26 hours before.")
        ] = 0.0,
        data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the local cloud.")] = Path(".headrace"),
    ) -> None:
        """Put gzipped JSON lines into raw/events/, by minute; one JSON line says what was done.

        A run again with the same seed, end and numbers replaces the same objects with the same bytes.

        Example: headrace job simulate bulk --events 1000000 --minutes 60 --end 2026-04-09T12:00
        """
        until = _last_minute(end)
        count = events or some_events(seed, until)
        files = files_per_minute or files_for(count, minutes)
        if problem := problem_with(count, minutes, files):
            raise typer.BadParameter(problem, param_hint="--events")
        plan = Plan(
            seed=seed,
            events=count,
            end=until,
            minutes=minutes,
            files_per_minute=files,
            flaws=Flaws(bad_lines=bad_lines, duplicates=duplicates, late=late),
        )
        if plan.start < _FIRST_END:
            raise typer.BadParameter("events before 1970 are none", param_hint="--end")
        try:
            with progress("events", count) as advance:
                place, done = asyncio.run(
                    _to_folder(plan, to, advance) if to else _to_bucket(plan, cloud_for, data, advance)
                )
        except OSError as error:
            typer.echo(f"{error.filename or to}: {error.strerror}", err=True)
            raise typer.Exit(1) from error
        typer.echo(
            json.dumps({"to": place, "from": plan.start.isoformat(), "until": until.isoformat(), **asdict(done)})
        )

    return app


def _last_minute(end: datetime | None) -> datetime:
    moment = end.replace(tzinfo=UTC) if end else datetime.now(UTC)
    return moment.replace(second=0, microsecond=0)


async def _to_folder(plan: Plan, folder: Path, advance: OnEvents) -> tuple[str, Summary]:
    done = await run(plan, Folder(folder), clock=SystemClock(), on_events=advance)
    return f"{folder / RAW_EVENTS}/", done


async def _to_bucket(plan: Plan, cloud_for: CloudFor, data: Path, advance: OnEvents) -> tuple[str, Summary]:
    async with cloud_for(data):
        settings = load()
        async with AwsSession(settings.region) as aws:
            store = S3Store(await aws.client("s3"), settings.bucket)
            try:
                done = await run(plan, store, clock=SystemClock(), on_events=advance)
            except NotFoundError as error:  # all that a put can miss
                raise NotFoundError(f"no bucket {settings.bucket}: `headrace up` makes one ({error})") from error
    return f"s3://{settings.bucket}/{RAW_EVENTS}/", done
