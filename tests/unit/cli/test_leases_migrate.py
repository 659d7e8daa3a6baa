"""From KCL and back: what is imported, what is exported, and a transformer that goes on in between."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cli.leases import handover, reset, takeover
from headrace.catalog.results import Row
from headrace.clock import Clock, SystemClock
from headrace.delivery.reset import Move
from headrace.errors import ConflictError
from headrace.leases.kcl import KclLease, Keys, parse
from headrace.leases.kcl_table import KclTable
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import AT_TIMESTAMP, LATEST, Intent, Lease, LeaseKey, lease_key
from headrace.stream import kpl
from headrace.stream.ports import Entry, Record, Shard, ShardId, TrimHorizon
from tests.unit.cli.leases_desk import desk_of, rows_of
from tests.unit.delivery.fleet_world import World, event

FIRST, SECOND = ShardId("shardId-000000000000"), ShardId("shardId-000000000001")


class Watched(KclTable):
    """A table that is as told at each look."""

    def __init__(self, *looks: Sequence[KclLease]) -> None:
        self._looks = list(looks)

    async def read(self) -> list[KclLease]:
        return list(self._looks.pop(0))


class Skipping(SystemClock):
    """Sleeps are noted, and over at once."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def kcl(shard: str, **values: object) -> KclLease:
    found = parse({"leaseKey": shard, "leaseCounter": 5, "checkpoint": "49"})
    assert found is not None
    return replace(found, **values)  # type: ignore[arg-type]


async def test_an_application_that_gave_its_leases_up_needs_no_watching() -> None:
    clock: Clock = (skipping := Skipping())
    assert await takeover.watch(Watched([kcl(FIRST)]), 30.0, clock) == ([kcl(FIRST)], [])
    assert skipping.slept == []


async def test_workers_that_renew_while_they_are_watched_are_named_and_dead_ones_are_not() -> None:
    dead, alive = kcl(FIRST, owner="dead"), kcl(SECOND, owner="alive")
    clock: Clock = (skipping := Skipping())
    found, running = await takeover.watch(Watched([dead, alive], [dead, replace(alive, counter=6)]), 30.0, clock)
    assert (skipping.slept, running) == ([30.0], ["alive"])
    assert found[1].counter == 6


async def imported(world: World, found: Sequence[KclLease], *, move: bool = False) -> list[Row]:
    desk = desk_of(world)
    planned, problems = await takeover.plan(desk, found, move=move)
    assert problems == []
    return await takeover.take(desk, planned)


async def objections(world: World, found: Sequence[KclLease], *, move: bool) -> list[str]:
    return (await takeover.plan(desk_of(world), found, move=move))[1]


async def records_of(world: World, shard: ShardId = FIRST) -> Sequence[Record]:
    return (await world.stream.open(shard, TrimHorizon()).read()).records


async def test_a_transformer_goes_on_where_kcl_stopped() -> None:
    world = World(shards=2)
    await world.stream.put([event(n) for n in range(40)])
    done, found = 0, []
    for shard in await world.stream.shards():
        records = await records_of(world, shard.shard_id)
        half = len(records) // 2
        done += half
        found.append(kcl(shard.shard_id, checkpoint=records[half - 1].sequence_number, hash_range=shard.hash_range))
    assert [row[2] for row in await imported(world, found)] == ["added", "added"]
    async with world.run():
        await world.until(lambda ledger: ledger.received == 40 - done)
    assert len(set(await world.ids())) == 40 - done


@pytest.mark.parametrize("done", [0, 1, 2])
async def test_a_transformer_goes_on_within_the_aggregate_where_kcl_stopped(done: int) -> None:
    world = World(shards=1)
    await world.stream.put([Entry(kpl.encode([event(n, key="k") for n in range(3)]), "k"), event(3)])
    first, _ = await records_of(world)
    await imported(world, [kcl(FIRST, checkpoint=first.sequence_number, sub_sequence=done)])
    async with world.run():
        await world.until(lambda ledger: ledger.received == 3 - done)
    assert await world.ids() == [str(n) for n in range(done + 1, 4)]


async def test_a_row_that_a_transformer_makes_meanwhile_is_not_taken_for_the_imported_one() -> None:
    world = World(shards=1)
    desk = desk_of(world)
    planned, _ = await takeover.plan(desk, [kcl(FIRST)], move=False)
    await world.leases.create([Lease(key=lease_key(await world.stream.info(), FIRST))])
    with pytest.raises(ConflictError, match="stop the transformers"):
        await takeover.take(desk, planned)


async def test_an_import_that_is_repeated_changes_nothing() -> None:
    world = World(shards=1)
    await imported(world, [kcl(FIRST)])
    _, before = await rows_of(world)
    assert [row[:3] for row in await imported(world, [kcl(FIRST)])] == [(FIRST, "49", "kept")]
    assert (await rows_of(world))[1] == before


