import asyncio
from collections import Counter
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
        self.always: dict[str, Happening] = {}
        self.asked: Counter[str] = Counter()

    async def _happen(self, name: str, when: dict[str, Happening]) -> None:
        self.asked[name] += when is self.before
        if name in self.always:
            await self.always[name]()
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

    async def renew(self, held: Lease, *, caught_up_at: float | None = None, leaving: bool = False) -> Lease:
        await self._happen("renew", self.before)
        renewed = await super().renew(held, caught_up_at=caught_up_at, leaving=leaving)
        await self._happen("renew", self.after)
        return renewed

    async def claim(self, seen: Lease, claimant: str) -> Lease:
        claimed = await super().claim(seen, claimant)
        await self._happen("claim", self.after)
        return claimed

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
        return ShardSync(
            self.store, self.stream, await self.stream.info(), start=self.start,
            clock=self.clock, metrics=Metrics(), roll=lambda: 0.0,
        )  # fmt: skip

    async def rows(self) -> Sequence[Lease]:
        return await self.store.list(lease_prefix(await self.stream.info()))

    async def key(self, n: int) -> LeaseKey:
        return lease_key(await self.stream.info(), ShardId(f"shardId-{n:012}"))

    async def end(self, lease: Lease) -> None:
        await self.store.end(lease, caught_up_at=None)


async def turn(keeper: LeaseKeeper, *, take: bool = True) -> Round:
    """One turn of each of a keeper's loops."""
    renewed = await keeper.renew()
    await keeper.sync()
    looked = await keeper.look(take=take)
    claimed = dict.fromkeys(renewed.claimed + looked.claimed)
    return Round(lost=renewed.lost, gained=renewed.gained + looked.gained, claimed=tuple(claimed))


def shards_of(leases: Sequence[Lease]) -> set[str]:
    return {lease.shard_id[-1] for lease in leases}


async def test_the_first_round_adds_rows_and_takes_them() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    changes = await turn(keeper)
    assert shards_of(changes.gained) == {"0", "1"}
    assert changes.lost == ()
    assert sorted(changes.gained, key=lambda lease: lease.key) == await fleet.rows()
    assert {lease.owner for lease in changes.gained} == {"a"}


async def test_a_round_that_changes_nothing_renews_what_is_held() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await turn(keeper)).gained
    fleet.clock.advance(ROUND)
    assert await turn(keeper) == Round(gained=(), lost=())
    assert await fleet.rows() == [replace(lease, counter=lease.counter + 1)]
    assert list(keeper.held.values()) == await fleet.rows()


async def test_two_workers_end_with_half_of_the_shards_each() -> None:
    fleet = Fleet(shards=6)
    keepers = [await fleet.worker("a"), await fleet.worker("b")]
    for _ in range(5):
        await asyncio.gather(*(turn(keeper) for keeper in keepers))
        fleet.clock.advance(ROUND)
    assert [len(keeper.held) for keeper in keepers] == [3, 3]
    assert not set(keepers[0].held) & set(keepers[1].held)


async def test_a_newcomer_asks_for_its_share_and_the_owner_is_told_of_each_claim_until_it_lets_go() -> None:
    fleet = Fleet(shards=4)
    metrics = Metrics()
    old, new = await fleet.worker("old", metrics), await fleet.worker("new")
    mine = {lease.key: lease for _ in range(2) for lease in (await turn(old)).gained}
    assert (await turn(new)).gained == ()
    [claimed] = (await old.renew()).claimed
    assert (await old.renew()).claimed == (await old.look()).claimed == (claimed,)
    assert await new.ask_again() == Round()
    fleet.clock.advance(1.5)
    await old.release(mine[claimed])
    assert [lease.key for lease in (await new.ask_again()).gained] == [claimed]
    assert (await old.renew()) == Round()
    assert metrics.registry.get_sample_value("headrace_lease_handoff_seconds_sum") == 1.5
    await turn(new)
    [second] = (await old.renew()).claimed
    await old.release(mine[second])
    assert [lease.key for lease in (await new.ask_again()).gained] == [second]
    assert (await turn(new), await turn(old)) == (Round(), Round())
    assert set(old.held) | set(new.held) == {row.key for row in await fleet.rows()}
    assert metrics.registry.get_sample_value("headrace_leases_held") == len(new.held) == 2
    assert metrics.registry.get_sample_value("headrace_lease_lost_total", {"cause": "renewal"}) is None


async def test_a_claim_that_its_owner_does_not_meet_in_time_is_followed_by_a_take() -> None:
    fleet = Fleet(shards=2)
    stuck, heir = await fleet.worker("stuck"), await fleet.worker("heir")
    await turn(stuck)
    await turn(heir)
    for _ in range(4):
        [claimed] = (await stuck.renew()).claimed
        assert (await heir.ask_again()).gained == ()
        fleet.clock.advance(FAILOVER / 4)
    [taken] = (await heir.ask_again()).gained
    assert (taken.key, taken.epoch, taken.claim) == (claimed, 2, None)
    assert (await stuck.renew()).lost == (claimed,)


