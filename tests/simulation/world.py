"""Everything around the workers, and the workers: made from a seed, driven step by step, healed in the end."""

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from headrace.errors import HeadraceError
from headrace.leases.model import Lease, LeaseKey, lease_key, lineage
from headrace.stream.aggregate import AggregatingProducer
from headrace.stream.memory import UNLIMITED, Disturbance, MemoryStream
from headrace.stream.ports import Shard, ShardId, ShardReader
from headrace.stream.shard_map import ShardMap
from tests.simulation.archive import Archive
from tests.simulation.build import PRODUCTION, Build
from tests.simulation.carrier import Carrier
from tests.simulation.clocks import WorldClock
from tests.simulation.faults import Call, Fault, Hook, nothing
from tests.simulation.logs import logs_to
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import LATENCY_SECONDS, Request
from tests.simulation.rules import ALL, Judge, Rule, ViolationError
from tests.simulation.traffic import Traffic
from tests.simulation.watch import Watch
from tests.simulation.worker import Worker

RESTART_SECONDS = 15.0
"""From the end of a worker to the start of the next: longer than a lease lasts, so that others take over first."""
IDLE_SECONDS = 1.5
BUFFER_BYTES = 1 << 20
RETENTION_SECONDS = 86_400.0
ITERATOR_SECONDS = 20.0
"""Shorter than a pause, so that iterators expire."""
AGGREGATE_BYTES = 700
"""Of about three events."""
SKEW_SECONDS = 30.0
"""How far workers' wall clocks may be apart from the start."""


