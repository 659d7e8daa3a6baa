"""Shards that change hands while both workers live: who reads when, in the simulator's world, on its virtual clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pyarrow as pa
import pytest

from headrace.delivery.remember import rebuild
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectInfo
from headrace.leases.keeper import LOOKS_PER_FAILOVER, QUIET_LOOKS, RENEWALS_PER_FAILOVER
from headrace.stream.ports import ShardId, ShardReader
from tests.simulation.faults import Call, Fault
from tests.simulation.healing import conclude
from tests.simulation.loop import VirtualLoop
from tests.simulation.worker import FAILOVER_SECONDS, Worker
from tests.simulation.world import World
from tests.unit.delivery.batches import LINEAGE, NOW, Shard, record

PAUSE_SECONDS = 2.0
REST_SECONDS = 12.0
"""Until a fleet of two that has just been started has shared its shards out."""


class Watched(World):
    """Notes when which worker calls what, and when it begins to read which shard."""

    def __init__(self, shards: int) -> None:
        super().__init__(hook=self.note, shards=shards)
        self.noted: list[tuple[float, Call]] = []
        self.readers: list[tuple[float, str, ShardId]] = []
        self.faults: dict[tuple[str, str], Fault] = {}
        """By worker and call, for as long as they are here."""

    def note(self, call: Call) -> Fault | None:
        self.noted.append((self.clock.monotonic(), call))
        return self.faults.get((call.worker, call.name))

    def observed(self, worker: Worker, shard_id: ShardId, reader: ShardReader) -> ShardReader:
        self.readers.append((self.clock.monotonic(), worker.name, shard_id))
        return reader

    def busy(self, seconds: float) -> None:
        """Time passes, and there is always something to deliver."""
        for _ in range(round(seconds * 2)):
            self.produce(2)
            self.advance(0.5)

    def owners(self) -> dict[ShardId, str | None]:
        return {row.shard_id: row.owner for row in self.leases._rows.values()}

    def last(self, worker: str, name: str, shard_id: ShardId) -> float:
        return max(
            at for at, call in self.noted if (call.worker, call.name) == (worker, name) and shard_id in call.subject
        )

    def pauses(self, before: str, after: str) -> dict[ShardId, float]:
        """For each shard that `after` reads: seconds since the last commit of `before`."""
        found = [(at, shard_id) for at, worker, shard_id in self.readers if worker == after]
        return {shard_id: at - self.last(before, "leases.commit", shard_id) for at, shard_id in found}

    def tally(self) -> Counter[str]:
        return Counter(call.name for _, call in self.noted)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[Watched]:
    with Watched(getattr(request, "param", 4)) as world:
        world.start()
        yield world


def test_a_newcomer_gets_its_share_and_no_shard_waits_two_seconds_for_it(world: Watched) -> None:
    world.busy(4.0)
    world.start()
    world.busy(REST_SECONDS)
    assert Counter(world.owners().values()) == {"w0": 2, "w1": 2}
    pauses = world.pauses("w0", "w1")
    assert len(pauses) == 2
    assert max(pauses.values()) < PAUSE_SECONDS
    for shard_id in pauses:
        assert world.last("w0", "leases.commit", shard_id) < world.last("w0", "leases.release", shard_id)
    conclude(world)


@pytest.mark.parametrize("world", [1, 4], indirect=True)
def test_what_a_worker_holds_that_is_told_to_stop_is_handed_over_while_it_works_on(world: Watched) -> None:
    world.start()
    world.busy(REST_SECONDS)
    mine = {shard_id for shard_id, owner in world.owners().items() if owner == "w0"}
    world.readers.clear()
    world.desired = 1
    world.workers[0].terminate()
    world.busy(REST_SECONDS)
    assert not world.workers[0].running
    assert set(world.owners().values()) == {"w1"}
    pauses = world.pauses("w0", "w1")
    assert set(pauses) == mine
    assert max(pauses.values()) < PAUSE_SECONDS
    conclude(world)


def test_a_worker_that_is_alone_does_not_wait_for_anybody(world: Watched) -> None:
    world.busy(4.0)
    world.desired = 0
    world.workers[0].terminate()
    world.advance(1.0)
    assert not world.workers[0].running
    assert set(world.owners().values()) == {None}


def test_a_worker_whose_leases_nobody_claims_waits_for_that_no_longer_than_a_few_looks(world: Watched) -> None:
    world.start()
    world.advance(REST_SECONDS)
    world.workers[1].pause(100.0)
    world.desired = 1
    world.workers[0].terminate()
    world.advance(FAILOVER_SECONDS / LOOKS_PER_FAILOVER)
    assert world.workers[0].running
    world.advance(FAILOVER_SECONDS / LOOKS_PER_FAILOVER * QUIET_LOOKS)
    assert not world.workers[0].running


def test_a_shard_whose_owner_is_stuck_is_taken_after_the_failover_time_and_lands_once(world: Watched) -> None:
    world.busy(4.0)
    world.faults["w0", "store.stage"] = Fault.FAIL
    world.produce(40)
    world.start()
    world.advance(5.0)
    claimed = {row.shard_id for row in world.leases._rows.values() if row.claim == "w1"}
    assert claimed
    assert {world.owners()[shard_id] for shard_id in claimed} == {"w0"}
    world.busy(FAILOVER_SECONDS)
    assert claimed <= {shard_id for shard_id, owner in world.owners().items() if owner == "w1"}
    world.faults.clear()
    conclude(world)


@pytest.mark.parametrize("call", ["store.stage", "store.list", "reader.read"])
def test_a_shard_whose_owner_is_not_let_in_goes_to_a_worker_that_is(world: Watched, call: str) -> None:
    world.faults["w0", call] = Fault.DENY
    world.produce(40)
    world.advance(8.0)
    world.start()
    world.advance(REST_SECONDS)
    world.desired = 1
    world.workers[0].terminate()
    world.advance(FAILOVER_SECONDS)
    assert not world.workers[0].running
    assert set(world.owners().values()) == {"w1"}
    assert world.tally()["leases.release"] == 4
    conclude(world)


@pytest.mark.parametrize("world", [8], indirect=True)
def test_all_shards_of_a_worker_that_was_killed_are_read_again_within_the_failover_time_and_two_seconds(
    world: Watched,
) -> None:
    world.start()
    world.busy(REST_SECONDS)
    mine = {shard_id for shard_id, owner in world.owners().items() if owner == "w0"}
    assert len(mine) == 4
    world.readers.clear()
    killed = world.clock.monotonic()
    world.desired = 1
    world.workers[0].crash()
    world.busy(FAILOVER_SECONDS + PAUSE_SECONDS)
    assert {shard_id for _, _, shard_id in world.readers} == mine
    assert max(at for at, _, _ in world.readers) < killed + FAILOVER_SECONDS + PAUSE_SECONDS
    conclude(world)


def test_a_window_of_ten_minutes_of_small_batches_is_read_back_well_within_the_pause() -> None:
    loop = VirtualLoop()

    async def read_back() -> float:
        shard = Shard()
        lease = await shard.take()
        for n in range(61):
            lease = await shard.deliver([record(n, arrived=NOW + 10 * n)], lease)
        began = loop.time()
        window = await rebuild(Far(shard.store), shard.leases, lineage=LINEAGE, lease=lease, seconds=600.0)
        assert window.repeats(pa.chunked_array([["e1"]]), NOW + 600)
        return loop.time() - began

    assert loop.run(read_back()) < PAUSE_SECONDS / 4
    loop.end()


class Far(MemoryStore):
    """What `inner` holds, and 20 ms for each call."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__()
        self.__dict__.update(inner.__dict__)

    async def get(self, key: str) -> bytes:
        await asyncio.sleep(0.02)
        return await super().get(key)

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        await asyncio.sleep(0.02)
        async for found in super().list(prefix, after=after):
            yield found


@pytest.mark.parametrize("world", [8], indirect=True)
def test_a_fleet_at_rest_asks_the_control_table_by_the_formula(world: Watched) -> None:
    world.start()
    world.advance(REST_SECONDS)
    world.noted.clear()
    world.advance(60.0)
    calls = world.tally()
    minute = 60.0 / FAILOVER_SECONDS
    assert calls["leases.renew"] <= minute * RENEWALS_PER_FAILOVER * 8 + 8
    assert calls["leases.list"] <= (minute * LOOKS_PER_FAILOVER + 60.0 / 24) * 2 + 2
    assert {name for name in calls if name.startswith("leases.")} == {"leases.renew", "leases.list"}
