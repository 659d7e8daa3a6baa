"""A run is hit at each of its calls, in each way; then another process runs. All must be as if nothing had happened."""

import contextlib

import pytest

from headrace.errors import HeadraceError
from tests.unit.jobs.medallion.protocol_world import Calls, Fault, KilledError, World, changes, line

DAYS = ("2026-04-07", "2026-04-08", "2026-04-09")


async def two_runs() -> World:
    world = World()
    world.bronze("a", line(1, DAYS[0]), line(2, DAYS[0]), "no json", line(3, DAYS[1]))
    await world.run()
    world.bronze("b", line(4, DAYS[1], v=1), line(1, DAYS[0]))
    world.clock.advance(3000)
    await world.run()
    world.bronze("c", line(5, DAYS[1], v=2), line(6, DAYS[2]), "nor this", line(2, DAYS[0]))
    world.clock.advance(3000)
    return world


class Readers:
    """Look at everything after each call: a day or a table is as it was or as it will be, and nothing is undecided."""

    def __init__(self, world: World, *after: World) -> None:
        self._world = world
        self._silver = [each.silver() for each in (world, *after)]
        self._gold = [each.gold() for each in (world, *after)]
        self._gold_runs = [each.gold_runs() for each in (world, *after)]

    def look(self) -> None:
        world = self._world
        assert world.published_runs() <= world.decided()
        for day, rows in world.silver().items():
            assert rows in [known.get(day) for known in self._silver], day
        for table, body in world.gold().items():
            assert body in [known.get(table) for known in self._gold], table
        assert world.gold_runs() in self._gold_runs


async def test_three_runs_make_what_one_full_run_makes() -> None:
    world = await two_runs()
    await world.run()
    assert world.silver() == {
        DAYS[0]: [line(1, DAYS[0]), line(2, DAYS[0])],
        DAYS[1]: [line(3, DAYS[1]), line(4, DAYS[1], v=1), line(5, DAYS[1], v=2)],
        DAYS[2]: [line(6, DAYS[2])],
    }


@pytest.mark.parametrize("fault", list(Fault))
async def test_hit_at_any_call_and_run_again_everything_is_as_after_a_clean_run(fault: Fault) -> None:
    start = await two_runs()
    clean, calls = start.copy(), Calls()
    await clean.run(calls=calls)
    expected = clean.result()
    for at, name in enumerate(calls.names, start=1):
        if fault is not Fault.REFUSED and not changes(name):
            continue  # as good as refused, or as killed after the call before
        world = start.copy()
        readers = Readers(world, clean)
        hit = Calls(at=at, fault=fault, seen=readers.look)
        with contextlib.suppress(KilledError, HeadraceError):
            await world.run(calls=hit)
        assert len(hit.names) >= at
        world.wait_for_the_lock()
        await world.run(calls=Calls(seen=readers.look))
        assert world.result() == expected, f"{fault} at {at}: {hit.names[at - 1]}"
