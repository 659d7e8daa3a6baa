"""One process of the fleet: the transformer's parts, wired as the service wires them, on simulated ports."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace.delivery.batch import BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.fleet import Fleet
from headrace.delivery.shard import ShardWorker
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.leases.holding import CaughtUp
from headrace.leases.keeper import LeaseKeeper
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.sync import ShardSync
from headrace.runtime import Shutdown
from headrace.stream.ports import Position, ShardId, ShardReader
from headrace.stream.shard_map import ShardMap
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from tests.simulation.clocks import WorkerClock
from tests.simulation.network import Network, Ported

if TYPE_CHECKING:
    from tests.simulation.world import World

FAILOVER_SECONDS = 10.0
SHUTDOWN_SECONDS = 100.0
DEDUP_SECONDS = 1e6
"""Longer than any run, so that a repeat in the same shard is one whenever it comes."""

POLICIES = (BatchPolicy(rows=4, age=2.0), BatchPolicy(rows=7, age=3.0, partitions=2))
"""By version: two versions cut batches differently."""

transformer = Transformer(Policy(), Enricher(), anonymous_key=b"simulation")
metrics = Metrics()
"""Shared by all workers of all worlds of this process: nobody looks at them here, and making some takes a while."""


class Worker:
    """A process: started once, and gone for good when it has ended, crashed or drained."""

    def __init__(self, world: "World", name: str, *, version: int, wall: float, monotonic: float) -> None:
        self.name = name
        self.version = version
        self._world = world
        self._network = Network(world, self)
        self.clock = WorkerClock(world.clock, self._sleep, wall=wall, monotonic=monotonic)
        self._shutdown = Shutdown(SHUTDOWN_SECONDS, self.clock)
        self._awake = asyncio.Event()
        self._awake.set()
        self._wakes_at = 0.0
        self.crashed = False
        self.taken: set[tuple[LeaseKey, int]] = set()
        """Leases that it was told it has, and the epoch."""
        self.error: BaseException | None = None
        """What ended it, if it was not told to."""
        self.fleet = self._fleet()
        self._task = asyncio.get_running_loop().create_task(self.fleet.run(self._shutdown))
        self._task.add_done_callback(self._ended)

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return not self.crashed and not self._task.done()

    @property
    def draining(self) -> bool:
        """Whether it has been told to stop."""
        return self._shutdown.requested

    async def awake(self) -> None:
        """Wait while the worker is stopped. A worker that has vanished gets no further than here."""
        if not self.crashed:
            await self._awake.wait()
        if self.crashed:
            raise asyncio.CancelledError

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after that long."""
        self._awake.clear()
        self._wakes_at = max(self._wakes_at, self._world.clock.monotonic() + seconds)
        self._world.later(seconds, self._wake_when_due)

    def wake(self) -> None:
        """SIGCONT."""
        self._awake.set()

    def crash(self) -> None:
        """SIGKILL. What its code does on the way out reaches no port any more."""
        if self.running:
            self.crashed = True
            self._task.cancel()

    def terminate(self) -> None:
        """SIGTERM."""
        self._shutdown.request()

    async def _sleep(self, seconds: float) -> None:
        await self._network.local("clock.sleep", asyncio.sleep, seconds)

    def _wake_when_due(self) -> None:
        if self._world.clock.monotonic() > self._wakes_at - 1e-6:
            self.wake()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.error = task.exception()
        self._world.ended(self)

    def _fleet(self) -> Fleet:
        world, clock = self._world, self.clock
        health = Health(clock=clock)
        leases, store, counters, stream = (
            Ported(port, name, self._network) for name, port in world.ports(self).items()
        )
        policy = POLICIES[self.version % len(POLICIES)]
        planner = world.build.planner(transformer, policy, lineage=world.lineage)
        delivery = world.build.delivery(store, counters, leases, lineage=world.lineage, metrics=metrics, clock=clock)
        recovery = world.build.recovery(delivery, leases)
        budget = BufferBudget(world.buffer_bytes)

        def open_reader(shard_id: ShardId, position: Position) -> ShardReader:
            reader: ShardReader = Ported(stream.open(shard_id, position), "reader", self._network)
            return world.observed(self, shard_id, reader)

        async def in_thread(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            async def inline() -> Any:
                return function(*args, **kwargs)

            return await self._network.local("cpu.plan", inline)

        shard_map = ShardMap(stream.shards, clock)
        sync = ShardSync(
            leases, stream, world.stream_info, start="TRIM_HORIZON", clock=clock, metrics=metrics, roll=lambda: 0.0
        )

        def make_keeper(caught_up: CaughtUp) -> LeaseKeeper:
            return LeaseKeeper(
                leases, sync, owner=self.name, failover=FAILOVER_SECONDS,
                caught_up=caught_up, clock=clock, metrics=metrics,
            )  # fmt: skip

        def make_worker(lease: Lease) -> ShardWorker:
            return ShardWorker(
                lease, open_reader, planner, delivery, recovery,
                info=world.stream_info, before_end=sync.run, is_gone=sync.is_gone, policy=policy, budget=budget,
                dedup_seconds=DEDUP_SECONDS, clock=clock, metrics=metrics, health=health, in_thread=in_thread,
                hash_range=shard_map.hash_range,
            )  # fmt: skip

        return world.build.fleet(make_keeper, make_worker, metrics=metrics, health=health)
