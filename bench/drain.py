"""A transformer that drains a preloaded stream: `python -m bench.drain --shards 8 --events 1000000`.

Fleet, leases, shard workers and the whole protocol are wired as `services.transformer.app` wires them, with default
settings and the real clock, between a stream, a store, counters and leases in memory. The stream has no limits. Each
run is a process of its own, since it is asked for its memory too. Prints one JSON document.

Every shard holds the same payloads (event ids are compared within a shard only), so that a stream of a million events
takes little memory; what it takes is left out of `rss`. Records that wait are the stream's own here, so the most that
was gathered is added in their place.
"""

import argparse
import asyncio
import gc
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from prometheus_client import Counter, Gauge

from bench.drain_process import Process
from bench.events import SHORT_AGENT, make_events
from headrace.clock import SystemClock
from headrace.events.arrow import use_system_memory
from headrace.runtime import Shutdown, spare_the_collector
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry
from headrace.telemetry import log

SHARDS, EVENTS = 8, 1_000_000
EVENTS_PER_SECOND = 1_000
"""Of one shard, by the events' own times: what Kinesis takes. So a shard of 125,000 is two minutes behind."""
PAGE_RECORDS = 2_500
"""As the reader of Kinesis asks for."""
IDLE_SECONDS = 1.0
"""Between two looks at a shard that is read to its tip, as the reader of Kinesis does."""
QUIET_SECONDS = 10.0
DRAIN_SECONDS = 60.0
LOOK_SECONDS = 0.02
REPEATS = 2


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to."""

    shards: int
    events: int
    event_bytes: float
    """Of payload, on average."""
    seconds: float
    """From the start of the fleet to its end: leases taken, everything committed, leases released."""
    cpu_seconds: float
    """Of all threads, within these seconds."""
    rss: int
    """Bytes at most, beyond the preloaded stream: interpreter, libraries, batches and all that landed."""
    landed: int
    """Bytes of objects, which the store keeps in memory."""
    batches: int
    control_calls: int
    s3_calls: int

    @property
    def rate(self) -> float:
        """Events per second of wall-clock time."""
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU in µs per event."""
        return self.cpu_seconds / self.events * 1e6

    def per_thousand(self, calls: int) -> float:
        """Calls per 1,000 events."""
        return calls / self.events * 1_000


def measure(*shards: int, events: int = EVENTS) -> list[Drained]:
    """For each number of shards the best of some runs, in turn, each in a process of its own."""
    runs = [
        [
            msgspec.json.decode(_process("--shards", str(count), "--events", str(events)), type=Drained)
            for count in shards
        ]
        for _ in range(REPEATS)
    ]
    return [min(of_one, key=lambda run: run.seconds) for of_one in zip(*runs, strict=True)]


def measure_idle(shards: int) -> float:
    """`idle`, in a process of its own."""
    return float(_process("--shards", str(shards), "--idle"))


def _process(*arguments: str) -> bytes:
    command = [sys.executable, "-m", "bench.drain", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - our own module


async def _preload(stream: MemoryStream, shards: int, events: int, start: float) -> float:
    """Fill the stream; returns the average size of an event."""
    count = events // shards
    length = count * 1_000 // EVENTS_PER_SECOND
    payloads = make_events(count, start=int(start * 1_000) - length, length=length, agent=SHORT_AGENT)
    for shard in await stream.shards():
        place = str(shard.hash_range[0])
        await stream.put([Entry(payload, place, place) for payload in payloads])
    return sum(map(len, payloads)) / count


async def drain(shards: int, events: int) -> Drained:
    """Preload a stream, and land it."""
    clock = SystemClock()
    before = _resident("VmRSS")
    stream = MemoryStream(clock, shards=shards, page_records=PAGE_RECORDS, idle_seconds=IDLE_SECONDS)
    event_bytes = await _preload(stream, shards, events, clock.now())
    gc.collect()
    preloaded = _resident("VmRSS") - before
    _forget_peak()
    process, shutdown = Process(stream, await stream.info(), clock), Shutdown(DRAIN_SECONDS, clock)
    started, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(process.fleet.run(shutdown))
    gathered = 0
    while _total(process.metrics.records_received) < events and not running.done():
        gathered = max(gathered, process.budget.held)
        await clock.sleep(LOOK_SECONDS)
    shutdown.request()  # what is gathered is delivered at once, without its age
    await running
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    assert _total(process.metrics.rows_committed) == events
    return Drained(
        shards=shards,
        events=events,
        event_bytes=event_bytes,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        rss=_resident("VmHWM") - preloaded + gathered,
        landed=sum(map(len, process.memory.objects.values())),
        batches=sum(key.startswith("_intents/") for key in process.memory.objects),
        control_calls=process.leases.calls,
        s3_calls=process.store.calls,
    )


async def idle(shards: int) -> float:
    """Seconds of CPU a second that shards take on which nothing comes."""
    clock = SystemClock()
    stream = MemoryStream(clock, shards=shards, page_records=PAGE_RECORDS, idle_seconds=IDLE_SECONDS)
    process, shutdown = Process(stream, await stream.info(), clock), Shutdown(DRAIN_SECONDS, clock)
    running = asyncio.create_task(process.fleet.run(shutdown))
    while _total(process.metrics.leases_held) < shards:
        await clock.sleep(LOOK_SECONDS)
    await clock.sleep(IDLE_SECONDS)
    started, cpu = time.perf_counter(), time.process_time()
    await clock.sleep(QUIET_SECONDS)
    share = (time.process_time() - cpu) / (time.perf_counter() - started)
    shutdown.request()
    await running
    return share


def _total(metric: Counter | Gauge) -> int:
    samples = (sample for family in metric.collect() for sample in family.samples)
    return int(sum(sample.value for sample in samples if not sample.name.endswith("_created")))


def _forget_peak() -> None:
    """`VmHWM` counts from here."""
    Path("/proc/self/clear_refs").write_text("5")


def _resident(name: str) -> int:
    """`VmRSS` now, `VmHWM` at most: bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def main() -> None:
    """One run in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=SHARDS)
    parser.add_argument("--events", type=int, default=EVENTS, help="over all shards (default %(default)s)")
    parser.add_argument("--idle", action="store_true", help="no events: seconds of CPU a second")
    arguments = parser.parse_args()
    log.configure("transformer", level="WARNING")
    spare_the_collector()
    use_system_memory()
    if arguments.idle:
        print(uvloop.run(idle(arguments.shards)))
        return
    drained = uvloop.run(drain(arguments.shards, arguments.events - arguments.events % arguments.shards))
    print(msgspec.json.encode(drained).decode())


if __name__ == "__main__":
    main()
