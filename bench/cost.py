"""What `headrace cost` starts from, besides `bench.footprint`: CPU, calls and log lines of real processes.

A web traffic API of its own hands out full pages at a steady rate to `headrace up`; what its processes say at
`/metrics` once all is committed is compared with what they said before. Then counts are written by themselves,
since how many of them an event costs depends on the shop.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from bench import footprint
from bench.events import START, make_events
from bench.headrace_path import NOW
from bench.latency import headrace_up, serving
from bench.results import RESULTS, Row, add
from deploy.local.emulator import CREDENTIALS
from headrace.aws.session import AwsSession
from headrace.counters.deltas import deltas_of
from headrace.counters.dynamodb import DynamoCounterWriter, table_definition
from headrace.counters.layout import plan
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Origin, Transformer

RATE, SECONDS, BATCH_AGE = 1_000, 60, 20
IDLE_SECONDS = 15
PATIENCE_SECONDS = 180
PAGE_EVENTS = 1_000
PRODUCTS = 20
"""So few that counting them takes nothing: it is measured apart."""
COUNTED_EVENTS = 20_000
TABLE = "bench-counts"
SERVICES = ("api_consumer", "transformer", "partitioner")
PUTS = ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject")


class FullPages:
    """The web traffic API: a page is there once it is full, as long as there are events."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._before = self._offered = 0
        self._since = time.monotonic()

    def offer(self, events: int) -> None:
        """So many events more, of which the first happens now."""
        self._before, self._offered = self._offered, self._offered + events
        self._since = time.monotonic()

    async def get_events(self, request: web.Request) -> web.Response:
        """`GET /events?cursor=`: a page, or that there is none yet."""
        end = int(request.query.get("cursor", "0")) + PAGE_EVENTS
        happened = self._before + (time.monotonic() - self._since) * self._rate
        if end > min(self._offered, happened):
            return web.Response(status=web.HTTPNoContent.status_code)
        events = make_events(PAGE_EVENTS, seed=end, start=int(time.time() * 1000), length=0, products=PRODUCTS)
        body = b'{"events":[%b],"next_cursor":"%d"}' % (b",".join(events), end)
        return web.Response(body=body, content_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the services' counters show at one moment; each number only grows."""

    at: float
    cpu: Mapping[str, float]
    """Seconds, by service."""
    calls: Mapping[tuple[str, str], float]
    """By AWS service and operation, of all of ours."""
    put: float
    committed: float
    batches: float
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened between two looks."""

    before: Look
    after: Look

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.after.at - self.before.at

    def of(self, name: str) -> float:
        """By how much a counter of `Look` has risen."""
        return float(getattr(self.after, name) - getattr(self.before, name))

    def cpu(self, service: str) -> float:
        """Seconds of CPU."""
        return self.after.cpu[service] - self.before.cpu[service]

    def calls(self, service: str, *operations: str) -> float:
        """Calls to an AWS service."""
        return sum(
            self.after.calls.get((service, op), 0) - self.before.calls.get((service, op), 0) for op in operations
        )


async def look(services: Mapping[str, str], log: Path) -> Look:
    """Ask all services for their metrics."""
    cpu: dict[str, float] = {}
    calls: dict[tuple[str, str], float] = {}
    totals = dict.fromkeys(
        ("headrace_records_put_total", "headrace_rows_committed_total", "headrace_batch_rows_count"), 0.0
    )
    async with aiohttp.ClientSession() as http:
        for service in SERVICES:
            async with http.get(f"{services[service]}/metrics") as response:
                families = text_string_to_metric_families(await response.text())
            for sample in (sample for family in families for sample in family.samples):
                match sample.name:
                    case "process_cpu_seconds_total":
                        cpu[service] = sample.value
                    case "headrace_aws_requests_total":
                        call = (sample.labels["service"], sample.labels["op"])
                        calls[call] = calls.get(call, 0.0) + sample.value
                    case name if name in totals:
                        totals[name] += sample.value
    put, committed, batches = totals.values()
    return Look(
        at=time.monotonic(), cpu=cpu, calls=calls, put=put, committed=committed, batches=batches,
        log_bytes=(await asyncio.to_thread(log.stat)).st_size,
    )  # fmt: skip


async def count_alone(endpoint: str) -> float:
    """CPU in µs per counter item, as the transformer writes the counts of a batch."""
    payloads = make_events(COUNTED_EVENTS, start=START, length=footprint.MINUTE_MS)
    result = Transformer(Policy(), Enricher(), anonymous_key=b"bench")(
        payloads, Origin(arrived=lambda _: NOW, default_id=str)
    )
    deltas = deltas_of(result.rows)
    items = len(plan("bench", deltas, START / 1000))
    os.environ |= {**CREDENTIALS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint}
    async with AwsSession("us-east-1") as aws:
        dynamodb = await aws.client("dynamodb")
        await dynamodb.create_table(**table_definition(TABLE))
        writer = DynamoCounterWriter(dynamodb, TABLE)
        spent = []
        for batch_no in range(2):
            began = time.process_time()
            await writer.apply("bench", batch_no, deltas, now=START / 1000, ledger={})
            spent.append(time.process_time() - began)
    return min(spent) / items * 1e6


async def run(rate: int, seconds: float, folder: Path) -> tuple[Sequence[Look], float]:
    """One measurement: three looks, between which the services were idle, and busy; and counting alone."""
    events = int(rate * seconds) // PAGE_EVENTS * PAGE_EVENTS
    traffic = FullPages(rate)
    own = {"HEADRACE_BATCH_AGE": f"{BATCH_AGE}s", "HEADRACE_LOG_FORMAT": "json"}
    async with serving(traffic) as url, headrace_up(url, folder / "data", own) as cloud:

        async def seen() -> Look:
            return await look(cloud["services"], folder / "up.log")

        async def landed(count: int) -> Look:
            before = await seen()
            traffic.offer(count)
            async with asyncio.timeout(seconds + PATIENCE_SECONDS):
                while (now := await seen()).committed - before.committed < count:  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(1)
            return now

        looks = [await landed(PAGE_EVENTS)]  # what a first batch imports is not an event's to pay
        await asyncio.sleep(IDLE_SECONDS)
        looks.append(await seen())
        looks.append(await landed(events))
        return looks, await count_alone(str(cloud["aws"]))


def rows_of(looks: Sequence[Look], counter_us: float) -> list[Row]:
    """What goes into the file of results. What the services do without events is taken off."""
    idle, busy = (Difference(before, after) for before, after in pairwise(looks))
    batches = busy.of("batches")

    def cpu_us(service: str) -> float:
        return (busy.cpu(service) - idle.cpu(service) * busy.seconds / idle.seconds) * 1e6

    figures = [
        ("cost_poller_cpu", "µs CPU per event", cpu_us("api_consumer") / busy.of("put")),
        ("cost_transformer_cpu", "µs CPU per event, counting apart", cpu_us("transformer") / busy.of("committed")),
        ("cost_counter_cpu", "µs CPU per counter item", counter_us),
        *((f"cost_{name}_idle", "% of a core", 100 * idle.cpu(name) / idle.seconds) for name in SERVICES),
        ("cost_batch_s3", "PUT requests per batch", busy.calls("s3", *PUTS) / batches),
        ("cost_batch_log", "bytes of log per batch, of all services", busy.of("log_bytes") / batches),
    ]
    return [Row(name=name, unit=unit, headrace=ours) for name, unit, ours in figures]


def measure(seconds: float = SECONDS, rate: int = RATE) -> list[Row]:
    """CPU, calls and bytes per event, batch and item."""
    with tempfile.TemporaryDirectory(prefix="headrace-cost-") as folder:
        return rows_of(*asyncio.run(run(rate, seconds, Path(folder)))) + footprint.measure()


def main() -> None:
    """Measure, print the rows, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE, help="events a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for so long (default %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the figures go")
    arguments = parser.parse_args()
    rows = measure(arguments.seconds, arguments.rate)
    add(arguments.output, rows)
    for row in rows:
        print(f"{row.name:24} {row.headrace:12,.2f} {row.unit}")


if __name__ == "__main__":
    main()
