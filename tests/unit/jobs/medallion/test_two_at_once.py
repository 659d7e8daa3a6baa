"""A job that sleeps at some call while others take its expired lock and work, and then goes on."""

import asyncio
import contextlib

import pytest

from headrace.errors import ConflictError
from jobs.medallion.lock import LockedError
from tests.unit.jobs.medallion.protocol_world import Calls, World, line
from tests.unit.jobs.medallion.test_crash_enumeration import DAYS, Readers, two_runs


class Sleep:
    """The turn of others, once: the whole process waits for them."""

    def __init__(self, world: World, at: int, *, another_run: bool) -> None:
        self._world, self._at, self._another_run = world, at, another_run
        self._one = asyncio.Lock()
        self._over = False

    async def __call__(self, number: int) -> None:
        async with self._one:
            if number < self._at or self._over:
                return
            self._over = True
            self._world.wait_for_the_lock()
            await self._world.run()
            if self._another_run:
                more(self._world)
                await self._world.run()


def more(world: World) -> None:
    world.bronze("d", line(7, DAYS[1]), line(8, DAYS[0]))


async def test_a_second_job_is_told_who_works_since_when_and_until_when_and_changes_nothing() -> None:
    world = await two_runs()
    refusals = []

    async def meanwhile(number: int) -> None:
        if number == 25:
            before = dict(world.store.objects), world.documents()
            with pytest.raises(LockedError) as refused:
                await world.run()
            refusals.append(str(refused.value))
            assert (dict(world.store.objects), world.documents()) == before

    await world.run(calls=Calls(turn=meanwhile))
    assert refusals == [
        (
            "another medallion job is at work: process 3, since 2026-04-09 09:40:00 UTC; "
            "if it has died, its lock ends at 2026-04-09 09:41:00 UTC; --wait waits for it"
        )
    ]


@pytest.mark.parametrize("another_run", [False, True])
async def test_whoever_wakes_up_late_undoes_nothing(another_run: bool) -> None:
    """However long the sleep: others make or finish the same run, and maybe one after it."""
    start = await two_runs()
    clean, calls = start.copy(), Calls()
    await clean.run(calls=calls)
    middle = clean.copy()
    if another_run:
        more(clean)
        clean.wait_for_the_lock()
        await clean.run()
    expected, decided = clean.result(), clean.decided()
    for asleep, name in enumerate(calls.names, start=1):
        if name.startswith("engine.") or asleep <= 2:  # before it has the lock it is no run
            continue
        world = start.copy()
        readers = Readers(world, middle, clean)
        sleeper = Calls(turn=Sleep(world, asleep, another_run=another_run), seen=readers.look)
        with contextlib.suppress(ConflictError):
            await world.run(calls=sleeper)
        assert world.result() == expected, f"asleep before call {asleep}, {name}"
        assert world.decided() == decided
