"""The decision, and what a decided run comes to."""

from typing import Any

import pytest
from msgspec.structs import replace

from headrace.errors import HaltedError, UnavailableError
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import Completion, StagedObject
from jobs.medallion import places
from jobs.medallion.manifest import Manifest
from jobs.medallion.publish import Publisher
from jobs.medallion.steps import Step
from tests.unit.jobs.medallion.protocol_world import HOUSE, RAW, World, below, line
from tests.unit.jobs.medallion.test_crash_enumeration import DAYS, two_runs


def publisher(store: MemoryStore, world: World | None = None) -> Publisher:
    world = world or World()

    async def catalog() -> Any:
        return world.catalog

    return Publisher(store=store, state=world.state, catalog=catalog, house=HOUSE)


async def manifest(attempt: str = "ours") -> Manifest:
    world = await two_runs()
    found = await publisher(world.store, world).find(2)
    assert found is not None
    return replace(found, run=1, attempt=attempt)


class Odd(MemoryStore):
    """Says something odd to the first wish to complete an upload."""

    def __init__(self, says: Completion | Exception, *, done: bool) -> None:
        super().__init__()
        self._says: list[Completion | Exception] = [says]
        self._done = done

    async def complete(self, staged: StagedObject) -> Completion:
        if not self._says:
            return await super().complete(staged)
        says = self._says.pop()
        if self._done:
            await super().complete(staged)
        if isinstance(says, Exception):
            raise says
        return says


async def test_the_first_manifest_of_a_number_counts_for_all() -> None:
    store, ours, theirs = MemoryStore(), await manifest("ours"), await manifest("theirs")
    assert await publisher(store).decide(ours) == ours
    assert await publisher(store).decide(theirs) == ours


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("says", [UnavailableError("no answer"), Completion.NO_UPLOAD, Completion.BUSY])
async def test_a_decision_whose_answer_is_lost_is_made_once(says: Completion | Exception, done: bool) -> None:
    store, ours = Odd(says, done=done), await manifest()
    assert await publisher(store).decide(ours) == ours
    assert await publisher(store).find(1) == ours


async def test_an_object_that_is_gone_before_it_was_copied_halts_the_run() -> None:
    world = await two_runs()
    for step in (Step.PLAN, Step.SILVER, Step.GOLD):
        await world.run(RAW, step)
    [gold] = [key for key in below(world, places.work_areas(3)) if key.endswith("daily_user_activity.parquet")]
    await world.store.delete([gold])
    with pytest.raises(HaltedError, match=r"neither .*daily_user_activity.parquet nor its copy"):
        await world.run(RAW, Step.PUBLISH)


async def test_an_applied_run_may_be_published_again_after_its_work_area_is_gone() -> None:
    world = await two_runs()
    await world.run()
    expected = world.result()
    await world.store.delete([key for key in world.store.objects if key.startswith(places.work_areas(3))])
    await world.run(RAW, Step.PUBLISH, Step.REGISTER)
    assert world.result() == expected


async def test_an_applied_run_without_a_manifest_is_told_and_not_guessed() -> None:
    world = await two_runs()
    await world.store.delete([places.manifest(2)])
    with pytest.raises(HaltedError, match=r"run 2 is applied, but its manifest .* is gone"):
        await world.run()


async def test_a_catalogue_that_others_changed_is_put_right_by_the_next_run() -> None:
    world = await two_runs()
    silver = world.catalog._locations["silver_events"]
    expected = dict(silver)
    silver[DAYS[0],] = "s3://b/silver/events/event_date=2026-04-07/"
    silver["2020-01-01",] = "s3://b/silver/events/event_date=2020-01-01/"
    world.bronze("c", line(6, DAYS[2]))
    await world.run()
    assert {day: silver[day] for day in expected} == expected
    assert silver.keys() == expected.keys() | {(DAYS[2],)}


async def test_without_the_state_table_what_was_decided_is_applied_again_and_the_next_run_goes_on() -> None:
    world = await two_runs()
    await world.run()
    expected = world.silver()
    world.state._rows.clear()
    await world.store.delete([places.manifest(1)])  # of long ago
    world.bronze("d", line(9, DAYS[2]))
    await world.run()
    assert world.silver() == expected | {DAYS[2]: [line(6, DAYS[2]), line(9, DAYS[2])]}
    assert world.decided() == {2, 3, 4}
