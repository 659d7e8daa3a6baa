"""A seed's run: a walk through everything that can be done to the fleet and go wrong with it."""

import itertools
import random
from collections.abc import Callable

from tests.simulation import resharding
from tests.simulation.disasters import lapse, restore
from tests.simulation.faults import JUMP_SECONDS, Call, Fault, Weather
from tests.simulation.world import World

STEPS = (14, 30)
RECORDS = 90
"""At most, so that a run stays short."""
WORKERS = 4
PORTS = ("leases", "store", "counters", "stream", "reader", "cpu", "clock")
LATENCIES = (0.02, 0.02, 0.02, 0.2, 0.4)
"""Seconds a request takes at most, one of them for each seed; four calls there and back still fit into a renewal."""
STORM = 0.15
"""Chance of a fault per call while it lasts."""


AGGREGATED = 0.4
"""Share of puts whose events travel together."""


def after_some(port: str, skip: int) -> Callable[[Call], bool]:
    """Matches a call of a port when so many of them have gone by."""
    left = itertools.count(skip, -1)
    return lambda call: call.name.startswith(f"{port}.") and next(left) <= 0


class Walk:
    """One step is one method; the names are those of docs/delivery.md's failure matrix where it has one."""

    def __init__(self, world: World, weather: Weather, rng: random.Random) -> None:
        self._world = world
        self._weather = weather
        self._rng = rng
        self._produced = 0

    def produce(self) -> None:
        """Records come in."""
        count = min(self._rng.randrange(1, 10), RECORDS - self._produced)
        if count > 0:
            self._produced += count
            self._world.produce(count, aggregated=self._rng.random() < AGGREGATED)

    def wait(self) -> None:
        """Time passes."""
        self._world.advance(self._rng.choice((0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0)))

    def accident(self) -> None:
        """One fault at one of the next calls of one port."""
        port = self._rng.choice(PORTS)
        fault = self._rng.choice(list(Fault))
        self._weather.expect(after_some(port, self._rng.randrange(4)), fault)
        self.wait()

    def storm(self) -> None:
        """A share of all calls goes wrong for a while."""
        self._weather.rate = self._rng.uniform(0.01, STORM)
        self._world.advance(self._rng.uniform(1.0, 20.0))
        self._weather.rate = 0.0

    def crash(self) -> None:
        """kill -9."""
        if live := self._world.live:
            self._rng.choice(live).crash()

    def pause(self) -> None:
        """kill -STOP, and -CONT later."""
        if live := self._world.live:
            self._rng.choice(live).pause(self._rng.uniform(1.0, 40.0))

    def terminate(self) -> None:
        """SIGTERM."""
        if live := self._world.live:
            self._rng.choice(live).terminate()

    def deploy(self) -> None:
        """Another version takes over."""
        if live := self._world.live:
            self._world.deploy(self._rng.choice(live))
            self._world.advance(0.1)

    def restore(self) -> None:
        """The control table is lost, and an older copy takes its place."""
        restore(self._world, self._rng.randrange(1 << 16))

    def lapse(self) -> None:
        """Nobody is there for longer than the stream keeps anything."""
        lapse(self._world)

    def roll(self) -> None:
        """A rolling deploy: each worker gets a successor, one after the other."""
        for worker in self._world.live:
            self._world.deploy(worker)
            self._world.advance(self._rng.choice((0.1, 2.0, 6.0)))

    def shrink(self) -> None:
        """SIGTERM, and nobody in its place: the others claim what it has."""
        if len(self._world.live) > 1:
            self._world.retire(self._rng.choice(self._world.live))
            self._world.advance(self._rng.choice((0.1, 1.0, 5.0)))

    def jump(self) -> None:
        """A wall clock is set."""
        if live := self._world.live:
            self._rng.choice(live).clock.jump(self._rng.choice((-JUMP_SECONDS, JUMP_SECONDS)))

    def scale(self) -> None:
        """A worker more, which steals."""
        if len(self._world.live) < WORKERS:
            self._world.start(self._rng.randrange(2))

    def split(self) -> None:
        """A reshard."""
        if len(self._world.open_shards()) < WORKERS:
            resharding.split(self._world, self._rng.randrange(10))

    def resize(self) -> None:
        """Many reshards at once."""
        resharding.resize(self._world, self._rng.randint(1, WORKERS), between=self._rng.choice((0.0, 0.0, 3.0)))

    def merge(self) -> None:
        """A reshard the other way."""
        resharding.merge(self._world, self._rng.randrange(10))


WEIGHTS: dict[Callable[[Walk], None], int] = {
    Walk.produce: 7,
    Walk.wait: 7,
    Walk.accident: 16,
    Walk.storm: 4,
    Walk.crash: 2,
    Walk.pause: 2,
    Walk.terminate: 1,
    Walk.deploy: 1,
    Walk.restore: 1,
    Walk.lapse: 1,
    Walk.roll: 1,
    Walk.shrink: 1,
    Walk.jump: 1,
    Walk.scale: 2,
    Walk.split: 2,
    Walk.merge: 2,
    Walk.resize: 1,
}


def wander(world: World, weather: Weather, rng: random.Random) -> None:
    """Begin with a worker and some records, then as the seed has it."""
    walk = Walk(world, weather, rng)
    world.start(rng.randrange(2))
    walk.produce()
    steps = rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=rng.randint(*STEPS))
    for step in steps:
        step(walk)
    weather.clear()
