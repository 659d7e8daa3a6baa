"""Faults that last, or that need something done to the world: lines of docs/delivery.md's table, on the whole fleet."""

import pytest

from headrace.errors import AccessError, HaltedError
from tests.simulation.disasters import expire_uploads, restore
from tests.simulation.faults import Call, Fault
from tests.simulation.healing import conclude
from tests.simulation.rules import Rule, ViolationError
from tests.simulation.worker import SHUTDOWN_SECONDS
from tests.simulation.world import World

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"


def behind(world: World, shard: str) -> int:
    """Records of a shard that are not committed."""
    row = next((row for row in world.leases._rows.values() if row.shard_id == shard), None)
    return world.archive.behind(row.shard_id, row.checkpoint) if row else -1


def ask(world: World) -> None:
    """What the readiness of the first worker says."""
    world._loop.run(world.workers[0].fleet.check())


def test_a_shard_whose_objects_cannot_be_written_stands_still_and_the_others_go_on() -> None:
    def down(call: Call) -> Fault | None:
        return Fault.FAIL if call.name == "store.stage" and FIRST in call.subject else None

    with World(hook=down) as world:
        world.start()
        world.produce(12)
        world.advance(60.0)
        assert behind(world, FIRST) > 0
        assert behind(world, SECOND) == 0
        conclude(world)


def test_what_is_refused_is_not_skipped_and_readiness_says_so() -> None:
    def denied(call: Call) -> Fault | None:
        return Fault.DENY if call.name.startswith("store.") else None

    with World(hook=denied) as world:
        world.start()
        world.produce(12)
        world.advance(120.0)
        assert world.watch.landed == {}
        assert world.workers[0].running
        with pytest.raises(AccessError):
            ask(world)
        conclude(world)


def test_nothing_of_a_batch_is_seen_while_its_dead_letters_have_no_place() -> None:
    def full(call: Call) -> Fault | None:
        return Fault.FAIL if call.subject.startswith("failed_transformation_records/") else None

    with World(18, hook=full) as world:  # traffic with two dead letters
        world.start()
        world.produce(20)
        world.advance(60.0)
        assert behind(world, SECOND) > 0
        assert not any(key.startswith("failed_") for key in world.watch.landed.values())
        conclude(world)
        assert any(key.startswith("failed_") for key in world.watch.landed.values())


def test_a_drain_ends_by_its_deadline_when_the_bucket_is_away_and_another_worker_goes_on() -> None:
    def away(call: Call) -> Fault | None:
        return Fault.FAIL if call.worker == "w0" and call.name.startswith("store.") else None

    with World(hook=away) as world:
        world.start()
        world.produce(12)
        world.advance(5.0)
        world.workers[0].terminate()
        world.advance(SHUTDOWN_SECONDS)
        assert not world.workers[0].running
        assert all(row.owner != "w0" for row in world.leases._rows.values())
        conclude(world)


def test_a_decided_batch_whose_uploads_are_gone_halts_its_shard_and_no_other() -> None:
    died: list[Call] = []

    def after_the_decision(call: Call) -> Fault | None:
        if call.name == "leases.declare" and FIRST in call.subject and not died:
            died.append(call)
            return Fault.CRASH_AFTER
        return None

    with World(hook=after_the_decision) as world:
        world.start()
        world.produce(12)
        world.advance(3.0)
        assert died
        expire_uploads(world, FIRST)
        world.start()
        world.workers.pop(0)
        world.advance(30.0)
        with pytest.raises(HaltedError):
            ask(world)
        world.produce(12)
        world.advance(10.0)
        assert behind(world, SECOND) == 0
        assert behind(world, FIRST) > 0
        with pytest.raises(ViolationError) as stuck:
            conclude(world)
        assert stuck.value.rule is Rule.PROGRESS


def test_a_worker_that_lost_its_lease_and_takes_it_again_is_refused_what_it_began_before() -> None:
    with World() as world:
        world.start()
        world.produce(12)
        world.advance(0.15)  # between staging and the decision
        first = world.workers[0]
        first.pause(40.0)
        world.start()
        world.advance(20.0)
        assert behind(world, FIRST) == behind(world, SECOND) == 0
        world.workers[1].crash()
        world.desired = 1
        world.produce(6)
        conclude(world)
        epochs = [row.epoch for row in world.leases._rows.values()]
        assert min(epochs) >= 3
        assert first in world.workers


def test_a_control_table_that_is_lost_is_made_anew_from_the_bucket() -> None:
    with World() as world:
        world.start()
        world.produce(12)
        world.advance(10.0)
        assert behind(world, FIRST) == behind(world, SECOND) == 0
        restore(world, 0)
        assert world.leases._rows == {}
        world.produce(6)
        conclude(world)
        assert {row.generation for row in world.leases._rows.values()} == {1}


def test_an_answer_lost_by_the_producer_makes_no_second_row() -> None:
    with World(3) as world:
        world.start()
        for _ in range(12):
            world.produce(7)
            world.advance(1.0)
        conclude(world)
        rows = [row.ledger for row in world.leases._rows.values()]
        assert sum(ledger.duplicates for ledger in rows) > 0
        assert world.judge.checked[Rule.ONE_OBJECT] > 0