async def came_back() -> tuple[World, list[str]]:
    """A shard of four records that we had up to the second, then KCL; and all sequence numbers."""
    world = World(shards=1)
    await world.stream.put([event(n) for n in range(4)])
    numbers = [record.sequence_number for record in await records_of(world)]
    await world.leases.create([Lease(key=lease_key(await world.stream.info(), FIRST), checkpoint=numbers[1])])
    return world, numbers


async def test_a_shard_that_we_had_before_is_moved_on_to_kcls_checkpoint_when_asked() -> None:
    world, numbers = await came_back()
    found = [kcl(FIRST, checkpoint=numbers[2])]
    [problem] = await objections(world, found, move=False)
    assert "--move" in problem
    [row] = await imported(world, found, move=True)
    assert row[:3] == (FIRST, numbers[2], "moved")
    async with world.run():
        await world.until(lambda ledger: ledger.received == 1)
    assert await world.ids() == ["3"]


async def test_a_shard_is_never_moved_back_to_kcls_checkpoint_nor_from_under_its_owner() -> None:
    world, numbers = await came_back()
    [problem] = await objections(world, [kcl(FIRST, checkpoint=numbers[0])], move=True)
    assert "we are further than KCL" in problem
    [problem] = await objections(world, [kcl(FIRST, checkpoint=LATEST)], move=True)
    assert "KCL had not begun it" in problem
    [problem] = await objections(world, [kcl(FIRST, checkpoint=numbers[1] + "0")], move=True)
    assert "cannot be read" in problem
    await world.leases.take((await rows_of(world))[1][0], "w")
    [problem] = await objections(world, [kcl(FIRST, checkpoint=numbers[2])], move=True)
    assert "w owns it" in problem


async def test_a_shard_is_not_moved_to_the_middle_of_an_aggregate() -> None:
    world = World(shards=1)
    aggregate = kpl.encode([event(n, key="k") for n in range(3)])
    await world.stream.put([event(9), Entry(aggregate, "k")])
    first, second = [record.sequence_number for record in await records_of(world)]
    await world.leases.create([Lease(key=lease_key(await world.stream.info(), FIRST), checkpoint=first)])
    for within, told in ((0, ["behind user record 0 of 3"]), (1, ["behind user record 1 of 3"]), (2, [])):
        problems = await objections(world, [kcl(FIRST, checkpoint=second, sub_sequence=within)], move=True)
        assert [problem.rpartition(", ")[2] for problem in problems] == told


async def test_a_shard_whose_row_was_lost_is_first_brought_up_to_its_batches() -> None:
    world, numbers = await came_back()
    desk = desk_of(world)
    info, [row] = await rows_of(world)
    moved = Move(lease=row, target=numbers[2], batches=0, records=0, whole=True)
    await reset.carry_out(desk, info, [moved])
    world.leases = MemoryLeaseStore()
    found = [kcl(FIRST, checkpoint=numbers[3])]
    [problem] = await objections(world, found, move=False)
    assert "but no row" in problem
    assert [row[:3] for row in await imported(world, found, move=True)] == [(FIRST, numbers[3], "moved")]
    [after] = (await rows_of(world))[1]
    assert (after.checkpoint, after.batch_no, after.generation, after.owner) == (numbers[3], 2, 1, None)


SHARD = Shard(shard_id=FIRST)


def ours(**values: object) -> Lease:
    return replace(Lease(key=LeaseKey(f"1:shop:2:{FIRST}"), checkpoint="49"), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("word", [LATEST, AT_TIMESTAMP])
def test_a_shard_that_kcl_had_not_begun_is_handed_over(word: str) -> None:
    assert handover.plan_export([ours()], [SHARD], [kcl(FIRST, checkpoint=word)], Keys.SINGLE)[1] == []


def test_what_is_free_and_finished_is_handed_over_in_place_of_kcls_row() -> None:
    exported, problems = handover.plan_export([ours()], [SHARD], [kcl(FIRST, checkpoint="40")], Keys.SINGLE)
    assert problems == []
    assert (exported[0].row["checkpoint"], exported[0].seen) == ("49", kcl(FIRST, checkpoint="40"))


async def test_an_owned_shard_a_pending_batch_and_a_kcl_that_is_further_are_not_handed_over() -> None:
    world = World(shards=1)
    info = await world.stream.info()
    await world.leases.create([Lease(key=lease_key(info, FIRST), checkpoint="49")])
    [free] = (await rows_of(world))[1]
    owned = await world.leases.take(free, "w")
    pending = replace(free, intent=Intent(batch_no=3, manifest="_intents/a", sha256="5" * 64))
    for lease, there, told in (
        (owned, [], "w owns it"),
        (pending, [], "batch 3 is decided and not finished"),
        (free, [kcl(FIRST, checkpoint="50")], "KCL is further than we are"),
        (free, [kcl(f"1:shop:2:{SECOND}")], "keyed otherwise"),
    ):
        [problem] = handover.plan_export([lease], [SHARD], there, Keys.SINGLE)[1]
        assert told in problem
