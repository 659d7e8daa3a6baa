"""Fixed stories, each short enough to be played once for every call in it and every fault that call can meet."""

from collections.abc import Callable, Mapping
from enum import StrEnum, auto

from tests.simulation.disasters import restore
from tests.simulation.faults import Call, Fault, Hook
from tests.simulation.resharding import split
from tests.simulation.world import World

SEED = 18
"""Of all scenarios' traffic: with repeats, dead letters, and records for each child of the split."""


class Scenario(StrEnum):
    """What happens beside the fault."""

    STEAL = auto()
    """Two workers of different versions, a shard that changes hands, a split."""
    TAKEOVER = auto()
    """The first worker dies when a decided batch is half visible; another version finishes it and goes on."""
    HANDOVER = auto()
    """The first worker hands a shard over to a new one that claims it, and the other one when it is told to stop."""
    RESTORE = auto()
    """The control table is lost; a new worker makes it anew from the bucket."""


def _steal(world: World) -> None:
    world.start()
    world.produce(9)
    world.advance(2.5)
    world.start(version=1)
    world.produce(8, aggregated=True)
    world.advance(4.0)
    split(world, 0)
    world.produce(4, aggregated=True)  # by what the producer knows of the shards: some of them belong elsewhere
    world.advance(2.5)


def _takeover(world: World) -> None:
    world.hook = _first("store.complete", Fault.CRASH_AFTER, world.hook)
    world.start()
    world.produce(9)
    world.advance(1.0)
    world.start(version=1)
    world.advance(13.0)
    world.produce(6)
    world.advance(4.0)


def _handover(world: World) -> None:
    world.start()
    world.produce(9)
    world.advance(1.0)
    world.produce(6, aggregated=True)
    world.start(version=1)
    world.advance(3.0)
    world.produce(4)
    world.retire(world.workers[0])
    world.advance(3.0)


def _restore(world: World) -> None:
    world.start()
    world.produce(9)
    world.advance(1.0)
    restore(world, 0)
    world.start(version=1)
    world.produce(6)
    world.advance(8.0)


def _first(name: str, fault: Fault, otherwise: Hook) -> Hook:
    """`fault` at the first call of that name, and what `otherwise` says at all others."""
    met: list[Call] = []

    def hook(call: Call) -> Fault | None:
        if call.name == name and not met:
            met.append(call)
            return fault
        return otherwise(call)

    return hook


PLAYS: Mapping[Scenario, Callable[[World], None]] = {
    Scenario.STEAL: _steal,
    Scenario.TAKEOVER: _takeover,
    Scenario.HANDOVER: _handover,
    Scenario.RESTORE: _restore,
}
NEW: Mapping[Scenario, str] = {
    Scenario.STEAL: "w0", Scenario.TAKEOVER: "w1", Scenario.HANDOVER: "w1", Scenario.RESTORE: "w1",
}  # fmt: skip
"""The first worker whose calls are not those of another scenario."""
