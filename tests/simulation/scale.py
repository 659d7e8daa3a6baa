"""Fleets of many workers on streams of many shards: time to balance, what it costs, and how long a shard waits for it.

Each case brings a fleet to rest, does something to it, measures until it is balanced again, and watches it at rest. The
fleet, its keepers and its shard workers are production's; records are few, and an idle shard is read seldom.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from headrace.leases.keeper import IDLE_LOOKS_PER_FAILOVER, LOOKS_PER_FAILOVER, RENEWALS_PER_FAILOVER
from headrace.leases.sync import SYNC_SECONDS
from tests.simulation.healing import conclude
from tests.simulation.measuring import TICK_SECONDS, MeasuredWorld
from tests.simulation.resharding import resize
from tests.simulation.rules import ViolationError
from tests.simulation.worker import FAILOVER_SECONDS

PAUSE_SECONDS = 2.0
"""A shard that is handed over waits less."""
MOVED_SECONDS = FAILOVER_SECONDS + 2.0
"""Within this time after the death of its worker a shard is read again."""
IDLE_SECONDS = 30.0
"""Between two reads of an idle shard: many shards, and what is measured is not how they are read."""
PATIENCE_SECONDS = 600.0
MINUTE = 60.0
RENEWALS = MINUTE * RENEWALS_PER_FAILOVER / FAILOVER_SECONDS
LISTINGS = MINUTE * LOOKS_PER_FAILOVER / FAILOVER_SECONDS
IDLE_LISTINGS = MINUTE * IDLE_LOOKS_PER_FAILOVER / FAILOVER_SECONDS
SYNCS = MINUTE / (0.8 * SYNC_SECONDS)
"""Calls a minute: of a shard, of a worker that holds some, of one that holds none, and of each worker beside that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A case: the fleet before, and what happens to it."""

    name: str
    title: str
    shards: int
    workers: int = 0
    event: Callable[[MeasuredWorld], None]
    within: float
    """Seconds in which it must be balanced, from the beginning of the event."""
    fewest: int | None = None
    """Moves that are needed; None: as the loads are right after the event."""
    rest: float = 10 * MINUTE
    """Seconds that it is watched afterwards."""
    idle: float = IDLE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured, in virtual seconds and calls of the control table that keep leases."""

    size: Size
    shards: int = 0
    workers: int = 0
    """As they were in the end."""
    balanced: float = 0.0
    needed: int = 0
    moves: int = 0
    """Leases that were taken until then."""
    asked: int = 0
    """Calls until then."""
    resting: Mapping[str, float] = field(default_factory=dict)
    """Calls a minute at rest, by method."""
    wandered: int = 0
    """Leases that were taken at rest."""
    pause: float = 0.0
    """The longest of a shard whose owner lived: nobody read it."""
    outage: float = 0.0
    """The longest of a shard whose owner was killed."""
    violation: str | None = None
    seconds: float = 0.0
    """Of CPU."""

    @property
    def allowed(self) -> float:
        """Calls a minute of such a fleet at rest, at most."""
        busy = min(self.workers, self.shards)
        idle = self.workers - busy
        return RENEWALS * self.shards + LISTINGS * busy + IDLE_LISTINGS * idle + SYNCS * self.workers

    @property
    def problems(self) -> list[str]:
        """What is more than it may be."""
        if self.violation is not None:
            return [self.violation]
        rate = sum(self.resting.values())
        checks = {
            f"balanced after {self.balanced:.1f} s, not {self.size.within:.0f}": self.balanced <= self.size.within,
            f"{self.wandered} moves at rest": not self.wandered,
            f"a shard was not read for {self.pause:.2f} s though its owner lived": self.pause < PAUSE_SECONDS,
            f"a killed worker's shard was not read for {self.outage:.1f} s": self.outage <= MOVED_SECONDS,
            f"{rate:,.0f} calls a minute at rest, not {self.allowed:,.0f}": rate <= self.allowed,
        }
        return [what for what, holds in checks.items() if not holds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What was counted up to a moment."""

    at: float
    moves: int
    handovers: int
    calls: Counter[str]

    @classmethod
    def of(cls, world: MeasuredWorld) -> "Mark":
        """Now."""
        return cls(
            at=world.clock.monotonic(), moves=world.moves, handovers=len(world.handovers), calls=world.control_calls
        )


def measure(size: Size, *, tracing: bool = False) -> tuple[Figures, list[str]]:
    """Play a case. Returns its figures and, if wanted, its trace."""
    began = time.process_time()
    with MeasuredWorld(shards=size.shards, idle_seconds=size.idle, tracing=tracing) as world:
        try:
            return _measure(size, world, began), list(world.trace or ())
        except ViolationError as violation:
            seconds = time.process_time() - began
            return Figures(size=size, violation=str(violation), seconds=seconds), list(world.trace or ())


def _measure(size: Size, world: MeasuredWorld, began: float) -> Figures:
    if size.workers:
        _start(world, size.workers)
        _until_balanced(world)
        world.advance(FAILOVER_SECONDS)
    world.produce(20)
    start = Mark.of(world)
    size.event(world)
    needed = size.fewest if size.fewest is not None else world.fewest_moves()
    _until_balanced(world)
    balanced = Mark.of(world)
    world.advance(FAILOVER_SECONDS)
    settled = Mark.of(world)
    world.advance(size.rest)
    end = Mark.of(world)
    shards, workers = len(world.workable), len(world.live)
    conclude(world)
    handovers = world.handovers[start.handovers : end.handovers]
    calls = end.calls - settled.calls
    return Figures(
        size=size,
        shards=shards,
        workers=workers,
        balanced=balanced.at - start.at,
        needed=needed,
        moves=balanced.moves - start.moves,
        asked=(balanced.calls - start.calls).total(),
        resting={name: count * MINUTE / size.rest for name, count in calls.items()},
        wandered=end.moves - balanced.moves,
        pause=max((each.pause for each in handovers if not each.before.crashed), default=0.0),
        outage=max((each.pause for each in handovers if each.before.crashed), default=0.0),
        seconds=time.process_time() - began,
    )


def _until_balanced(world: MeasuredWorld) -> None:
    """Some records come in meanwhile."""
    deadline = world.clock.monotonic() + PATIENCE_SECONDS
    while not world.balanced and world.clock.monotonic() < deadline:
        world.advance(TICK_SECONDS)
        if int(world.clock.monotonic() / TICK_SECONDS) % 20 == 0:
            world.produce(1)


def _start(world: MeasuredWorld, count: int) -> None:
    for _ in range(count):
        world.start()


def _kill(world: MeasuredWorld, count: int) -> None:
    for worker in world.live[:count]:
        world.desired -= 1
        worker.crash()


def _stop(world: MeasuredWorld) -> None:
    world.retire(world.live[0])


def _deploy(world: MeasuredWorld) -> None:
    """Each worker gets a successor, and is told to stop once that is at work."""
    for worker in world.live:
        world.start(worker.version + 1)
        world.advance(5.0)
        world.retire(worker)
        while worker.running:
            world.advance(TICK_SECONDS)


def _resize(world: MeasuredWorld, count: int) -> None:
    """UpdateShardCount."""
    resize(world, count)


SIZES: Mapping[str, Size] = {
    size.name: size
    for size in (
        Size(name="one", title="1 starts", shards=1, event=partial(_start, count=1), fewest=1, within=5.0),
        Size(name="few", title="3 start", shards=8, event=partial(_start, count=3), fewest=8, within=10.0),
        Size(name="many", title="20 start", shards=50, event=partial(_start, count=20), fewest=50, within=30.0),
        Size(
            name="most", title="100 start", shards=500, event=partial(_start, count=100), fewest=500, within=30.0,
            rest=MINUTE,
        ),
        Size(name="spare", title="5 start", shards=2, event=partial(_start, count=5), fewest=2, within=10.0),
        Size(name="join", title="a second joins", shards=500, workers=1, event=partial(_start, count=1), within=45.0),
        Size(name="leave", title="1 of 20 stopped", shards=50, workers=20, event=_stop, within=15.0),
        Size(name="deploy", title="rolling deploy", shards=50, workers=20, event=_deploy, fewest=50, within=240.0),
        Size(name="kill", title="1 of 20 killed", shards=50, workers=20, event=partial(_kill, count=1), within=15.0),
        Size(
            name="disaster", title="20 of 100 killed", shards=500, workers=100, event=partial(_kill, count=20),
            within=15.0, rest=MINUTE,
        ),
        Size(
            name="double", title="50 → 100 shards", shards=50, workers=20, event=partial(_resize, count=100),
            fewest=100, within=30.0, idle=5.0,
        ),
        Size(
            name="halve", title="100 → 50 shards", shards=100, workers=20, event=partial(_resize, count=50),
            fewest=50, within=30.0, idle=5.0,
        ),
    )
}  # fmt: skip
"""By name."""
