"""A world that is looked at with a stop-watch: who holds what, who reads what, and what the control table is asked."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease, LeaseKey
from headrace.stream.ports import Page, ShardId, ShardReader
from tests.simulation.build import Build
from tests.simulation.faults import Fault
from tests.simulation.network import Request
from tests.simulation.worker import Worker
from tests.simulation.world import World

BUFFER_BYTES = 64 << 20
"""The default of production."""
KEEPING = frozenset({"list", "get", "create", "take", "claim", "renew", "release", "remove"})
TICK_SECONDS = 0.1
"""Between two looks at the fleet."""


class CachedLeaseStore(MemoryLeaseStore):
    """Remembers the rows as they were read: a listing of hundreds of rows finds most of them unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[LeaseKey, tuple[Lease, Lease]] = {}

    async def list(self, prefix: str) -> list[Lease]:
        """See `LeaseStore`."""
        changed = [key for key, row in self._rows.items() if key not in self._read or self._read[key][0] is not row]
        for key in changed:
            row = await self.get(key)
            assert row is not None
            self._read[key] = (self._rows[key], row)
        return [self._read[key][1] for key in sorted(self._rows)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """A shard went from one reader to the next."""

    at: float
    """When the next one began to read; virtual seconds, as all times here."""
    shard_id: ShardId
    before: Worker
    after: Worker
    pause: float
    """Since nobody read it."""


class TimedReader:
    """A reader whose reads the world notes down."""

    def __init__(self, world: "MeasuredWorld", worker: Worker, shard_id: ShardId, inner: ShardReader) -> None:
        self.worker = worker
        self.over_at: float | None = None
        """When its last read was over, answered or given up; None while one is under way."""
        self._world = world
        self._shard_id = shard_id
        self._inner = inner

    async def read(self) -> Page:
        """See `ShardReader`."""
        self._world.begins(self._shard_id, self)
        self.over_at = None
        try:
            return await self._inner.read()
        finally:
            self.over_at = self._world.clock.monotonic()


class MeasuredWorld(World):
    """Nothing goes wrong in it by chance: what is measured is what the fleet does by itself."""

    def __init__(self, *, shards: int, idle_seconds: float, tracing: bool = False) -> None:
        super().__init__(
            shards=shards, build=Build(leases=CachedLeaseStore), idle_seconds=idle_seconds, buffer_bytes=BUFFER_BYTES,
            tracing=tracing,
        )  # fmt: skip
        self.asked: Counter[str] = Counter()
        """Calls, by port and method."""
        self.moves = 0
        """Leases that were taken."""
        self.handovers: list[Handover] = []
        self._readers: dict[ShardId, TimedReader] = {}

    def announce(self, worker: Worker, request: Request) -> Fault | None:
        """Count the call; nothing happens to it."""
        self.asked[request.name] += 1
        return super().announce(worker, request) if self.trace is not None else None

    def observed(self, worker: Worker, shard_id: ShardId, reader: ShardReader) -> ShardReader:
        """With a stop-watch."""
        return TimedReader(self, worker, shard_id, reader)

    def begins(self, shard_id: ShardId, reader: TimedReader) -> None:
        """A shard is read, perhaps by another one than before."""
        before = self._readers.get(shard_id)
        if before is not reader:
            self._readers[shard_id] = reader
            if before is not None:
                now = self.clock.monotonic()
                self.handovers.append(
                    Handover(
                        at=now,
                        shard_id=shard_id,
                        before=before.worker,
                        after=reader.worker,
                        pause=0.0 if before.over_at is None else now - before.over_at,
                    )
                )

    @property
    def control_calls(self) -> Counter[str]:
        """What the control table was asked in order to keep leases, by method. The rest delivers batches."""
        calls = {name.removeprefix("leases."): count for name, count in self.asked.items()}
        return Counter({name: count for name, count in calls.items() if name in KEEPING})

    @property
    def workable(self) -> list[Lease]:
        """Rows of shards that can be read: not those that ended, nor children whose parents have not."""
        rows = self.leases._rows.values()
        unfinished = {row.shard_id for row in rows if not row.ended}
        return [row for row in rows if not row.ended and unfinished.isdisjoint(row.parents)]

    @property
    def loads(self) -> dict[str, int]:
        """Shards by worker, of those that live and are not leaving."""
        names = {worker.name: 0 for worker in self.live}
        for row in self.workable:
            if row.owner in names:
                names[row.owner] += 1
        return names

    @property
    def balanced(self) -> bool:
        """Every open shard has a row and a living owner, and no two owners differ by more than one shard."""
        loads = self.loads.values()
        rows = {row.shard_id for row in self.workable}
        return (
            bool(loads)
            and sum(loads) == len(rows)
            and max(loads) - min(loads) <= 1
            and rows.issuperset(shard.shard_id for shard in self.open_shards())
        )

    def fewest_moves(self) -> int:
        """How many leases must change hands from here until the fleet is balanced."""
        loads = sorted(self.loads.values(), reverse=True)
        total = len(self.workable)
        share, larger = divmod(total, len(loads))
        surplus = sum(max(0, load - share - (place < larger)) for place, load in enumerate(loads))
        return total - sum(loads) + surplus

    def _landed(self, request: Request, outcome: Any) -> None:
        if request.name == "leases.take" and isinstance(outcome, Lease):
            self.moves += 1
        super()._landed(request, outcome)

    def _remember(self) -> None:
        """Nobody restores this table."""
