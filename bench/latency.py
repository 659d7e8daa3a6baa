"""`make bench-latency`: how long an event takes from the poll to a count and to an answer of Athena.

A web traffic API of its own serves events at a steady rate; once a second one of them views a product of its own, the
probe. Clocks start when the page with the probe is handed to the poller, and stop when the stats API shows the view and
when a query returns the row. Memory is the most that poller and transformer held, as the kernel counts it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from rich.console import Console
from rich.table import Table

from bench.results import RESULTS, Row, add
from deploy.local.emulator import CREDENTIALS
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.clock import SystemClock
from headrace.errors import RequestError, RetryableError
from headrace.settings import load

FLUSH_SECONDS = 4.0
"""A batch's age in `headrace up`."""
COUNTED_WITHIN, QUERYABLE_WITHIN = FLUSH_SECONDS + 2, FLUSH_SECONDS + 10
PAGE_EVENTS = 1000
READY_SECONDS = 90
PATIENCE_SECONDS = 60
PROBE = "probe-"
MEASURED = ("api_consumer", "transformer")
WINDOWS = ("1h", "24h", "7d", "30d", "all")
"""Asked for in turn, each once in `CACHED_SECONDS`: how long the API keeps an answer is not what is measured."""
CACHED_SECONDS = 2.1


@dataclass(slots=True)
class Probes:
    """When each probe was polled, first counted and first in an answer; monotonic seconds."""

    polled: dict[str, float] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)
    queried: dict[str, float] = field(default_factory=dict)

    @property
    def through(self) -> int:
        """How many were seen everywhere."""
        return min(len(self.polled), len(self.counted), len(self.queried))

    def waits(self, seen: dict[str, float]) -> list[float]:
        """Seconds from the poll to there, ascending."""
        return sorted(seen[name] - self.polled[name] for name in seen)


class EventsApi(Protocol):
    """A web traffic API."""

    async def get_events(self, request: web.Request) -> web.Response:
        """`GET /events?cursor=`."""
        ...


class Traffic:
    """The web traffic API: event n is there from n / rate seconds on."""

    def __init__(self, rate: float, seconds: float, probes: Probes) -> None:
        self._rate = rate
        self._count = int(rate * seconds)
        self._probes = probes
        self._start: float | None = None

    async def get_events(self, request: web.Request) -> web.Response:
        """`GET /events?cursor=`: what is there by now."""
        now = time.monotonic()
        self._start = self._start or now
        first = int(request.query.get("cursor", "0"))
        last = min(int((now - self._start) * self._rate), self._count, first + PAGE_EVENTS)
        events = [self._event(n) for n in range(first, last)]
        for event in events:
            if event["product_id"].startswith(PROBE):
                self._probes.polled.setdefault(event["product_id"], time.monotonic())
        return web.json_response({"events": events, "next_cursor": str(last)})

    def _event(self, n: int) -> dict[str, str]:
        second, rest = divmod(n, max(1, int(self._rate)))
        return {
            "event_id": f"e{n}",
            "session_id": f"s{n % 97}",
            "event_type": "page_view",
            "timestamp": str(int(time.time() * 1000)),
            "page_url": f"/p/{n % 50}",
            "product_id": f"{PROBE}{second}" if rest == 0 else f"p{n % 50}",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        }