async def test_a_claim_is_dropped_when_another_worker_got_the_lease() -> None:
    fleet = Fleet(shards=2)
    owner, slow, fast = [await fleet.worker(name) for name in ("owner", "slow", "fast")]
    held = {lease.key: lease for lease in (await turn(owner)).gained}
    await turn(slow)
    [claimed] = (await owner.renew()).claimed
    await owner.release(held[claimed])
    await turn(fast)
    assert claimed in fast.held
    assert (await slow.ask_again(), await slow.ask_again()) == (Round(), Round())
    assert not slow._acquirer.busy


async def test_a_claim_whose_answer_was_lost_is_found_by_the_next_look() -> None:
    fleet = Fleet(shards=2)
    owner, new = await fleet.worker("owner"), await fleet.worker("new")
    held = {lease.key: lease for lease in (await turn(owner)).gained}
    fleet.store.after = {"claim": no_answer}
    await turn(new)
    [claimed] = (await owner.renew()).claimed
    await owner.release(held[claimed])
    await turn(new)
    assert list(new.held) == [claimed]


async def test_the_leases_of_a_dead_worker_are_taken_after_the_failover_time_and_not_before() -> None:
    fleet = Fleet(shards=1)
    dead, heir = await fleet.worker("dead"), await fleet.worker("heir")
    [left] = (await turn(dead)).gained
    await turn(heir)
    fleet.clock.advance(FAILOVER - 0.1)
    assert (await turn(heir)).gained == ()
    fleet.clock.advance(0.1)
    [inherited] = (await turn(heir)).gained
    assert (inherited.owner, inherited.epoch) == ("heir", left.epoch + 1)


async def test_how_long_a_lease_stood_still_before_it_was_first_seen_does_not_count() -> None:
    fleet = Fleet(shards=1)
    await turn(await fleet.worker("dead"))
    fleet.clock.advance(10 * FAILOVER)
    assert (await turn(await fleet.worker("heir"))).gained == ()


async def test_a_worker_that_stopped_in_order_is_replaced_at_once() -> None:
    fleet = Fleet(shards=2)
    first = await fleet.worker("first")
    await turn(first)
    await first.release_all()
    assert first.held == {}
    assert shards_of((await turn(await fleet.worker("second"))).gained) == {"0", "1"}


async def test_a_lease_lost_while_the_worker_was_frozen_is_reported_once() -> None:
    fleet = Fleet(shards=1)
    frozen, heir = await fleet.worker("frozen"), await fleet.worker("heir")
    [lease] = (await turn(frozen)).gained
    await turn(heir)
    fleet.clock.advance(FAILOVER)
    await turn(heir)
    assert await turn(frozen) == Round(gained=(), lost=(lease.key,))
    assert await turn(frozen) == Round(gained=(), lost=())


async def test_nothing_is_taken_while_draining_but_what_is_held_is_renewed() -> None:
    fleet = Fleet(shards=4)
    keeper = await fleet.worker("a")
    gained = (await turn(keeper)).gained
    assert (await turn(keeper, take=False)).gained == ()
    counters = {row.key: row.counter for row in await fleet.rows()}
    assert [counters[lease.key] - lease.counter for lease in gained] == [1, 1]


async def test_renewals_tell_how_far_idle_shards_are_complete() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    idle, _ = (await turn(keeper)).gained
    fleet.caught_up[idle.key] = fleet.clock.now()
    await turn(keeper)
    assert {row.key: row.complete_through for row in await fleet.rows() if row.complete_through} == {
        idle.key: fleet.clock.now()
    }


async def test_a_released_lease_is_no_loss_and_may_be_taken_again_from_its_new_state() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await turn(keeper)).gained
    await keeper.release(lease)
    await keeper.release(lease)
    again = await turn(keeper)
    assert again.lost == ()
    assert [row.epoch for row in again.gained] == [lease.epoch + 1]


async def test_children_are_taken_once_their_parent_has_ended() -> None:
    fleet = Fleet(shards=1, start=LATEST)
    keeper = await fleet.worker("a")
    [parent] = (await turn(keeper)).gained
    fleet.stream.split(parent.shard_id)
    await (await fleet.sync()).run()
    assert (await turn(keeper)).gained == ()
    await fleet.end(parent)
    await keeper.release(parent)
    children = (await turn(keeper)).gained
    assert shards_of(children) == {"1", "2"}
    assert {child.checkpoint for child in children} == {TRIM_HORIZON}
    assert parent.checkpoint == LATEST


