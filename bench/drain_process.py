"""A transformer process on memory adapters, for `bench.drain`."""

from collections.abc import Callable
from typing import Any, cast

from headrace.clock import Clock
from headrace.counters.memory import MemoryCounters
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.deliver import Delivery
from headrace.delivery.fleet import Fleet
from headrace.delivery.plan import Planner
from headrace.delivery.recover import Recovery
from headrace.delivery.shard import ShardWorker
from headrace.events.transform import Transformer
from headrace.lake.memory import MemoryStore
from headrace.lake.parts import cut
from headrace.lake.ports import ObjectStore
from headrace.leases.holding import CaughtUp
from headrace.leases.keeper import LeaseKeeper
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease
from headrace.leases.ports import LeaseStore
from headrace.leases.sync import ShardSync
from headrace.settings import load
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import StreamInfo
from headrace.stream.shard_map import ShardMap
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics

LINEAGE = "bench"


class Process:
    """A transformer process but for its network, wired as `services.transformer.app` does it."""

    def __init__(self, stream: MemoryStream, info: StreamInfo, clock: Clock) -> None:
        settings, health = load(), Health()
        self.metrics = metrics = Metrics()
        self.memory = MemoryStore()
        self.leases, self.store = Counted(MemoryLeaseStore(), _to_dynamodb), Counted(self.memory, _to_s3)
        leases, store = cast("LeaseStore", self.leases), cast("ObjectStore", self.store)
        policy = BatchPolicy.of(settings)
        self.budget = budget = BufferBudget(settings.buffer_bytes)
        planner = Planner(Transformer.of(settings), policy, lineage=LINEAGE)
        delivery = Delivery(store, MemoryCounters(), leases, lineage=LINEAGE, metrics=metrics, clock=clock)
        recovery = Recovery(delivery, leases)
        sync = ShardSync(leases, stream, info, start="TRIM_HORIZON", clock=clock, metrics=metrics)
        shard_map = ShardMap(stream.shards, clock)

        def make_keeper(caught_up: CaughtUp) -> LeaseKeeper:
            return LeaseKeeper(
                leases, sync, owner="bench", failover=settings.failover_seconds,
                caught_up=caught_up, clock=clock, metrics=metrics,
            )  # fmt: skip

        def make_worker(lease: Lease) -> ShardWorker:
            return ShardWorker(
                lease, stream.open, planner, delivery, recovery,
                info=info, before_end=sync.run, policy=policy, budget=budget,
                dedup_seconds=settings.dedup_window, trip_after=settings.trip_after,
                clock=clock, metrics=metrics, health=health, hash_range=shard_map.hash_range,
            )  # fmt: skip

        self.fleet = Fleet(make_keeper, make_worker, metrics=metrics, health=health)


class Counted:
    """Hands every call on to `inner`, and counts the requests that it would be to AWS."""

    def __init__(self, inner: object, requests: Callable[..., int]) -> None:
        self._inner = inner
        self._requests = requests
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += self._requests(name, *args)
            return method(*args, **kwargs)

        return call


def _to_dynamodb(method: str, *args: Any) -> int:
    return len(args[0]) if method == "create" else 1


def _to_s3(method: str, *args: Any) -> int:
    return 1 + len(list(cut(len(args[1])))) if method == "stage" else 1
