"""Reshards under a consumer that is at work: parents before children, and the end of a shard in its order."""

import asyncio
import itertools
from collections.abc import Sequence

from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Intent, Lease, LeaseKey, Ledger
from headrace.stream.ports import ShardId
from tests.unit.delivery.fleet_world import IDLE_SECONDS, PATIENCE, World, event


class Recorded(MemoryLeaseStore):
    """Leases that note what is written, and hold one shard's batches up until `go_on` is set."""

    def __init__(self, held_up: str = "") -> None:
        super().__init__()
        self.writes: list[tuple[str, str]] = []
        self.looks = 0
        self.go_on = asyncio.Event()
        self._held_up = held_up

    def _note(self, what: str, key: LeaseKey) -> None:
        self.writes.append((what, key[-1]))

    async def create(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self._note("create", lease.key)
        await super().create(leases)

    async def list(self, prefix: str) -> list[Lease]:
        self.looks += 1
        return await super().list(prefix)

    async def take(self, seen: Lease, owner: str) -> Lease:
        self._note("take", seen.key)
        return await super().take(seen, owner)

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        if held.key[-1] == self._held_up:
            await self.go_on.wait()
        return await super().declare(held, intent)

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        self._note("commit", held.key)
        return await super().commit(
            held, checkpoint=checkpoint, ledger=ledger, complete_through=complete_through, caught_up_at=caught_up_at
        )

    async def end(self, held: Lease, *, caught_up_at: float | None) -> Lease:
        self._note("end", held.key)
        return await super().end(held, caught_up_at=caught_up_at)


def shard(n: int) -> ShardId:
    return ShardId(f"shardId-{n:012}")


async def test_a_shard_ends_behind_its_last_batch_and_behind_the_rows_of_its_children() -> None:
    world = World(shards=1)
    world.leases = leases = Recorded()
    await world.stream.put([event(n) for n in range(20)])
    async with world.run():
        await world.until(lambda ledger: ledger.received > 0)
        await world.stream.put([event(n) for n in range(20, 40)])
        world.stream.split(shard(0))
        await world.stream.put([event(n) for n in range(40, 80)])
        await world.until(lambda ledger: ledger.received == 80)
    end = leases.writes.index(("end", "0"))
    before, after = leases.writes[:end], leases.writes[end:]
    assert {("create", "1"), ("create", "2")} <= set(before)
    assert ("commit", "0") not in after
    assert {("take", "1"), ("take", "2")} <= set(after)
    assert ("take", "1") not in before


async def test_an_open_shard_does_not_end_however_often_it_is_read_to_its_tip() -> None:
    world = World(shards=1)
    world.leases = leases = Recorded()
    async with world.run(), asyncio.timeout(PATIENCE):
        while not [row for row in await leases.list("") if row.caught_up_at]:
            await asyncio.sleep(IDLE_SECONDS)
    assert ("end", "0") not in leases.writes


async def test_the_child_of_a_merge_waits_for_both_of_its_parents() -> None:
    world = World(shards=2)
    world.leases = leases = Recorded(held_up="1")
    await world.stream.put([event(n) for n in range(40)])
    world.stream.merge(shard(0), shard(1))
    await world.stream.put([event(n) for n in range(40, 60)])
    async with world.run():
        async with asyncio.timeout(PATIENCE):
            while ("end", "0") not in leases.writes:
                await asyncio.sleep(IDLE_SECONDS)
            looked = leases.looks
            while leases.looks < looked + 3:
                await asyncio.sleep(IDLE_SECONDS)
        assert ("take", "2") not in leases.writes
        leases.go_on.set()
        await world.until(lambda ledger: ledger.received == 60)
    assert leases.writes.index(("end", "1")) < leases.writes.index(("take", "2"))
    assert await world.ids() == [str(n) for n in range(60)]


async def test_every_record_lands_once_while_the_number_of_shards_goes_up_and_down() -> None:
    world = World(shards=2)
    world.stream.page_records = 7
    numbers = itertools.count()
    async with world.run():
        for target in (4, 1, 3, 2):
            while (count := len(await open_shards(world))) != target:
                low, *_ = found = await open_shards(world)
                if count < target:
                    world.stream.split(low)
                else:
                    world.stream.merge(low, found[1])
                await world.stream.put([event(next(numbers)) for _ in range(30)])
                await asyncio.sleep(IDLE_SECONDS)
        put = next(numbers)
        await world.until(lambda ledger: ledger.received == put)
    assert await world.ids() == [str(n) for n in range(put)]


async def open_shards(world: World) -> list[ShardId]:
    """In the order of their hash keys."""
    shards = [one for one in await world.stream.shards() if not one.closed]
    return [one.shard_id for one in sorted(shards, key=lambda one: one.hash_range)]