async def test_new_shards_are_noticed_without_being_told() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [parent] = (await turn(keeper)).gained
    fleet.stream.split(parent.shard_id)
    fleet.clock.advance(SYNC_SECONDS - 0.1)
    await turn(keeper)
    assert len(await fleet.rows()) == 1
    fleet.clock.advance(0.1)
    await turn(keeper)
    assert len(await fleet.rows()) == 3


@pytest.mark.parametrize("call", ["renew", "list", "take"])
async def test_a_store_that_does_not_answer_costs_a_round_and_no_lease(call: str) -> None:
    fleet = Fleet(shards=4)
    keeper = await fleet.worker("a")
    held = {lease.key for lease in (await turn(keeper)).gained}
    fleet.store.before = {call: no_answer}
    assert (await turn(keeper)).lost == ()
    assert not fleet.store.before
    assert held <= set(keeper.held)
    await turn(keeper)
    assert len(keeper.held) == 4


@pytest.mark.parametrize("call", ["renew", "list"])
async def test_a_call_that_never_returns_does_not_hold_up_the_renewals_of_the_next_round(call: str) -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a", failover=SHORT_FAILOVER)
    [lease] = (await turn(keeper)).gained
    fleet.store.before = {call: never}
    async with asyncio.timeout(10):
        assert await turn(keeper) == Round(gained=(), lost=())
        await turn(keeper)
    assert (await fleet.rows())[0].counter >= lease.counter + 1


async def test_what_was_gained_beside_a_take_without_an_answer_is_reported_and_the_other_one_is_taken_anew() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    fleet.store.after = {"take": no_answer}
    [first] = (await turn(keeper)).gained
    assert {row.owner for row in await fleet.rows()} == {"a"}
    [second] = (await turn(keeper)).gained
    assert (first.epoch, second.epoch) == (1, 2)


async def test_a_take_that_is_answered_late_is_reported_late_and_not_repeated() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a", failover=SHORT_FAILOVER)
    answer = asyncio.Event()
    fleet.store.after = {"take": answer.wait}
    assert (await turn(keeper)).gained == ()
    assert (await turn(keeper)).gained == ()
    answer.set()
    assert [lease.epoch for lease in (await turn(keeper)).gained] == [1]


async def test_a_lease_that_is_lost_and_free_again_is_not_taken_before_the_loss_is_noticed() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    [lease] = (await turn(keeper)).gained
    stolen = await fleet.store.take(lease, "thief")
    await fleet.store.release(stolen)
    fleet.store.before = {"renew": no_answer}
    assert await turn(keeper) == Round(gained=(), lost=())
    changes = await turn(keeper)
    assert changes.lost == (lease.key,)
    assert [row.epoch for row in changes.gained] == [3]


async def test_a_release_without_an_answer_is_tried_again_with_the_next_renewals() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    [first, second] = (await turn(keeper)).gained
    fleet.store.before = {"release": no_answer}
    await keeper.release(first)
    assert list(keeper.held) == [second.key]
    assert (await keeper.look()).gained == ()
    assert {row.owner for row in await fleet.rows()} == {"a"}
    await keeper.renew()
    assert [row.key for row in await fleet.rows() if row.owner is None] == [first.key]


async def test_a_release_without_an_answer_is_tried_again_before_the_worker_ends() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    await turn(keeper)
    fleet.store.before = {"release": no_answer}
    await keeper.release_all()
    assert keeper.held == {}
    assert {row.owner for row in await fleet.rows()} == {None}


async def test_a_take_that_comes_too_late_is_counted_and_costs_nothing() -> None:
    fleet = Fleet(shards=1)
    metrics = Metrics()
    slow, fast = await fleet.worker("slow", metrics), await fleet.worker("fast")
    fleet.store.before = {"take": lambda: turn(fast)}
    assert await turn(slow) == Round(gained=(), lost=())
    assert metrics.cas_conflicts.labels(op="take")._value.get() == 1


async def test_the_time_a_slow_store_needs_is_not_held_against_the_owner() -> None:
    fleet = Fleet(shards=1)
    owner, other = await fleet.worker("owner"), await fleet.worker("other")
    await turn(owner)
    await turn(other)

    async def slow() -> None:
        fleet.clock.advance(FAILOVER)

    fleet.store.after = {"list": slow}
    assert (await turn(other)).gained == ()


async def test_a_lease_released_during_its_renewal_stays_released() -> None:
    fleet = Fleet(shards=1)
    keeper = await fleet.worker("a")
    await turn(keeper)
    for moment in (fleet.store.before, fleet.store.after):
        moment["renew"] = lambda: keeper.release(*keeper.held.values())
        assert await turn(keeper, take=False) == Round(gained=(), lost=())
        assert keeper.held == {}
        assert [row.owner for row in await fleet.rows()] == [None]
        await turn(keeper)


