"""What the partitioner's tests are made of: a queue, a catalogue that fails as told, waits that are over at once."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.catalog.memory import MemoryCatalog
from headrace.clock import ManualClock
from headrace.lake.layout import HourPartition
from headrace.lake.memory import MemoryStore
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.partitioner.partitioner import Partitioner
from services.partitioner.queue import Message, NotificationQueue
from services.partitioner.registrar import Registrar

HOURS = [HourPartition("2026", "04", "09", f"{hour:02}") for hour in range(24)]


def message(*partitions: HourPartition, receipt: str = "r", receives: int = 1) -> Message:
    keys = [f"events/{partition.path}/a.parquet" for partition in partitions]
    records = [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}} for key in keys]
    return Message(body=json.dumps({"Records": records}), receipt=receipt, receives=receives)


class FakeQueue:
    """Hands out batches in turn, then waits for ever; remembers what was deleted, and put off for how long."""

    def __init__(self, *batches: Sequence[Message]) -> None:
        self.batches = list(batches)
        self.deleted: list[str] = []
        self.postponed: list[tuple[str, int]] = []
        self.idle = asyncio.Event()

    async def receive(self) -> Sequence[Message]:
        if self.batches:
            return self.batches.pop(0)
        self.idle.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def delete(self, messages: Sequence[Message]) -> None:
        self.deleted += [message.receipt for message in messages]

    async def postpone(self, messages: Sequence[Message], seconds: Callable[[Message], int]) -> None:
        self.postponed += [(message.receipt, seconds(message)) for message in messages]


class TroubledCatalog(MemoryCatalog):
    """Fails as often as told, and writes down what it was asked to add."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.added: list[list[HourPartition]] = []

    async def add_partitions(self, partitions: Sequence[HourPartition]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.added.append(list(partitions))
        await super().add_partitions(partitions)


class EagerShutdown(Shutdown):
    """A shutdown whose waits with a limit are over at once, and noted."""

    def __init__(self) -> None:
        super().__init__(1.0, ManualClock())
        self.pauses: list[float] = []

    async def wait(self, seconds: float | None = None) -> bool:
        if seconds is None:
            return await super().wait()
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        return self.requested


@dataclass(kw_only=True)
class World:
    """A partitioner and all that it touches."""

    queue: NotificationQueue = field(default_factory=FakeQueue)
    catalog: MemoryCatalog = field(default_factory=MemoryCatalog)
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)
    metrics: Metrics = field(default_factory=Metrics)
    shutdown: EagerShutdown = field(default_factory=EagerShutdown)
    sweep_seconds: float = 3600.0

    def __post_init__(self) -> None:
        self.health = Health(clock=self.clock)
        self.registrar = Registrar(catalog=self.catalog, metrics=self.metrics, health=self.health, clock=self.clock)
        self.health.add_check("table", self.registrar.check)
        self.partitioner = Partitioner(
            queue=self.queue,
            registrar=self.registrar,
            store=self.store,
            metrics=self.metrics,
            health=self.health,
            clock=self.clock,
            sweep_seconds=self.sweep_seconds,
        )

    async def land(self, hours: Iterable[HourPartition]) -> None:
        for hour in hours:
            await self.store.put(f"events/{hour.path}/a.parquet", b"")

    async def run_until(self, moment: asyncio.Event) -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(self.partitioner.run(self.shutdown))
            await moment.wait()
            self.shutdown.request()

    def counted(self, name: str, **labels: Any) -> float | None:
        return self.metrics.registry.get_sample_value(f"headrace_{name}", labels)


async def run(queue: FakeQueue, catalog: MemoryCatalog | None = None, **parts: Any) -> World:
    """A partitioner at work until its queue is empty."""
    world = World(queue=queue, catalog=catalog or MemoryCatalog(), **parts)
    await world.run_until(queue.idle)
    return world