@contextlib.asynccontextmanager
async def serving(traffic: EventsApi) -> AsyncIterator[str]:
    """The address of the API while the block runs."""
    app = web.Application()
    app.add_routes([web.get("/events", traffic.get_events)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def headrace_up(url: str, data: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[dict[str, Any]]:
    """`headrace up --source URL` on free ports; yields what its folder says of the running cloud."""
    own = {"HEADRACE_LOCAL_AWS_PORT": "0", "HEADRACE_LOCAL_ATHENA_PORT": "0", "HEADRACE_STATS_PORT": "0"}
    own |= {"HEADRACE_METRICS_PORT_BASE": "0", "HEADRACE_SIMULATOR_PORT": "0"}
    own |= settings or {}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HEADRACE_"))}
    with (data.parent / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli", "up", "--source", url, "--data", str(data),
            env=clean | own, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(READY_SECONDS):
                while "Headrace is ready" not in (data.parent / "up.log").read_text():
                    if process.returncode is not None:
                        raise SystemExit((data.parent / "up.log").read_text())
                    await asyncio.sleep(0.1)
            yield json.loads((data / "cloud.json").read_bytes())
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            await process.wait()


async def watch_counts(stats: str, probes: Probes, end: float) -> None:
    """Ask the stats API for each probe that was polled until all are counted."""
    async with aiohttp.ClientSession(stats) as http:
        for window in cycle(WINDOWS):
            for name in [name for name in list(probes.polled) if name not in probes.counted]:
                async with http.get(f"/v1/products/{name}/stats", params={"window": window}) as response:
                    if response.status == web.HTTPOk.status_code and (await response.json())["views"]:
                        probes.counted[name] = time.monotonic()
            if time.monotonic() > end:
                return
            await asyncio.sleep(CACHED_SECONDS / len(WINDOWS))


async def watch_answers(probes: Probes, end: float) -> None:
    """Ask Athena which probes there are until all are."""
    settings = load()
    sql = f"SELECT DISTINCT product_id FROM events WHERE product_id LIKE '{PROBE}%'"  # noqa: S608 - our own text
    async with AwsSession(settings.region) as aws:
        athena = AthenaClient(
            await aws.client("athena"),
            clock=SystemClock(), workgroup=settings.workgroup, output=settings.athena_output_url,
            database=settings.database,
        )  # fmt: skip
        while time.monotonic() < end:
            with contextlib.suppress(RequestError, RetryableError):  # before the first partition there is no answer
                for (name,) in (await athena.query(sql)).rows:
                    probes.queried.setdefault(str(name), time.monotonic())
            await asyncio.sleep(0.2)


async def run(rate: float, seconds: float, folder: Path) -> tuple[Probes, dict[str, float]]:
    """One measurement: the probes, and the most MiB that each service held."""
    probes = Probes()
    async with (
        serving(Traffic(rate, seconds, probes)) as url,
        headrace_up(url, folder / "data") as cloud,
    ):
        os.environ |= {**CREDENTIALS, "AWS_REGION": "us-east-1"}
        os.environ |= {"AWS_ENDPOINT_URL": str(cloud["aws"]), "AWS_ENDPOINT_URL_ATHENA": str(cloud["athena"])}
        end = time.monotonic() + seconds + PATIENCE_SECONDS
        watching = asyncio.gather(watch_counts(cloud["services"]["stats_api"], probes, end), watch_answers(probes, end))
        while time.monotonic() < end and probes.through < int(seconds):  # noqa: ASYNC110 - two tasks and a clock
            await asyncio.sleep(0.5)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await _print_stages(cloud["services"]["transformer"])
        return probes, {name: _peak(pid) for name, pid in cloud["pids"].items() if name.startswith(MEASURED)}


async def _print_stages(transformer: str) -> None:
    """Where the transformer's time went: mean seconds by stage of a batch."""
    async with aiohttp.ClientSession() as http, http.get(f"{transformer}/metrics") as response:
        lines = [line.rsplit(" ", 1) for line in (await response.text()).splitlines() if "batch_stage_seconds" in line]
    told = {name: float(value) for name, value in lines if not name.startswith("#")}
    for name, total in told.items():
        if "_sum{" in name and total:
            Console().print(f"{name.split(chr(34))[1]}: {total / told[name.replace('_sum{', '_count{')]:.2f} s a batch")


def _peak(pid: int) -> float:
    """The most resident MiB of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def quantile(waits: Sequence[float], share: float) -> float:
    """The wait that `share` of them do not exceed; `waits` ascending."""
    return waits[min(len(waits) - 1, int(share * len(waits)))]


def main() -> None:
    """Measure, print the table, write the results. Ends with 1 when a probe never came through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="for so long (default %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-latency-") as folder:
        probes, peaks = asyncio.run(run(arguments.rate, arguments.seconds, Path(folder)))
    counted, queried = probes.waits(probes.counted), probes.waits(probes.queried)
    table = Table(title=f"seconds from the poll, {arguments.rate:g} events/s for {arguments.seconds:g} s")
    for column in ("what", "probes", "p50", "p95", "max", "limit"):
        table.add_column(column, justify="left" if column == "what" else "right")
    figures = []
    rows = [("latency_counted", counted, COUNTED_WITHIN), ("latency_queryable", queried, QUERYABLE_WITHIN)]
    for name, waits, limit in rows:
        if waits:
            figures.append(Row(name=name, unit="s", headrace=quantile(waits, 0.95), limit=limit))
            shown = (statistics.median(waits), quantile(waits, 0.95), waits[-1])
            table.add_row(name, f"{len(waits)}/{len(probes.polled)}", *(f"{wait:.2f}" for wait in shown), f"{limit:g}")
    Console().print(table)
    for service, peak in sorted(peaks.items()):
        Console().print(f"{service}: {peak:.0f} MiB at most")
    if len(counted) < len(probes.polled) or len(queried) < len(probes.polled) or not probes.polled:
        sys.exit("some probes never came through")
    add(arguments.output, figures)


if __name__ == "__main__":
    main()
