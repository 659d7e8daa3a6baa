"""Which hours have objects, which are registered, and where the two differ."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.catalog.ports import Catalog
from headrace.concurrency import for_each
from headrace.events.schema import PARTITION_KEYS
from headrace.lake.layout import EVENTS, HourPartition, partition_of
from headrace.lake.ports import ObjectStore

LISTINGS = 8
"""Listings under way at once."""

OnListed = Callable[[], object]
"""Called after each listing: a year of hours takes some 400."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Bucket and catalogue, compared."""

    landed: frozenset[HourPartition]
    """Hours with objects."""
    registered: frozenset[HourPartition]

    @property
    def missing(self) -> list[HourPartition]:
        """Hours with objects that no query sees, by time."""
        return sorted(self.landed - self.registered)

    @property
    def orphaned(self) -> list[HourPartition]:
        """Hours registered without an object, by time: harmless, but each costs a query a listing."""
        return sorted(self.registered - self.landed)


async def take_inventory(catalog: Catalog, store: ObjectStore, on_listed: OnListed = lambda: None) -> Inventory:
    """Compare. The catalogue is read first: an hour that lands in between is at worst missing, never orphaned."""
    registered = frozenset(await catalog.partitions())
    return Inventory(landed=frozenset(await hours_with_objects(store, on_listed)), registered=registered)


async def hours_with_objects(store: ObjectStore, on_listed: OnListed = lambda: None) -> set[HourPartition]:
    """All hours below `events/` that hold an object, found folder by folder, so that no object is listed.

    Folders that are not spelt as we spell them are passed over, and not looked into.
    """
    folders = [f"{EVENTS}/"]
    for key in PARTITION_KEYS:
        folders = await _folders_below(store, folders, key, on_listed)
    found = (partition_of(f"{folder}_") for folder in folders)
    return {partition for partition in found if partition is not None}


async def still_empty(store: ObjectStore, partition: HourPartition) -> bool:
    """Whether an hour has no object at this moment."""
    async for _ in store.list(f"{EVENTS}/{partition.path}/"):
        return False
    return True


async def _folders_below(store: ObjectStore, folders: list[str], key: str, on_listed: OnListed) -> list[str]:
    found: list[str] = []

    async def look(folder: str) -> None:
        async for below in store.prefixes(folder):
            name, _, value = below.removeprefix(folder).removesuffix("/").partition("=")
            if name == key and value.isascii() and value.isdigit():
                found.append(below)
        on_listed()

    await for_each(folders, look, limit=LISTINGS)
    return found