class _Gone(MemoryStream):
    async def shards(self) -> list[Shard]:
        raise NotFoundError("events")


async def test_a_stream_that_is_gone_ends_the_service() -> None:
    fleet = Fleet()
    fleet.stream = _Gone(fleet.clock)
    with pytest.raises(NotFoundError):
        await turn(await fleet.worker("a"))


async def test_running_takes_until_asked_to_stop_and_releases_when_drained() -> None:
    fleet = Fleet(shards=4)
    clock = SystemClock()
    keeper = await fleet.worker("a", failover=SHORT_FAILOVER, clock=clock)
    shutdown, drained = Shutdown(10.0, clock), asyncio.Event()
    rounds: asyncio.Queue[Round] = asyncio.Queue()
    running = asyncio.create_task(keeper.run(rounds.put_nowait, shutdown=shutdown, drained=drained))

    async with asyncio.timeout(10):
        gained: list[Lease] = []
        while len(gained) < 4:
            gained += (await rounds.get()).gained
        shutdown.request()
        await fleet.store.create([Lease(key=await fleet.key(9))])
        counters = {row.key: row.counter for row in await fleet.rows()}
        for _ in range(3):
            assert (await rounds.get()).gained == ()
        assert {row.key for row in await fleet.rows() if row.counter > counters[row.key]} == {
            lease.key for lease in gained
        }
        drained.set()
        await running
    assert {row.owner for row in await fleet.rows()} == {None}


async def test_a_worker_that_knows_of_another_one_marks_its_leases_at_once_and_waits_for_claims() -> None:
    fleet = Fleet(shards=2)
    shutdown = Shutdown(10.0, fleet.clock)
    old, new = await fleet.worker("old", failover=1.0), await fleet.worker("new")
    held = {lease.key: lease for lease in (await turn(old)).gained}
    await turn(new)
    await turn(old)
    told: asyncio.Queue[Round] = asyncio.Queue()
    shutdown.request()
    offering = asyncio.create_task(old.offer(told.put_nowait, shutdown))
    async with asyncio.timeout(10):
        while any(not row.leaving for row in await fleet.rows()):
            await asyncio.sleep(0)
        await new.look()
        while held:
            for key in (await told.get()).claimed:
                if key in held:
                    await old.release(held.pop(key))
                    await new.ask_again()
            await new.look()
        await offering
    assert len(new.held) == 2


async def test_a_worker_that_knows_of_no_other_offers_nothing_and_still_says_that_it_is_leaving() -> None:
    fleet = Fleet(shards=2)
    keeper = await fleet.worker("a")
    await turn(keeper)
    shutdown = Shutdown(10.0, fleet.clock)
    shutdown.request()
    told: list[Round] = []
    await keeper.offer(told.append, shutdown)
    assert told == []
    await keeper.renew()
    assert all(row.leaving for row in await fleet.rows())


async def test_while_most_renewals_are_not_answered_nothing_is_looked_at() -> None:
    fleet = Fleet(shards=2)
    clock = SystemClock()
    keeper = await fleet.worker("a", failover=SHORT_FAILOVER, clock=clock)
    shutdown, drained = Shutdown(10.0, clock), asyncio.Event()
    running = asyncio.create_task(keeper.run(lambda _: None, shutdown=shutdown, drained=drained))

    async def renewals(count: int) -> None:
        before = fleet.store.asked["renew"]
        while fleet.store.asked["renew"] < before + count:
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        while len(keeper.held) < 2:
            await asyncio.sleep(0)
        fleet.store.always = {"renew": no_answer}
        await renewals(8)  # the last look may have begun before they failed
        looks = fleet.store.asked["list"]
        await renewals(8)
        assert fleet.store.asked["list"] == looks
        fleet.store.always = {}
        while fleet.store.asked["list"] == looks:
            await asyncio.sleep(0)
        shutdown.request()
        drained.set()
        await running


async def test_a_take_that_is_under_way_when_all_is_drained_is_waited_for_and_released() -> None:
    fleet = Fleet(shards=1)
    clock = SystemClock()
    keeper = await fleet.worker("a", failover=1.0, clock=clock)
    shutdown, drained = Shutdown(10.0, clock), asyncio.Event()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        asked.set()
        await answer.wait()

    fleet.store.before = {"take": slowly}
    running = asyncio.create_task(keeper.run(lambda _: None, shutdown=shutdown, drained=drained))
    async with asyncio.timeout(10):
        await asked.wait()
        shutdown.request()
        drained.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not running.done()
        answer.set()
        await running
    assert [(row.owner, row.epoch) for row in await fleet.rows()] == [(None, 1)]
