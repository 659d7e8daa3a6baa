"""The lock of the medallion."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from headrace.clock import ManualClock
from headrace.errors import UnavailableError
from headrace.state.memory import MemoryStateStore
from jobs.medallion.lock import KEY, Lock, LockedError, LockLostError, Underway
from jobs.medallion.steps import Step
from tests.unit.jobs.medallion.protocol_world import StillClock

SECONDS = 60.0


def lock(state: MemoryStateStore, clock: ManualClock, holder: str) -> Lock:
    return Lock(state, clock, holder=holder, seconds=SECONDS)


async def hold(one: Lock, work: Callable[[], Awaitable[object]]) -> None:
    async with one.held():
        await work()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def row(state: MemoryStateStore) -> dict[str, object]:
    document = await state.get(KEY)
    assert document is not None
    return document.value


async def test_it_is_free_again_when_the_block_ends_however_it_ends() -> None:
    state, clock = MemoryStateStore(), StillClock()

    async def fail() -> None:
        assert (await row(state))["holder"] == "one"
        raise ValueError("something")

    with pytest.raises(ValueError, match="something"):
        await hold(lock(state, clock, "one"), fail)
    async with lock(state, clock, "other").held():
        assert (await row(state))["holder"] == "other"
    assert (await row(state))["holder"] is None


async def test_it_remembers_what_is_under_way_for_the_next_holder() -> None:
    state, clock = MemoryStateStore(), StillClock()
    underway = Underway(run=7, attempt="a", done={Step.PLAN: "key"})
    one = lock(state, clock, "one")
    async with one.held():
        await one.note(underway)
    other = lock(state, clock, "other")
    async with other.held():
        assert other.underway == underway


async def test_one_that_was_never_given_back_expires() -> None:
    state, clock = MemoryStateStore(), StillClock()
    await lock(state, clock, "dead")._take(wait=False, on_wait=print)
    clock.advance(SECONDS - 1)
    with pytest.raises(LockedError, match="dead"):
        await hold(lock(state, clock, "next"), for_ever)
    clock.advance(1)
    async with lock(state, clock, "next").held():
        assert (await row(state))["holder"] == "next"


async def test_whoever_waits_is_told_for_whom_once_and_gets_it_when_it_expires() -> None:
    state, clock, told = MemoryStateStore(), ManualClock(), []
    await lock(state, clock, "dead")._take(wait=False, on_wait=print)
    waiting = lock(state, clock, "next")
    await waiting._take(wait=True, on_wait=told.append)
    assert (await row(state))["holder"] == "next"
    assert len(told) == 1
    assert "dead" in told[0]


async def test_of_two_that_take_it_at_once_one_is_refused() -> None:
    state, clock = MemoryStateStore(), StillClock()

    async def some_turns() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    both = [hold(lock(state, clock, holder), some_turns) for holder in ("one", "other")]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["LockedError", "NoneType"]


async def test_it_is_renewed_while_the_block_works() -> None:
    state, clock = MemoryStateStore(), ManualClock()
    one = lock(state, clock, "one")
    async with one.held():
        until = (await row(state))["until"]
        for _ in range(20):
            await asyncio.sleep(0)
        assert clock.now() > float(str(until))
        with pytest.raises(LockedError):
            await hold(lock(state, clock, "other"), for_ever)


async def test_whoever_has_lost_it_is_interrupted_and_leaves_the_other_one_alone() -> None:
    state, clock = MemoryStateStore(), ManualClock()

    async def steal() -> None:
        document = await state.get(KEY)
        assert document is not None
        stolen = document.value | {"holder": "thief", "until": clock.now() + 1e6}
        await state.put(KEY, stolen, expected=document.version)
        await for_ever()

    with pytest.raises(LockLostError, match="another run"):
        await hold(lock(state, clock, "one"), steal)
    assert (await row(state))["holder"] == "thief"


async def test_what_is_noted_after_it_was_lost_is_refused() -> None:
    state, clock = MemoryStateStore(), StillClock()
    one = lock(state, clock, "one")

    async def too_late() -> None:
        clock.advance(SECONDS)
        await hold(lock(state, clock, "other"), lambda: one.note(Underway(run=1, attempt="a")))

    with pytest.raises(LockLostError):
        await hold(one, too_late)


class Unreachable(MemoryStateStore):
    """Takes no writes for a while."""

    down = False

    async def put(self, key: str, value: dict[str, object], *, expected: int) -> int:
        if self.down:
            raise UnavailableError("down")
        return await super().put(key, value, expected=expected)


async def test_a_renewal_that_fails_is_tried_again_until_the_lock_has_expired() -> None:
    state, clock = Unreachable(), ManualClock()
    async with lock(state, clock, "one").held():
        state.down = True
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        state.down = False
        for _ in range(10):
            await asyncio.sleep(0)

    async def cut_off() -> None:
        state.down = True
        await for_ever()

    with pytest.raises(LockLostError, match="in time"):
        await hold(lock(state, clock, "one"), cut_off)
