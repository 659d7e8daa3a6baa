"""`headrace job simulate …`, also `python -m jobs.simulate …`."""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from headrace.runtime import Context, run_service
from jobs.command import progress
from jobs.simulate.api import ApiOptions, run_api
from jobs.simulate.faults import FaultProfile
from jobs.simulate.files import write_file
from jobs.simulate.shoppers import Item
from jobs.simulate.stream import OnSent, run_stream
from jobs.simulate.timeline import Timeline

app = typer.Typer(
    name="simulate",
    no_args_is_help=True,
    help="Seeded, plausible shoppers: as a web traffic API, straight to the stream, in a file, or in bulk.",
)

Rate = Annotated[float, typer.Option(min=0.01, help="Events a second, on average.")]
Seed = Annotated[int, typer.Option(help="The same seed, rate and time make the same events.")]
Faults = Annotated[str, typer.Option(help="none, some, or shares: malformed=0.01,extra=0.02,http503=0.05")]
Start = Annotated[datetime | None, typer.Option(help="Time of the first event, UTC; unset: the last one is now.")]


@app.command()
def api(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8070,
    rate: Rate = 50.0,
    seed: Seed = 7,
    faults: Faults = "none",
) -> None:
    """Serve a web traffic API until stopped.

    Example: headrace job simulate api --port 8070 --rate 50, then API_URL=http://127.0.0.1:8070/events
    and HEADRACE_ALLOW_PRIVATE_UPSTREAM=1
    """
    options = ApiOptions(port=port, seed=seed, rate=rate, faults=_parse_faults(faults))
    run_service("simulator", partial(run_api, options))


@app.command()
def stream(
    events: Annotated[int | None, typer.Option(min=1, help="How many; unset: until stopped.")] = None,
    rate: Rate = 50.0,
    seed: Seed = 7,
    faults: Faults = "none",
    max_speed: Annotated[bool, typer.Option("--max-speed", help="Not at the rate but as fast as it goes.")] = False,
) -> None:
    """Put events on the stream that HEADRACE_STREAM names; one JSON line says what was done.

    Example: headrace job simulate stream --rate 1000 --events 100000 --max-speed
    """
    if max_speed and events is None:
        raise typer.BadParameter("--max-speed wants --events", param_hint="--max-speed")
    now_ms = time.time_ns() // 1_000_000
    start_ms = now_ms - int(events / rate * 1000) if max_speed and events else now_ms
    timeline = Timeline(seed=seed, rate=rate, faults=_parse_faults(faults))
    items = itertools.islice(timeline.items(start_ms), events)

    async def put_all(context: Context) -> None:
        context.health.started()
        with progress("events put", events) as advance:
            sent = await run_stream(items, paced=not max_speed, on_sent=advance, context=context)
        typer.echo(json.dumps(asdict(sent)))

    run_service("simulator", put_all)


@app.command()
def file(
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where to; gzipped if it ends in .gz.")],
    events: Annotated[int, typer.Option(min=1, help="How many.")] = 10_000,
    rate: Rate = 50.0,
    seed: Seed = 7,
    faults: Faults = "none",
    start: Start = None,
) -> None:
    """Write events to a file, one a line; one JSON line says what was done.

    Example: headrace job simulate file --events 100000 --out x.jsonl.gz --start 2026-04-09
    """
    timeline = Timeline(seed=seed, rate=rate, faults=_parse_faults(faults))
    start_s = start.replace(tzinfo=UTC).timestamp() if start else time.time() - events / rate
    items = itertools.islice(timeline.items(int(start_s * 1000)), events)
    try:
        with progress("events written", events) as advance:
            size = write_file(out, _told(items, advance))
    except OSError as error:
        typer.echo(f"{out}: {error.strerror}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps({"file": str(out), "events": events, "bytes": size}))


def _parse_faults(text: str) -> FaultProfile:
    try:
        return FaultProfile.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--faults") from error


def _told(items: Iterator[Item], advance: OnSent, step: int = 1_000) -> Iterator[Item]:
    while chunk := list(itertools.islice(items, step)):
        yield from chunk
        advance(len(chunk))