class World:
    """Use as a context manager. All methods may raise the `ViolationError` that was found meanwhile."""

    def __init__(
        self,
        seed: int = 0,
        *,
        hook: Hook = nothing,
        build: Build = PRODUCTION,
        shards: int = 2,
        enforced: frozenset[Rule] = ALL,
        latency: float = LATENCY_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        retention_seconds: float = RETENTION_SECONDS,
        buffer_bytes: int = BUFFER_BYTES,
        tracing: bool = False,
    ) -> None:
        self.buffer_bytes = buffer_bytes
        self.hook = hook
        self.build = build
        self.injected: Counter[tuple[Fault, str]] = Counter()
        """Faults by kind and port call."""
        self.calls: list[Call] = []
        self.trace: list[str] | None = [] if tracing else None
        self.desired = 0
        """How many workers there shall be."""
        self._loop = VirtualLoop()
        self._slowest = latency
        self._latency = random.Random(f"latency {seed}")
        self._clocks = random.Random(f"clocks {seed}")
        self.traffic = Traffic(random.Random(f"traffic {seed}"))
        self.clock = WorldClock(self._loop)
        self.stream = MemoryStream(
            self.clock,
            shards=shards,
            idle_seconds=idle_seconds,
            retention_seconds=retention_seconds,
            page_records=3,
            limits=replace(UNLIMITED, iterator_seconds=ITERATOR_SECONDS),
            disturbance=Disturbance(seed=seed, empty_pages=0.05, failed_entries=0.05, lost_answers=0.05),
        )
        self._aggregating = AggregatingProducer(
            self.stream, ShardMap(self.stream.shards, self.clock), max_bytes=AGGREGATE_BYTES
        )
        self.archive = Archive(self.stream)
        self.produced: set[bytes] = set()
        """Payloads of all events."""
        self.stream_info = self._loop.run(self.stream.info())
        self.lineage = lineage("simulation", self.stream_info)
        self.leases = build.leases()
        self.store = build.store(remembers_uploads=bool(seed % 2))
        self.counters = build.counters()
        self.judge = Judge(enforced)
        self.watch = Watch(self, self.judge)
        self.carrier = Carrier(self.counters, self._landed)
        self.workers: list[Worker] = []
        self.history: list[dict[LeaseKey, Lease]] = [{}]
        """The control table after each write."""
        self._names = itertools.count()
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._logs = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._logs.enter_context(logs_to(self.say if self.trace is not None else None))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._broken.cancel()
        for worker in self.workers:
            worker.crash()
        self._loop.end()
        self._logs.close()

    # What can be done to the world.

    def start(self, version: int = 0) -> None:
        """A worker more."""
        self.desired += 1
        self._loop.run(self._start(version))

    def produce(self, count: int, *, aggregated: bool = False) -> None:
        """Events more on the stream, each in a record of its own or several together."""
        entries = self.traffic.entries(count)
        self.produced |= {entry.data for entry in entries}
        self.say(f"{count} events are put on the stream{', aggregated' if aggregated else ''}")
        self._loop.run((self._aggregating if aggregated else self.stream).put(entries))
        self.archive.update()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._loop.run(asyncio.wait({self._broken}, timeout=seconds))
        if self._broken.done():
            self._broken.result()

    def deploy(self, worker: Worker) -> None:
        """Stop a worker, and start one of the next version beside it."""
        worker.terminate()
        self._loop.create_task(self._start(worker.version + 1))

    def retire(self, worker: Worker) -> None:
        """A worker less, by SIGTERM, and none in its place."""
        self.desired -= 1
        worker.terminate()

    # What workers and their network ask of it.

    def announce(self, worker: Worker, request: Request) -> Fault | None:
        """A worker makes a call: what shall happen to it?"""
        call = Call(index=len(self.calls), worker=worker.name, name=request.name, subject=request.subject)
        self.calls.append(call)
        fault = self.hook(call)
        if fault is not None:
            self.injected[fault, call.name] += 1
        if self.trace is not None and (fault is not None or request.name not in {"clock.sleep", "reader.read"}):
            self.say(f"{call.worker} {call.name} {call.subject} {f'*** {fault}' if fault else ''}", call.index)
        return fault

    def ports(self, worker: Worker) -> dict[str, Any]:
        """What a worker's calls reach, by the name of the port."""
        store = self.build.store_of(self.store, worker)
        return {"leases": self.leases, "store": store, "counters": self.counters, "stream": self.stream}

    def observed(self, worker: Worker, shard_id: ShardId, reader: ShardReader) -> ShardReader:
        """A worker opens a reader: what shall it read with?"""
        return reader

    def latency(self) -> float:
        """Seconds that a request or an answer takes."""
        return self._latency.uniform(0.001, self._slowest)

    def ended(self, worker: Worker) -> None:
        """A worker is gone, for whatever reason; another one is started in its place after a while."""
        self.say(f"{worker.name} has ended: {worker.error or ('killed' if worker.crashed else 'drained')}")
        self.judge.checked[Rule.DEFECT] += 1
        if worker.error is not None and not isinstance(worker.error, HeadraceError):
            self._fail(ViolationError(Rule.DEFECT, f"{worker.name} ended by {worker.error!r}"))
        self.later(RESTART_SECONDS, lambda: self._replace(worker.version))

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        if not self._closing:
            self._loop.call_later(seconds, what)

    def _fail(self, violation: BaseException) -> None:
        """Something is wrong: `advance` will raise it."""
        self.say(f"VIOLATION {violation}")
        if not self._broken.done():
            self._broken.set_exception(violation)

    def say(self, what: str, index: int | None = None) -> None:
        """A line for the trace."""
        if self.trace is not None:
            number = "" if index is None else f"#{index}"
            self.trace.append(f"{self.clock.monotonic():9.3f} {number:>6} {what.rstrip()}")

    # What is in it.

    def row(self, shard_id: ShardId) -> Lease | None:
        """A shard's row in the control table."""
        return self.leases._rows.get(lease_key(self.stream_info, shard_id))

    @property
    def live(self) -> list[Worker]:
        """Workers that run, are not stopped and have not been told to end."""
        return [worker for worker in self.workers if worker.running and not worker.draining]

    @property
    def broken(self) -> bool:
        """Whether a rule was broken."""
        return self._broken.done()

    def shards(self) -> list[Shard]:
        """All of the stream's, open and closed."""
        return self._loop.run(self.stream.shards())

    def open_shards(self) -> list[Shard]:
        """Shards that still take records, in the order of their hash keys."""
        return sorted((shard for shard in self.shards() if not shard.closed), key=lambda shard: shard.hash_range)

    async def _start(self, version: int) -> None:
        self._new_worker(version)

    def _new_worker(self, version: int) -> None:
        wall = self._clocks.uniform(-SKEW_SECONDS, SKEW_SECONDS)
        name = f"w{next(self._names)}"
        self.say(f"{name} of version {version} starts")
        monotonic = self._clocks.uniform(0.0, 1e6)
        self.workers.append(Worker(self, name, version=version, wall=wall, monotonic=monotonic))

    def _replace(self, version: int) -> None:
        if not self._closing and len(self.live) < self.desired:
            self._new_worker(version)

    def _landed(self, request: Request, outcome: Any) -> None:
        told = f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else ""
        self.say(f"   {request.name} {request.subject} lands {told}")
        if request.name.startswith("leases."):
            self._remember()
        try:
            self.watch.after(request)
        except ViolationError as violation:
            self._fail(violation)

    def _remember(self) -> None:
        self.history.append(dict(self.leases._rows))
