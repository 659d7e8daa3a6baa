"""What is deleted, and when."""

import pytest
from msgspec.structs import replace

from jobs.medallion import places
from jobs.medallion.manifest import encode, folders
from jobs.medallion.steps import Step
from tests.unit.jobs.medallion.protocol_world import GRACE, RAW, Calls, Fault, KilledError, below, line
from tests.unit.jobs.medallion.test_crash_enumeration import DAYS, two_runs


async def test_what_a_run_replaced_and_its_work_areas_stay_for_the_grace_time_and_then_go() -> None:
    world = await two_runs()
    await world.run()
    manifest = await world.job().publisher.find(3)
    assert manifest is not None
    replaced = manifest.superseded
    assert replaced
    world.clock.advance(GRACE - 1)
    await world.run(RAW, Step.CLEAN)
    assert all(below(world, folder) for folder in replaced)
    assert below(world, places.work_areas(3))
    readable = world.silver(), world.gold(), world.gold_runs()
    world.clock.advance(1)
    assert (await world.run(RAW, Step.CLEAN)).deleted
    assert not below(world, *replaced, places.work_areas(1), places.work_areas(2), places.work_areas(3))
    assert (world.silver(), world.gold(), world.gold_runs()) == readable


async def test_after_it_only_what_tables_name_is_in_their_folders() -> None:
    world = await two_runs()
    await world.run()
    world.clock.advance(GRACE)
    await world.run(RAW, Step.CLEAN)
    manifest = await world.job().publisher.find(3)
    assert manifest is not None
    named = folders(manifest.tables)
    assert {key.rpartition("/")[0] + "/" for key in below(world, places.SILVER, places.GOLD)} == named


async def test_work_areas_of_tries_that_failed_go_with_the_number_that_they_tried() -> None:
    world = await two_runs()
    with pytest.raises(KilledError):
        await world.run(calls=Calls(at=39, fault=Fault.KILLED))
    world.wait_for_the_lock()
    left = below(world, places.work_areas(3))
    assert left
    world.clock.advance(GRACE)
    await world.run(RAW, Step.CLEAN)
    assert below(world, places.work_areas(3)) == left, "nobody has decided run 3: whoever works on it may yet"
    await world.run()
    world.clock.advance(GRACE)
    await world.run(RAW, Step.CLEAN)
    assert not below(world, places.work_areas(3))


async def test_a_table_that_shows_what_will_be_deleted_is_put_right_before() -> None:
    world = await two_runs()
    old = dict(world.catalog._locations["silver_events"])
    await world.run()
    readable = world.silver()
    world.catalog._locations["silver_events"] |= old
    world.clock.advance(GRACE)
    await world.run(RAW, Step.CLEAN)
    assert world.silver() == readable


async def test_what_tables_name_stays_whatever_a_manifest_says_that_was_replaced() -> None:
    world = await two_runs()
    await world.run()
    publisher = world.job().publisher
    current, earlier = await publisher.find(3), await publisher.find(2)
    assert current is not None
    assert earlier is not None
    wrong = replace(earlier, superseded=tuple(folders(current.tables)))
    await world.store.put(places.manifest(2), encode(wrong))
    readable = world.silver(), world.gold(), world.gold_runs()
    world.clock.advance(GRACE)
    await world.run(RAW, Step.CLEAN)
    assert (world.silver(), world.gold(), world.gold_runs()) == readable


async def test_what_is_clean_is_not_looked_at_again() -> None:
    world = await two_runs()
    await world.run()
    world.clock.advance(GRACE)
    await world.run(RAW, Step.CLEAN)
    calls = Calls()
    assert (await world.run(RAW, Step.CLEAN, calls=calls)).deleted == 0
    assert not [name for name in calls.names if name.startswith(("store", "catalog"))]


async def test_manifests_of_long_ago_go_and_those_that_a_sleeper_may_meet_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.medallion.clean.KEPT_MANIFESTS", 2)
    world = await two_runs()
    for n in range(3):
        world.bronze(f"more-{n}", line(10 + n, DAYS[0]))
        await world.run()
    world.clock.advance(GRACE)
    await world.run()
    assert world.decided() == {4, 5}
