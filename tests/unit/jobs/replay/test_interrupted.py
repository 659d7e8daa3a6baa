"""A replay that is killed, overtaken, or met by another one: still once."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from headrace.events.repairs import parse_repairs
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Intent, Lease
from jobs.replay.lots import read_lots
from tests.unit.jobs.replay.dead_letters import (
    LETTERS,
    QUANTITY,
    Kill,
    KilledError,
    World,
    event,
    letter,
    meant,
    numbers,
)


async def kills() -> int:
    world, kill = World(), Kill()
    await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), by=world.replayer(QUANTITY, kill=kill, failover=60))
    return kill.calls


async def test_killed_before_any_call_and_run_again_it_finishes_exactly_once() -> None:
    calls = await kills()
    assert calls > 20
    for at in range(1, calls + 1):
        world = World()
        await world.quarantine(*LETTERS)
        victim = world.replayer(QUANTITY, kill=Kill(at=at), owner="victim", failover=60)
        with pytest.raises(KilledError):
            await world.replay(meant("wrong_type"), by=victim)
        report = await world.replay(meant("wrong_type"), QUANTITY)
        assert not report.problems, at
        assert world.ids() == ["e1", "e2", "e5"], at
        assert await world.views() == 3, at
        assert len(world.again()) == 1, at
        before = dict(world.store.objects)
        assert numbers(await world.replay(meant("wrong_type"), QUANTITY))["already"] == 4, at
        assert world.store.objects == before, at


async def test_what_an_earlier_run_decided_stands_whatever_the_next_one_repairs() -> None:
    calls = await kills()
    for at in range(1, calls + 1, 3):
        world = World()
        await world.quarantine(*LETTERS)
        victim = world.replayer(QUANTITY, kill=Kill(at=at), owner="victim", failover=60)
        with pytest.raises(KilledError):
            await world.replay(meant("wrong_type"), by=victim)
        decided = any(lease.intent or lease.batch_no for lease in await world.leases.list(""))
        await world.replay(meant("wrong_type"), parse_repairs(sets=["quantity=9"]))
        assert world.ids() in (["e1", "e2", "e5"], ["e1", "e2", "e3", "e5"]), at
        assert world.rows()[0]["quantity"] == (1 if decided else 9), at


async def test_two_at_once_share_the_work_and_do_it_once() -> None:
    world = World()
    for n in range(6):
        await world.quarantine(*(letter(event(10 * n + i, quantity="1")) for i in range(3)), name=f"o{n}")
    reports = await asyncio.gather(
        *(world.replay(by=world.replayer(QUANTITY, owner=owner, failover=1)) for owner in ("one", "other"))
    )
    assert sum(numbers(report)["rows"] for report in reports) == 18
    assert all(numbers(report)["lines"] == 18 for report in reports)
    assert len(world.ids()) == len(set(world.ids())) == 18
    assert await world.views() == 18


class Interrupted(MemoryLeaseStore):
    """A table whose first `declare` is held up by something else."""

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        meanwhile, self.meanwhile = self.meanwhile, nothing
        await meanwhile()
        return await super().declare(held, intent)

    meanwhile: Callable[[], Awaitable[object]]


async def nothing() -> None:
    """What holds up nobody."""


async def test_a_replay_that_slept_and_was_overtaken_adds_nothing_to_what_the_other_did() -> None:
    leases = Interrupted()
    world = World(leases=leases)
    await world.quarantine(*LETTERS)
    leases.meanwhile = partial(world.replay, meant("wrong_type"), by=world.replayer(QUANTITY, owner="other"))
    sleeper = world.replayer(QUANTITY, failover=60)
    report = await world.replay(meant("wrong_type"), by=sleeper)
    assert numbers(report)["already"] == 4
    assert world.ids() == ["e1", "e2", "e5"]
    assert await world.views() == 3
    assert len(world.again()) == 1


class Late(MemoryLeaseStore):
    """A table that lets go of a row in the moment in which its last owner has ended it."""

    async def take(self, seen: Lease, owner: str) -> Lease:
        return await self.end(await super().take(seen, owner), caught_up_at=None)


async def test_an_object_that_is_done_in_the_moment_it_is_taken_is_left_alone() -> None:
    world = World(leases=Late())
    await world.quarantine(*LETTERS)
    assert numbers(await world.replay(repairs=QUANTITY))["already"] == 5
    assert world.ids() == []


async def test_a_row_that_was_lost_is_found_again_in_the_manifests() -> None:
    world = World()
    await world.quarantine(*LETTERS)
    await world.replay(meant("wrong_type"), QUANTITY)
    forgetful = World(store=world.store, counters=world.counters)
    report = await forgetful.replay(meant("wrong_type"), QUANTITY)
    assert numbers(report) == {
        "objects": 1,
        "lines": 4,
        "rows": 0,
        "dead_letters": 0,
        "duplicates": 0,
        "already": 4,
    }
    assert world.ids() == ["e1", "e2", "e5"]
    assert await world.views() == 3


async def test_the_summary_tells_what_an_earlier_run_had_decided() -> None:
    world = World()
    await world.quarantine(*LETTERS[2:3])
    victim = world.replayer(kill=Kill(at=1, method="complete"), owner="victim", failover=60)
    with pytest.raises(KilledError):
        await world.replay(by=victim)
    report = await world.replay()
    assert report.summary().splitlines()[0] == "0 rows landed; 1 line failed again (1 as an earlier run had decided)"


async def test_an_object_that_cannot_go_on_is_told_and_the_others_are_replayed() -> None:
    world = World()
    key = await world.quarantine(letter(event(1)), name="a")
    await world.quarantine(letter(event(2)), name="b")
    [lot] = await read_lots(world.store, key, meant())
    await world.leases.create([Lease(key=lot.lease_key)])
    victim = world.replayer(kill=Kill(at=1, method="complete"), owner="victim", failover=60)
    with pytest.raises(KilledError):
        await victim.replay(lot)
    [row] = await world.leases.list("")
    assert row.intent is not None
    world.store.expire_uploads()
    report = await world.replay()
    assert [problem.partition(":")[0] for problem in report.problems] == [key]
    assert world.ids() == ["e2"]
