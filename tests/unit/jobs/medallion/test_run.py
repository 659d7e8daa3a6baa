"""Steps of a run: one by one in processes of their own, in order, again, and stopped on the way."""

import asyncio
import threading
from datetime import date
from typing import Any

import pytest

from headrace.errors import HeadraceError, UnavailableError
from jobs.medallion import places
from jobs.medallion.listing import Scope
from jobs.medallion.model import Plan, SilverReport, Source, Tables
from jobs.medallion.plan import RefusedRunError, Request
from jobs.medallion.ports import CancelledRunError, OnRows
from jobs.medallion.run import OvertakenError
from jobs.medallion.steps import Step, StepOrderError
from tests.unit.jobs.medallion.protocol_world import RAW, Calls, LinesEngine, World, line, raw_key
from tests.unit.jobs.medallion.test_crash_enumeration import DAYS, two_runs


async def test_steps_in_processes_of_their_own_come_to_the_same_as_all_in_one() -> None:
    world = await two_runs()
    whole = world.copy()
    await whole.run()
    for step in Step:
        await world.run(RAW, step)
    assert world.result() == whole.result()


async def test_a_step_that_is_done_may_be_taken_again() -> None:
    world = await two_runs()
    whole = world.copy()
    await whole.run()
    for step in Step:
        await world.run(RAW, step)
        await world.run(RAW, step) if step is not Step.PLAN else None
    assert world.result() == whole.result()


async def test_processes_that_take_the_same_step_never_write_the_same_object() -> None:
    world = await two_runs()
    await world.run(RAW, Step.PLAN)
    for step in (Step.SILVER, Step.SILVER, Step.GOLD, Step.GOLD):
        before = dict(world.store.objects)
        await world.run(RAW, step)
        assert {key: world.store.objects[key] for key in before} == before
        assert len(world.store.objects) > len(before)


async def test_a_step_taken_again_has_those_after_it_taken_again() -> None:
    world = await two_runs()
    for step in (Step.PLAN, Step.SILVER, Step.GOLD, Step.SILVER):
        await world.run(RAW, step)
    with pytest.raises(StepOrderError, match=r"publish comes after gold: run `headrace job medallion gold` first"):
        await world.run(RAW, Step.PUBLISH)


@pytest.mark.parametrize("step", [Step.SILVER, Step.GOLD, Step.PUBLISH, Step.REGISTER])
async def test_a_step_before_its_turn_names_the_one_that_comes_first(step: Step) -> None:
    with pytest.raises(StepOrderError, match=f"step {step} comes after .*: run `headrace job medallion .*` first"):
        await World().run(RAW, step)


async def test_after_a_plan_that_found_nothing_the_other_steps_have_nothing_to_do_either() -> None:
    world = await two_runs()
    await world.run()
    before = world.result()
    for step in (Step.PLAN, Step.SILVER, Step.GOLD, Step.PUBLISH, Step.REGISTER):
        assert (await world.run(RAW, step)).idle
    assert world.result() == before
    assert world.decided() == {1, 2, 3}


async def test_a_run_that_finds_nothing_makes_no_engine_and_no_run() -> None:
    world = await two_runs()
    await world.run()
    calls = Calls()

    def none(_files: Any) -> LinesEngine:
        raise AssertionError("an engine was made")

    outcome = await world.job(calls, engine=none).run(RAW)
    assert outcome.idle
    assert world.decided() == {1, 2, 3}
    assert not any(name.startswith("catalog.") for name in calls.names)
    assert len(calls.names) < 20


async def test_a_step_of_a_plan_whose_number_another_run_took_says_so() -> None:
    world = await two_runs()
    await world.run(RAW, Step.PLAN)
    left = world.state._rows["medallion:lock"]
    await world.run()
    world.state._rows["medallion:lock"] = left
    with pytest.raises(OvertakenError, match="run 3 is decided by now: begin with `headrace job medallion plan`"):
        await world.run(RAW, Step.SILVER)


