"""What a shard that a reshard made remembers of the shards it came from."""

import copy
from collections import Counter

import msgspec
import pyarrow as pa
import pytest

from headrace.clock import SystemClock
from headrace.delivery.reset import Move, Resetter
from headrace.lake.memory import MemoryStore
from headrace.leases.model import Lease, LeaseKey
from headrace.stream.ports import Entry, Record, ShardId
from tests.unit.delivery.batches import KEY, NOW, Shard, record
from tests.unit.delivery.fleet_world import World, event

SECONDS = 600.0


def relative(shard: Shard, name: str, *parents: str) -> Shard:
    """Another shard of the same stream, on the same places."""
    other = copy.copy(shard)
    key = LeaseKey(KEY.removesuffix("shard") + name)
    other.row = Lease(key=key, parents=tuple(map(ShardId, parents)))
    return other


async def landed(shard: Shard, *batches: list[Record]) -> Lease:
    """The shard with these batches committed, and ended."""
    lease = await shard.take()
    for records in batches:
        lease = await shard.deliver(records, lease)
    return await shard.leases.end(lease, caught_up_at=None)


def again(n: int, *, arrived: float = NOW) -> Record:
    """The event of `record(n)`, put once more."""
    return msgspec.structs.replace(record(n, arrived=arrived), sequence_number=str(1000 + n))


async def remembered(shard: Shard, lease: Lease, *, at: float = NOW) -> set[int]:
    """Which of the events 0 to 9 the next owner of a shard knows as repeats."""
    window = await shard.recovery.window(lease, SECONDS)
    return set(window.repeats(pa.chunked_array([[f"e{n}" for n in range(10)]]), at))


async def test_a_child_drops_a_repeat_of_what_its_parent_landed() -> None:
    parent = Shard()
    await landed(parent, [record(1), record(2)])
    child = relative(parent, "child", "shard")
    lease = await child.take()
    window = await child.recovery.window(lease, SECONDS)
    lease = await child.deliver([again(1), record(3)], lease, window)
    assert (lease.ledger.committed, lease.ledger.duplicates) == (1, 1)
    assert await child.views() == 3


async def test_what_the_child_has_landed_itself_does_not_make_it_forget_its_parent() -> None:
    parent = Shard()
    await landed(parent, [record(1)], [record(2)])
    child = relative(parent, "child", "shard")
    lease = await child.deliver([record(3)], await child.take("old"))
    assert await remembered(child, lease) == {1, 2, 3}


async def test_a_merged_shard_remembers_what_both_of_its_parents_landed() -> None:
    left = Shard()
    right = relative(left, "right")
    await landed(left, [record(1, arrived=NOW + 5)])
    await landed(right, [record(2, arrived=NOW)], [record(3, arrived=NOW + 9)])
    merged = relative(left, "merged", "right", "shard")
    assert await remembered(merged, await merged.take()) == {1, 2, 3}


async def test_a_shard_remembers_past_a_parent_that_had_nothing() -> None:
    first = Shard()
    await landed(first, [record(1)])
    idle = relative(first, "idle", "shard")
    await landed(idle)
    last = relative(first, "last", "idle")
    assert await remembered(last, await last.take()) == {1}


class Counting(MemoryStore):
    """A store that knows how often each object was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    async def get(self, key: str) -> bytes:
        self.asked[key] += 1
        return await super().get(key)


async def test_two_halves_that_were_merged_again_bring_what_they_came_from_once() -> None:
    store = Counting()
    whole = Shard(store)
    await landed(whole, [record(1)])
    low, high = relative(whole, "low", "shard"), relative(whole, "high", "shard")
    await landed(low, [record(2)])
    await landed(high, [record(3)])
    merged = relative(whole, "merged", "high", "low")
    lease = await merged.take()
    store.asked.clear()
    assert await remembered(merged, lease) == {1, 2, 3}
    assert sorted(store.asked.values()) == [1, 1, 1]


async def test_parents_are_not_asked_once_the_shard_itself_fills_the_window() -> None:
    store = Counting()
    parent = Shard(store)
    await landed(parent, [record(1)])
    child = relative(parent, "child", "shard")
    lease = await child.deliver([record(2, arrived=NOW + 1)], await child.take())
    lease = await child.deliver([record(3, arrived=NOW + SECONDS + 2)], lease)
    store.asked.clear()
    assert await remembered(child, lease, at=NOW + SECONDS + 3) == {3}
    assert not any("/shard/" in key for key in store.asked)


async def test_what_a_parent_landed_before_the_window_is_no_repeat() -> None:
    parent = Shard()
    await landed(parent, [record(1)], [record(2, arrived=NOW + 300)])
    child = relative(parent, "child", "shard")
    lease = await child.deliver([record(3, arrived=NOW + SECONDS + 100)], await child.take())
    assert await remembered(child, lease, at=NOW + SECONDS + 101) == {2, 3}


async def test_what_was_read_again_on_request_is_no_repeat_for_the_children_either() -> None:
    parent = Shard()
    lease = await parent.deliver([record(1)], await parent.take())
    await parent.leases.release(lease)
    move = Move(lease=(await parent.leases.list(""))[0], target="TRIM_HORIZON", batches=1, records=1, whole=True)
    await Resetter(parent.delivery, parent.leases, owner="person", clock=SystemClock()).carry_out(move)
    lease = await parent.deliver([record(2)], await parent.take())
    await parent.leases.end(lease, caught_up_at=None)
    child = relative(parent, "child", "shard")
    assert await remembered(child, await child.take()) == {2}


@pytest.mark.parametrize("parents", [("gone",), ("shard", "gone")])
async def test_a_parent_whose_row_was_removed_is_passed_over(parents: tuple[str, ...]) -> None:
    there = Shard()
    await landed(there, [record(1)])
    child = relative(there, "child", *parents)
    assert await remembered(child, await child.take()) == ({1} if "shard" in parents else set())


@pytest.mark.parametrize("reshard", ["split", "merge"])
async def test_an_event_put_before_and_after_a_reshard_is_one_row(reshard: str) -> None:
    world = World(shards=2)
    puts: list[Entry] = [event(n) for n in range(40)]
    async with world.run():
        await world.stream.put(puts)
        await world.until(lambda ledger: ledger.committed == 40)
        low, high = await world.stream.shards()
        if reshard == "split":
            world.stream.split(low.shard_id)
            world.stream.split(high.shard_id)
        else:
            world.stream.merge(low.shard_id, high.shard_id)
        await world.stream.put([*puts, *(event(n) for n in range(40, 50))])
        await world.until(lambda ledger: ledger.received == 90)
    assert await world.ids() == [str(n) for n in range(50)]
    assert (await world.ledger()).duplicates == 40
