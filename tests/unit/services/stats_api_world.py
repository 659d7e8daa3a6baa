"""The stats API over memory adapters, for its tests."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from headrace.clock import ManualClock
from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import CountKey, Counts, Entity, Window
from headrace.errors import RetryableError
from headrace.leases.memory import MemoryLeaseStore
from headrace.runtime import Context, Shutdown
from headrace.settings import Settings
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Entry, TrimHorizon
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.stats_api.app import Parts, create_app
from services.stats_api.server import listen, serve

EVENT = '{"event_type": "page_view", "session_id": "s1", "timestamp": 1775721600, "product_id": "p1"}'


class CountedReads(MemoryCounters):
    """Counters that tell how often they were read, and wait or fail when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: RetryableError | None = None

    async def counts(self, entity: Entity, entity_id: str, window: Window, *, now: float) -> Counts:
        self.reads += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return await super().counts(entity, entity_id, window, now=now)


class BrokenStream(MemoryStream):
    """A stream that takes nothing while `failure` is set."""

    failure: RetryableError | None = None

    async def put(self, entries: Sequence[Entry]) -> None:
        if self.failure is not None:
            raise self.failure
        await super().put(entries)


@dataclass
class World:
    http: aiohttp.ClientSession
    clock: ManualClock
    counters: CountedReads
    leases: MemoryLeaseStore
    stream: BrokenStream
    metrics: Metrics
    health: Health

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.http.get(path, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def collect(self, body: str | bytes, path: str = "/v1/collect", **headers: str) -> tuple[int, Any]:
        data = io.BytesIO(body.encode() if isinstance(body, str) else body)  # aiohttp warns of large bytes
        async with self.http.post(path, data=data, headers={"Content-Type": "application/json", **headers}) as response:
            return response.status, await response.json(content_type=None)

    async def count(self, *, batch_no: int = 1, entity: Entity = Entity.PRODUCT, **views: int) -> None:
        minute = int(self.clock.now() // 60)
        deltas = {CountKey(entity, name, minute): Counts(views=count) for name, count in views.items()}
        await self.counters.apply("o1", batch_no, deltas, now=self.clock.now(), ledger={})

    async def records(self) -> list[bytes]:
        return [
            record.data
            for shard in await self.stream.shards()
            for record in (await self.stream.open(shard.shard_id, TrimHorizon()).read()).records
        ]


@asynccontextmanager
async def open_api(**settings: Any) -> AsyncIterator[World]:
    """The API with these settings over memory adapters, behind a real server on a free port."""
    clock, metrics = ManualClock(), Metrics()
    health = Health(clock=clock)
    counters, leases, stream = CountedReads(), MemoryLeaseStore(), BrokenStream(clock)
    parts = Parts(
        counters=counters,
        leases=leases,
        stream=stream,
        producer=stream,
        settings=Settings(**settings),
        metrics=metrics,
        health=health,
        clock=clock,
    )
    context = Context(settings=parts.settings, metrics=metrics, health=health, shutdown=Shutdown(5), clock=clock)
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(serve(create_app(parts), listener, context))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}") as http:
            yield World(
                http=http,
                clock=clock,
                counters=counters,
                leases=leases,
                stream=stream,
                metrics=metrics,
                health=health,
            )
    finally:
        context.shutdown.request()
        await serving
