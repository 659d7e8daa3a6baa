"""What comes after the faults: the fleet catches up, is told to stop, and must have left everything as it should be."""

from tests.simulation.faults import nothing
from tests.simulation.oracle import verify
from tests.simulation.rules import Rule, ViolationError
from tests.simulation.worker import SHUTDOWN_SECONDS
from tests.simulation.world import World

HEAL_SECONDS = 600.0
STEP_SECONDS = 4.7
"""No multiple of what keepers do periodically: else it is the same moment of theirs that is looked at each time."""


def conclude(world: World) -> None:
    """Heal, drain, and compare with what was produced. Raises `ViolationError`."""
    heal(world)
    drain(world)
    verify(world)


def heal(world: World) -> None:
    """No more faults; wait until all that was produced is delivered and nothing is under way."""
    world.say("the faults are over")
    world.hook = nothing
    deadline = world.clock.monotonic() + HEAL_SECONDS
    while (missing := _unfinished(world)) is not None:
        if world.clock.monotonic() > deadline:
            raise ViolationError(Rule.PROGRESS, f"{HEAL_SECONDS:.0f} s after the last fault: {missing}")
        _wake_all(world)
        world.advance(STEP_SECONDS)
    _wake_all(world)
    world.judge.checked[Rule.PROGRESS] += 1


def drain(world: World) -> None:
    """SIGTERM to all. They end in time and leave no lease behind, but one that they were never told they have."""
    world.desired = 0
    drained = [worker for worker in world.workers if worker.running]
    for worker in world.workers:
        worker.terminate()
    deadline = world.clock.monotonic() + SHUTDOWN_SECONDS
    while world.clock.monotonic() < deadline and any(worker.running for worker in world.workers):
        world.advance(STEP_SECONDS)
    late = [worker.name for worker in world.workers if worker.running]
    world.judge.check(Rule.RELEASE, not late, f"{late} do not end after SIGTERM")
    for row in world.leases._rows.values():
        told = any(worker.name == row.owner and (row.key, row.epoch) in worker.taken for worker in drained)
        world.judge.check(Rule.RELEASE, row.ended or not told, f"{row.key} is not released by {row.owner}")


def _wake_all(world: World) -> None:
    for worker in world.workers:
        worker.wake()


def _unfinished(world: World) -> str | None:
    if world.carrier.busy:
        return "requests are under way"
    kept = {shard.shard_id for shard in world.shards()}
    left = [row.shard_id for row in world.leases._rows.values() if row.shard_id not in kept and not row.ended]
    if left:
        return f"{left} are gone, and their rows have not ended"
    for shard in world.shards():
        row = world.row(shard.shard_id)
        if row is None:
            return f"{shard.shard_id} has no row"
        behind = world.archive.behind(shard.shard_id, row.checkpoint)
        if behind or row.intent is not None or (shard.closed and not row.ended):
            return f"{shard.shard_id} is {behind} records behind: {row}"
    return None
