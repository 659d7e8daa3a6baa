import pytest

from headrace.catalog.inventory import take_inventory
from headrace.catalog.memory import MemoryCatalog
from headrace.errors import UnavailableError
from headrace.lake.layout import HourPartition
from headrace.lake.memory import MemoryStore
from jobs.partitions.cli import counted, listed, summary
from jobs.partitions.repair import Action, Difference, State, differences, repair

HOURS = [HourPartition("2026", "04", "09", f"{hour:02}") for hour in range(24)]


async def shop(landed: list[HourPartition], registered: list[HourPartition]) -> tuple[MemoryCatalog, MemoryStore]:
    catalog, store = MemoryCatalog(), MemoryStore()
    for hour in landed:
        await store.put(f"events/{hour.path}/a.parquet", b"")
    await catalog.ensure_table()
    await catalog.add_partitions(registered)
    return catalog, store


async def test_a_repair_adds_what_is_missing_and_drops_what_is_orphaned() -> None:
    catalog, store = await shop(HOURS[:4], HOURS[2:6])
    mended: list[int] = []
    found = await repair(catalog, store, await take_inventory(catalog, store), mended.append)
    assert [(it.partition, it.state, it.action) for it in found] == [
        *((hour, State.MISSING, Action.ADDED) for hour in HOURS[:2]),
        *((hour, State.ORPHANED, Action.DROPPED) for hour in HOURS[4:6]),
    ]
    assert await catalog.partitions() == set(HOURS[:4])
    assert sum(mended) == 4
    assert differences(await take_inventory(catalog, store)) == []


async def test_an_hour_that_got_an_object_since_the_comparison_is_not_dropped() -> None:
    catalog, store = await shop([], HOURS[:2])
    inventory = await take_inventory(catalog, store)
    await store.put(f"events/{HOURS[0].path}/late.parquet", b"")
    found = await repair(catalog, store, inventory)
    assert {it.partition: it.action for it in found} == {HOURS[0]: Action.KEPT, HOURS[1]: Action.DROPPED}
    assert await catalog.partitions() == {HOURS[0]}


async def test_a_repair_that_fails_in_the_middle_can_be_run_again() -> None:
    class Failing(MemoryCatalog):
        failures = 1

        async def drop_partitions(self, partitions: object) -> None:
            if self.failures:
                self.failures -= 1
                raise UnavailableError("down")
            await super().drop_partitions(partitions)  # type: ignore[arg-type]

    _, store = await shop(HOURS[:2], [])
    catalog = Failing()
    await catalog.ensure_table()
    await catalog.add_partitions(HOURS[1:3])
    with pytest.raises(UnavailableError):
        await repair(catalog, store, await take_inventory(catalog, store))
    await repair(catalog, store, await take_inventory(catalog, store))
    assert await catalog.partitions() == set(HOURS[:2])


async def test_a_plan_says_what_a_repair_would_do() -> None:
    catalog, store = await shop(HOURS[:1], HOURS[1:2])
    inventory = await take_inventory(catalog, store)
    assert [it.action for it in differences(inventory)] == [Action.NONE, Action.NONE]
    assert [it.action for it in differences(inventory, planned=True)] == [Action.ADD, Action.DROP]


async def test_counts_have_a_row_for_each_state() -> None:
    catalog, store = await shop(HOURS[:4], HOURS[2:5])
    first, last = HOURS[0].path, HOURS[3].path
    assert counted(await take_inventory(catalog, store)) == [
        ("in_bucket", 4, first, last),
        ("registered", 3, HOURS[2].path, HOURS[4].path),
        ("missing", 2, first, HOURS[1].path),
        ("orphaned", 1, HOURS[4].path, HOURS[4].path),
    ]
    assert counted(await take_inventory(*await shop([], []))) == [
        (state, 0, None, None) for state in ("in_bucket", "registered", "missing", "orphaned")
    ]


def test_a_list_has_a_row_for_each_difference_and_a_summary_says_what_was_done() -> None:
    added = [Difference(partition=hour, state=State.MISSING, action=Action.ADDED) for hour in HOURS[:2]]
    dropped = Difference(partition=HOURS[2], state=State.ORPHANED, action=Action.DROPPED)
    assert listed([dropped]) == [(HOURS[2].path, "orphaned", "dropped")]
    assert summary([*added, dropped]) == "2 added, 1 dropped"
    assert summary([]) == "bucket and table agree"
    assert summary([Difference(partition=HOURS[0], state=State.MISSING)]).startswith("1 partition differs; --repair")
