"""Reshards, what retention leaves of them, and aggregates that a reshard overtakes."""

from headrace.stream.ports import HASH_KEYS
from tests.simulation.disasters import lapse
from tests.simulation.healing import conclude, heal
from tests.simulation.resharding import merge, resize, split
from tests.simulation.worker import metrics
from tests.simulation.world import World


def foreign(world: World) -> int:
    """Events that were dropped where they did not belong."""
    return sum(world.archive.received(shard_id).foreign for shard_id in world.archive.shards)


def gaps() -> float:
    """Counted so far, by all workers of this process."""
    return sum(
        sample.value for sample in next(iter(metrics.data_gaps.collect())).samples if sample.name.endswith("total")
    )


def test_any_number_of_equal_shards_is_made_of_any_other_by_splits_and_merges() -> None:
    with World(shards=2) as world:
        for count in (3, 2, 6, 1, 4):
            resize(world, count)
            bounds = [HASH_KEYS * n // count for n in range(count)]
            assert [shard.hash_range[0] for shard in world.open_shards()] == bounds


def test_shards_are_split_and_merged_at_once_under_load_and_each_event_lands_once() -> None:
    with World() as world:
        world.start()
        world.start(version=1)
        for count in (3, 5, 2):
            world.produce(8)
            world.advance(1.0)
            resize(world, count, between=0.5)
            world.produce(8, aggregated=True)
            world.advance(2.0)
        conclude(world)
        assert len(world.archive.shards) > 10


def test_a_reshard_while_a_shard_is_handed_over_breaks_nothing() -> None:
    with World() as world:
        world.start()
        world.produce(12)
        world.advance(3.0)
        world.start(version=1)
        for _ in range(8):  # one of them falls between the claim and the hand-over
            world.advance(0.25)
            split(world, 0)
            merge(world, 0)
        world.produce(12)
        conclude(world)
        assert {row.owner for row in world.leases._rows.values() if not row.ended} == {None}


def test_events_of_an_aggregate_that_a_split_overtook_are_read_where_they_belong() -> None:
    with World() as world:
        world.start()
        world.produce(9, aggregated=True)
        split(world, 0)
        split(world, 1)
        world.produce(24, aggregated=True)  # their producer does not know of the splits
        conclude(world)
        assert foreign(world) > 0
        assert sum(row.ledger.foreign for row in world.leases._rows.values()) == foreign(world)


def test_shards_that_ended_are_forgotten_with_their_rows_and_nothing_is_missed() -> None:
    before = gaps()
    with World(retention_seconds=600.0) as world:
        world.start()
        world.produce(12)
        world.advance(5.0)
        resize(world, 3)
        for _ in range(5):
            world.advance(200.0)
            world.produce(3)
        world.advance(100.0)
        kept = {shard.shard_id for shard in world.shards()}
        assert len(kept) == 3
        assert {row.shard_id for row in world.leases._rows.values()} == kept
        conclude(world)
    assert gaps() == before


def test_a_shard_that_was_forgotten_before_it_was_read_is_ended_and_told_and_its_children_go_on() -> None:
    before = gaps()
    with World() as world:
        world.start()
        world.produce(12)
        world.advance(0.1)
        split(world, 0)
        world.produce(6)
        lapse(world)
        assert world.archive.lost == world.produced
        heal(world)
        assert gaps() > before
        world.produce(9)
        conclude(world)
        assert world.watch.landed