async def test_decided_by_another_job_a_run_publishes_nothing_of_its_own() -> None:
    world = await two_runs()
    for step in (Step.PLAN, Step.SILVER, Step.GOLD):
        await world.run(RAW, step)
    left = world.state._rows["medallion:lock"]
    await world.run()
    expected = world.result()
    world.state._rows["medallion:lock"] = left
    with pytest.raises(OvertakenError, match="run 3"):
        await world.run(RAW, Step.PUBLISH)
    assert world.result() == expected


async def test_full_makes_the_same_tables_anew_under_a_new_run() -> None:
    world = await two_runs()
    await world.run()
    silver, gold = world.silver(), world.gold()
    outcome = await world.run(Request(sources=(), full=True))
    assert (world.silver(), world.gold()) == (silver, gold)
    assert outcome.manifest is not None
    assert set(outcome.manifest.tables.runs.values()) == {4}


async def test_what_was_refused_changes_nothing() -> None:
    world = await two_runs()
    before = dict(world.store.objects)
    await world.store.delete([raw_key("a")])
    with pytest.raises(RefusedRunError, match="no longer among the sources"):
        await world.run(Request(sources=(), full=True))
    assert world.store.objects.keys() == before.keys() - {raw_key("a")}


async def test_a_replaced_file_takes_its_old_rows_along() -> None:
    world = await two_runs()
    await world.run()
    world.bronze("c", line(6, DAYS[2], v=9))
    await world.run()
    assert world.silver() == {
        DAYS[0]: [line(1, DAYS[0]), line(2, DAYS[0])],
        DAYS[1]: [line(3, DAYS[1]), line(4, DAYS[1], v=1)],
        DAYS[2]: [line(6, DAYS[2], v=9)],
    }


async def test_a_day_that_loses_all_its_rows_is_gone() -> None:
    world = await two_runs()
    await world.run()
    world.bronze("c", line(5, DAYS[1], v=2))
    outcome = await world.run()
    assert world.silver().keys() == {DAYS[0], DAYS[1]}
    assert outcome.manifest is not None
    assert places.silver_folder(DAYS[2], 3) in outcome.manifest.superseded


async def test_the_sources_are_those_loaded_before_and_else_events() -> None:
    world = World()
    world.bronze("a", line(1, DAYS[0]))
    assert (await world.run(Request(sources=()))).idle
    await world.run(RAW)
    world.bronze("b", line(2, DAYS[0]))
    outcome = await world.run(Request(sources=()))
    assert outcome.plan is not None
    assert outcome.plan.sources == (Source.RAW,)
    assert not outcome.idle


async def test_a_run_over_some_days_knows_that_it_did_not_see_the_others() -> None:
    world = await two_runs()
    outcome = await world.run(Request(sources=(Source.RAW,), scope=Scope(first=date(2026, 4, 9))))
    assert outcome.plan is not None
    assert outcome.plan.partial


class Endless(LinesEngine):
    """Works until it is stopped."""

    def __init__(self, files: Any) -> None:
        super().__init__(files)
        self.working, self.told = threading.Event(), threading.Event()

    def silver(self, plan: Plan, before: Tables, on_rows: OnRows) -> SilverReport:
        self.working.set()
        assert self.told.wait(10)
        raise CancelledRunError("stopped")

    def stop(self) -> None:
        self.told.set()


async def test_a_run_that_is_interrupted_stops_its_engine_and_gives_the_lock_back() -> None:
    world = await two_runs()
    engines: list[Endless] = []

    def endless(files: Any) -> Endless:
        engines.append(Endless(files))
        return engines[-1]

    running = asyncio.create_task(world.job(engine=endless).run(RAW))
    while not engines:
        await asyncio.sleep(0)
    await asyncio.to_thread(engines[0].working.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engines[0].told.is_set()
    await world.run()
    assert world.decided() == {1, 2, 3}


class Broken(LinesEngine):
    """Cannot reach the bucket."""

    def gold(self, *_args: Any) -> Any:
        raise UnavailableError("the bucket is down")


async def test_what_an_engine_cannot_do_is_told_as_it_is_and_the_next_run_begins_anew() -> None:
    world = await two_runs()
    with pytest.raises(HeadraceError, match="the bucket is down"):
        await world.job(engine=Broken).run(RAW)
    assert world.decided() == {1, 2}
    await world.run()
    assert world.decided() == {1, 2, 3}
