import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from headrace.clock import Clock, ManualClock, SystemClock
from headrace.errors import NotFoundError, UnavailableError
from headrace.leases.keeper import LeaseKeeper, Round
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import LATEST, TRIM_HORIZON, Lease, LeaseKey, lease_key, lease_prefix
from headrace.leases.sync import SYNC_SECONDS, ShardSync
from headrace.runtime import Shutdown
from headrace.stream.memory import MemoryStream
from headrace.stream.ports import Shard, ShardId
from headrace.telemetry.metrics import Metrics

FAILOVER = 10.0
ROUND = FAILOVER / 3
SHORT_FAILOVER = 0.06
"""Where real time must pass."""


Happening = Callable[[], Awaitable[object]]


class Store(MemoryLeaseStore):
    """Leases in memory behind a bad network: what happens once, `before` a call takes effect or `after` it."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Happening] = {}
        self.after: dict[str, Happening] = {}

    async def _happen(self, name: str, when: dict[str, Happening]) -> None:
        if happening := when.pop(name, None):
            await happening()

    async def list(self, prefix: str) -> list[Lease]:
        await self._happen("list", self.before)
        rows = await super().list(prefix)
        await self._happen("list", self.after)
        return rows

    async def take(self, seen: Lease, owner: str) -> Lease:
        await self._happen("take", self.before)
        taken = await super().take(seen, owner)
        await self._happen("take", self.after)
        return taken

    async def renew(self, held: Lease, *, caught_up_at: float | None = None) -> Lease:
        await self._happen("renew", self.before)
        renewed = await super().renew(held, caught_up_at=caught_up_at)
        await self._happen("renew", self.after)
        return renewed

    async def release(self, held: Lease) -> None:
        await self._happen("release", self.before)
        await super().release(held)


async def no_answer() -> None:
    raise UnavailableError("no answer")


async def never() -> None:
    await asyncio.Event().wait()


class Fleet:
    """Workers on one stream and one table of leases, on a clock that only moves when told."""

    def __init__(self, shards: int = 2, start: str = TRIM_HORIZON) -> None:
        self.clock = ManualClock()
        self.store = Store()
        self.stream = MemoryStream(self.clock, shards=shards)
        self.start = start
        self.caught_up: dict[LeaseKey, float] = {}

    async def worker(
        self, owner: str, metrics: Metrics | None = None, *, failover: float = FAILOVER, clock: Clock | None = None
    ) -> LeaseKeeper:
        return LeaseKeeper(
            self.store,
            await self.sync(),
            owner=owner,
            failover=failover,
            caught_up=self.caught_up.get,
            clock=clock or self.clock,
            metrics=metrics or Metrics(),
        )

    async def sync(self) -> ShardSync:
        return ShardSync(self.store, self.stream, await self.stream.info(), start=self.start, clock=self.clock)

    async def rows(self) -> Sequence[Lease]:
        return await self.store.list(lease_prefix(await self.stream.info()))

    async def key(self, n: int) -> LeaseKey:
        return lease_key(await self.stream.info(), ShardId(f"shardId-{n:012}"))

    async def end(self, lease: Lease) -> None:
        await self.store.end(lease, caught_up_at=None)


def shards_of(leases: Sequence[Lease]) -> set[str]:
    return {lease.shard_id[-1] for lease in leases}


async def test_the_first_round_adds_rows_and_takes_them() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    changes = await keeper.round()
    assert shards_of(changes.gained) == {"0", "1"}
    assert changes.lost == ()
    assert sorted(changes.gained, key=lambda lease: lease.key) == await fleet.rows()
    assert {lease.owner for lease in changes.gained} == {"a"}


async def test_a_round_that_changes_nothing_renews_what_is_held() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await keeper.round()).gained
    fleet.clock.advance(ROUND)
    assert await keeper.round() == Round(gained=(), lost=())
    assert await fleet.rows() == [replace(lease, counter=lease.counter + 1)]
    assert list(keeper.held.values()) == await fleet.rows()


async def test_two_workers_end_with_half_of_the_shards_each() -> None:
    fleet = Fleet(shards=6)
    keepers = [await fleet.worker("a"), await fleet.worker("b")]
    for _ in range(5):
        await asyncio.gather(*(keeper.round() for keeper in keepers))
        fleet.clock.advance(ROUND)
    assert [len(keeper.held) for keeper in keepers] == [3, 3]
    assert not set(keepers[0].held) & set(keepers[1].held)


async def test_a_newcomer_gets_its_share_and_the_others_drop_only_that() -> None:
    fleet = Fleet(shards=4)
    metrics = Metrics()
    old, new = await fleet.worker("old", metrics), await fleet.worker("new")
    for _ in range(2):
        await old.round()
    assert len(old.held) == 4
    gained: list[LeaseKey] = []
    lost: list[LeaseKey] = []
    for _ in range(4):
        fleet.clock.advance(ROUND)
        gained += [lease.key for lease in (await new.round()).gained]
        lost += (await old.round()).lost
    assert len(gained) == 2
    assert lost == gained
    assert set(old.held) | set(new.held) == {row.key for row in await fleet.rows()}
    assert metrics.lease_lost.labels(cause="renewal")._value.get() == 2
    assert metrics.leases_held._value.get() == 2


async def test_the_leases_of_a_dead_worker_are_taken_after_the_failover_time_and_not_before() -> None:
    fleet = Fleet(shards=1)
    dead, heir = await fleet.worker("dead"), await fleet.worker("heir")
    [left] = (await dead.round()).gained
    await heir.round()
    fleet.clock.advance(FAILOVER - 0.1)
    assert (await heir.round()).gained == ()
    fleet.clock.advance(0.1)
    [inherited] = (await heir.round()).gained
    assert (inherited.owner, inherited.epoch) == ("heir", left.epoch + 1)


async def test_how_long_a_lease_stood_still_before_it_was_first_seen_does_not_count() -> None:
    fleet = Fleet(shards=1)
    await (await fleet.worker("dead")).round()
    fleet.clock.advance(10 * FAILOVER)
    assert (await (await fleet.worker("heir")).round()).gained == ()


async def test_a_worker_that_stopped_in_order_is_replaced_at_once() -> None:
    fleet = Fleet(shards=2)
    first = await fleet.worker("first")
    await first.round()
    await first.release_all()
    assert first.held == {}
    assert shards_of((await (await fleet.worker("second")).round()).gained) == {"0", "1"}


async def test_a_lease_lost_while_the_worker_was_frozen_is_reported_once() -> None:
    fleet = Fleet(shards=1)
    frozen, heir = await fleet.worker("frozen"), await fleet.worker("heir")
    [lease] = (await frozen.round()).gained
    await heir.round()
    fleet.clock.advance(FAILOVER)
    await heir.round()
    assert await frozen.round() == Round(gained=(), lost=(lease.key,))
    assert await frozen.round() == Round(gained=(), lost=())


async def test_nothing_is_taken_while_draining_but_what_is_held_is_renewed() -> None:
    fleet = Fleet(shards=4)
    keeper = await fleet.worker("a")
    gained = (await keeper.round()).gained
    assert (await keeper.round(take=False)).gained == ()
    counters = {row.key: row.counter for row in await fleet.rows()}
    assert [counters[lease.key] - lease.counter for lease in gained] == [1, 1]


async def test_renewals_tell_how_far_idle_shards_are_complete() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    idle, _ = (await keeper.round()).gained
    fleet.caught_up[idle.key] = fleet.clock.now()
    await keeper.round()
    assert {row.key: row.complete_through for row in await fleet.rows() if row.complete_through} == {
        idle.key: fleet.clock.now()
    }


async def test_a_released_lease_is_no_loss_and_may_be_taken_again_from_its_new_state() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await keeper.round()).gained
    await keeper.release(lease.key)
    await keeper.release(lease.key)
    again = await keeper.round()
    assert again.lost == ()
    assert [row.epoch for row in again.gained] == [lease.epoch + 1]


async def test_children_are_taken_once_their_parent_has_ended() -> None:
    fleet = Fleet(shards=1, start=LATEST)
    keeper = await fleet.worker("a")
    [parent] = (await keeper.round()).gained
    fleet.stream.split(parent.shard_id)
    await (await fleet.sync()).run()
    assert (await keeper.round()).gained == ()
    await fleet.end(parent)
    await keeper.release(parent.key)
    children = (await keeper.round()).gained
    assert shards_of(children) == {"1", "2"}
    assert {child.checkpoint for child in children} == {TRIM_HORIZON}
    assert parent.checkpoint == LATEST


async def test_new_shards_are_noticed_without_being_told() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [parent] = (await keeper.round()).gained
    fleet.stream.split(parent.shard_id)
    fleet.clock.advance(SYNC_SECONDS - 0.1)
    await keeper.round()
    assert len(await fleet.rows()) == 1
    fleet.clock.advance(0.1)
    await keeper.round()
    assert len(await fleet.rows()) == 3


@pytest.mark.parametrize("call", ["renew", "list", "take"])
async def test_a_store_that_does_not_answer_costs_a_round_and_no_lease(call: str) -> None:
    fleet = Fleet(shards=4)
    keeper = await fleet.worker("a")
    held = {lease.key for lease in (await keeper.round()).gained}
    fleet.store.before = {call: no_answer}
    assert (await keeper.round()).lost == ()
    assert not fleet.store.before
    assert held <= set(keeper.held)
    await keeper.round()
    assert len(keeper.held) == 4


@pytest.mark.parametrize("call", ["renew", "list"])
async def test_a_call_that_never_returns_does_not_hold_up_the_renewals_of_the_next_round(call: str) -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a", failover=SHORT_FAILOVER)
    [lease] = (await keeper.round()).gained
    fleet.store.before = {call: never}
    async with asyncio.timeout(10):
        assert await keeper.round() == Round(gained=(), lost=())
        await keeper.round()
    assert (await fleet.rows())[0].counter >= lease.counter + 1


async def test_what_was_gained_before_the_store_went_away_is_reported() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    fleet.store.after = {"take": no_answer}
    assert (await keeper.round()).gained == ()
    assert {row.owner for row in await fleet.rows()} == {"a", None}
    gained = (await keeper.round()).gained
    assert shards_of(gained) == {"0", "1"}
    assert sorted(lease.epoch for lease in gained) == [1, 2]


async def test_a_lease_that_is_lost_and_free_again_is_not_taken_before_the_loss_is_noticed() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await keeper.round()).gained
    stolen = await fleet.store.take(lease, "thief")
    await fleet.store.release(stolen)
    fleet.store.before = {"renew": no_answer}
    assert await keeper.round() == Round(gained=(), lost=())
    changes = await keeper.round()
    assert changes.lost == (lease.key,)
    assert [row.epoch for row in changes.gained] == [3]


async def test_a_release_without_an_answer_does_not_keep_the_worker_from_stopping() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    await keeper.round()
    fleet.store.before = {"release": no_answer}
    await keeper.release_all()
    assert keeper.held == {}
    assert {row.owner for row in await fleet.rows()} == {"a", None}


async def test_a_take_that_comes_too_late_is_counted_and_costs_nothing() -> None:
    fleet = Fleet(shards=1)
    metrics = Metrics()
    slow, fast = await fleet.worker("slow", metrics), await fleet.worker("fast")
    fleet.store.before = {"take": fast.round}
    assert await slow.round() == Round(gained=(), lost=())
    assert metrics.cas_conflicts.labels(op="take")._value.get() == 1


async def test_the_time_a_slow_store_needs_is_not_held_against_the_owner() -> None:
    fleet = Fleet(shards=1)
    owner, other = await fleet.worker("owner"), await fleet.worker("other")
    await owner.round()
    await other.round()

    async def slow() -> None:
        fleet.clock.advance(FAILOVER)

    fleet.store.after = {"list": slow}
    assert (await other.round()).gained == ()


async def test_a_lease_released_during_its_renewal_stays_released() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await keeper.round()).gained
    for moment in (fleet.store.before, fleet.store.after):
        moment["renew"] = lambda: keeper.release(lease.key)
        assert await keeper.round(take=False) == Round(gained=(), lost=())
        assert keeper.held == {}
        assert [row.owner for row in await fleet.rows()] == [None]
        await keeper.round()


class _Gone(MemoryStream):
    async def shards(self) -> list[Shard]:
        raise NotFoundError("events")


async def test_a_stream_that_is_gone_ends_the_service() -> None:
    fleet = Fleet()
    fleet.stream = _Gone(fleet.clock)
    with pytest.raises(NotFoundError):
        await (await fleet.worker("a")).round()


async def test_running_takes_until_asked_to_stop_and_releases_when_drained() -> None:
    fleet = Fleet(shards=4)
    clock = SystemClock()
    keeper = await fleet.worker("a", failover=SHORT_FAILOVER, clock=clock)
    shutdown, drained = Shutdown(10.0, clock), asyncio.Event()
    rounds: asyncio.Queue[Round] = asyncio.Queue()
    running = asyncio.create_task(keeper.run(rounds.put_nowait, shutdown=shutdown, drained=drained))

    async with asyncio.timeout(10):
        gained = [lease for _ in range(2) for lease in (await rounds.get()).gained]
        assert len(gained) == 4
        shutdown.request()
        await fleet.store.create([Lease(key=await fleet.key(9))])
        assert [(await rounds.get()).gained for _ in range(3)] == [(), (), ()]
        assert len(keeper.held) == 4
        drained.set()
        await running
    assert {row.owner for row in await fleet.rows()} == {None}
