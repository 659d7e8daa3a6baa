from collections.abc import AsyncIterator

import pytest

from headrace.catalog.inventory import hours_with_objects, still_empty, take_inventory
from headrace.catalog.memory import MemoryCatalog
from headrace.errors import UnavailableError
from headrace.lake.layout import HourPartition
from headrace.lake.memory import MemoryStore
from headrace.lake.ports import ObjectInfo

HOURS = [HourPartition.of_hour(493_000 + 400 * n) for n in range(40)]


class WatchedStore(MemoryStore):
    """Writes down which folders were listed, and refuses to list objects."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []

    async def prefixes(self, prefix: str) -> AsyncIterator[str]:
        self.listed.append(prefix)
        async for folder in super().prefixes(prefix):
            yield folder

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        raise AssertionError(prefix)
        yield


async def put(store: MemoryStore, *keys: str) -> None:
    for key in keys:
        await store.put(key, b"")


async def test_hours_are_found_folder_by_folder_and_no_object_is_listed() -> None:
    store = WatchedStore()
    await put(store, *(f"events/{hour.path}/{n}.parquet" for hour in HOURS for n in range(50)))
    listings: list[None] = []
    assert await hours_with_objects(store, lambda: listings.append(None)) == set(HOURS)
    days = {hour.path.rpartition("/")[0] for hour in HOURS}
    assert {f"events/{day}/" for day in days} <= set(store.listed)
    assert len(listings) == len(store.listed) < 100


@pytest.mark.parametrize(
    "folder",
    [
        "year=..",
        "year=2026')",
        "Year=2026",
        "year==2026",
        "year=٢٠٢٦",
        "year=%32026",
        "year=",
        "month=04",
        "_temporary",
    ],
)
async def test_a_hostile_folder_is_not_looked_into(folder: str) -> None:
    store = WatchedStore()
    await put(store, f"events/{folder}/month=04/day=09/hour=00/a.parquet", f"events/{HOURS[0].path}/a.parquet")
    assert await hours_with_objects(store) == {HOURS[0]}
    assert f"events/{folder}/" not in store.listed


async def test_a_day_that_no_calendar_has_is_no_partition() -> None:
    store = MemoryStore()
    await put(store, "events/year=2026/month=02/day=30/hour=00/a.parquet", "events/year=2026/month=2/day=1/hour=0/a")
    assert await hours_with_objects(store) == set()


async def test_an_empty_bucket_takes_one_listing() -> None:
    store = WatchedStore()
    assert await hours_with_objects(store) == set()
    assert store.listed == ["events/"]


async def test_a_listing_that_fails_is_told_as_it_is() -> None:
    class Down(MemoryStore):
        async def prefixes(self, prefix: str) -> AsyncIterator[str]:
            raise UnavailableError(prefix)
            yield

    with pytest.raises(UnavailableError, match="events/"):
        await hours_with_objects(Down())


async def test_missing_is_what_no_query_sees_and_orphaned_what_has_no_objects() -> None:
    store, catalog = MemoryStore(), MemoryCatalog()
    await put(store, *(f"events/{hour.path}/a.parquet" for hour in HOURS[:3]))
    await catalog.ensure_table()
    await catalog.add_partitions(HOURS[2:5])
    found = await take_inventory(catalog, store)
    assert (found.landed, found.registered) == (frozenset(HOURS[:3]), frozenset(HOURS[2:5]))
    assert (found.missing, found.orphaned) == (HOURS[:2], HOURS[3:5])


async def test_an_hour_is_empty_until_an_object_is_in_it() -> None:
    store = MemoryStore()
    assert await still_empty(store, HOURS[0])
    await put(store, f"events/{HOURS[0].path}/a.parquet")
    assert not await still_empty(store, HOURS[0])
    assert await still_empty(store, HOURS[1])
