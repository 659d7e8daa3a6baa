"""The same walk as `wandering`, as a Hypothesis state machine: what it finds, it makes as short as it can."""

import random
from collections.abc import Iterable

import hypothesis
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.simulation import resharding
from tests.simulation.build import PRODUCTION, Build
from tests.simulation.disasters import lapse, restore
from tests.simulation.faults import JUMP_SECONDS, Fault, Weather
from tests.simulation.healing import conclude
from tests.simulation.wandering import PORTS, RECORDS, WORKERS, after_some
from tests.simulation.worker import Worker
from tests.simulation.world import World

STEPS = 20

SECONDS = st.sampled_from((4.0, 0.1, 1.0, 12.0))
anyone = st.integers(0, WORKERS - 1)
"""One of the workers, counted round."""


class FleetMachine(RuleBasedStateMachine):
    """Each rule is a step; I1 to I9 are checked after every call that lands, the outcome in the end."""

    build: Build = PRODUCTION
    worlds: list[World]
    """Filled with every world made: a subclass brings its own."""

    def __init__(self) -> None:
        super().__init__()
        self._weather = Weather(random.Random(0))
        self._world = World(hook=self._weather, build=self.build).__enter__()
        self._produced = 0

    @initialize(version=st.integers(0, 1), count=st.integers(3, 9))
    def begin(self, version: int, count: int) -> None:
        self._world.start(version)
        self.produce(count, aggregated=False)

    @rule(count=st.integers(1, 9), aggregated=st.booleans())
    def produce(self, count: int, *, aggregated: bool) -> None:
        if self._produced + count <= RECORDS:
            self._produced += count
            self._world.produce(count, aggregated=aggregated)

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self._world.advance(seconds)

    @rule(port=st.sampled_from(PORTS), fault=st.sampled_from(Fault), skip=st.integers(0, 3), seconds=SECONDS)
    def accident(self, port: str, fault: Fault, skip: int, seconds: float) -> None:
        self._weather.expect(after_some(port, skip), fault)
        self._world.advance(seconds)

    @rule(rate=st.sampled_from((0.02, 0.1)), seconds=st.sampled_from((2.0, 10.0)))
    def storm(self, rate: float, seconds: float) -> None:
        self._weather.rate = rate
        self._world.advance(seconds)
        self._weather.rate = 0.0

    @rule(who=anyone)
    def crash(self, who: int) -> None:
        for worker in self._one(who):
            worker.crash()

    @rule(who=anyone, seconds=st.sampled_from((2.0, 15.0, 40.0)))
    def pause(self, who: int, seconds: float) -> None:
        for worker in self._one(who):
            worker.pause(seconds)

    @rule(who=anyone)
    def terminate(self, who: int) -> None:
        for worker in self._one(who):
            worker.terminate()

    @rule(who=anyone)
    def deploy(self, who: int) -> None:
        for worker in self._one(who):
            self._world.deploy(worker)

    @rule(choice=st.integers(0, 50))
    def restore(self, choice: int) -> None:
        restore(self._world, choice)

    @rule()
    def lapse(self) -> None:
        lapse(self._world)

    @rule(seconds=st.sampled_from((0.1, 6.0)))
    def roll(self, seconds: float) -> None:
        for worker in self._world.live:
            self._world.deploy(worker)
            self._world.advance(seconds)

    @rule(who=anyone, seconds=SECONDS)
    def shrink(self, who: int, seconds: float) -> None:
        if len(self._world.live) > 1:
            for worker in self._one(who):
                self._world.retire(worker)
            self._world.advance(seconds)

    @rule(who=anyone, seconds=st.sampled_from((-JUMP_SECONDS, JUMP_SECONDS)))
    def jump(self, who: int, seconds: float) -> None:
        for worker in self._one(who):
            worker.clock.jump(seconds)

    @rule(version=st.integers(0, 1))
    def scale(self, version: int) -> None:
        if len(self._world.live) < WORKERS:
            self._world.start(version)

    @rule(choice=st.integers(0, 3))
    def split(self, choice: int) -> None:
        if len(self._world.open_shards()) < WORKERS:
            resharding.split(self._world, choice)

    @rule(choice=st.integers(0, 3))
    def merge(self, choice: int) -> None:
        resharding.merge(self._world, choice)

    @rule(count=st.integers(1, WORKERS), between=st.sampled_from((0.0, 3.0)))
    def resize(self, count: int, between: float) -> None:
        resharding.resize(self._world, count, between=between)

    @invariant()
    def nothing_is_broken(self) -> None:
        self._world.advance(0.0)

    def teardown(self) -> None:
        world = self._world
        try:
            if not world.broken:
                self._weather.clear()
                conclude(world)
        finally:
            world.__exit__()
            self.worlds.append(world)

    def _one(self, who: int) -> Iterable[Worker]:
        """None when nobody is there."""
        live = self._world.live
        return live[who % len(live) :][:1] if live else ()


def explore(seed: int, examples: int, build: Build = PRODUCTION) -> tuple[list[World], str | None]:
    """Try so many walks. Returns their worlds, and the shortest one that breaks a rule, as Hypothesis tells it."""
    found: list[World] = []
    machine = type("FleetMachine", (FleetMachine,), {"worlds": found, "build": build})
    how = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None, print_blob=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    try:
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=how)
    except Exception as error:  # noqa: BLE001 - whatever a walk ends with is the finding
        return found, "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return found, None
