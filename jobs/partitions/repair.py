"""What differs between bucket and table, and how it is mended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from headrace.catalog.ddl import MAX_PARTITIONS
from headrace.catalog.inventory import Inventory, still_empty
from headrace.catalog.ports import Catalog
from headrace.lake.layout import HourPartition
from headrace.lake.ports import ObjectStore

AT_ONCE = 4 * MAX_PARTITIONS
"""Partitions between two signs of progress: a few statements side by side."""

OnMended = Callable[[int], object]
"""Told how many partitions more are done."""


class State(StrEnum):
    """How hours are seen."""

    IN_BUCKET = "in_bucket"
    REGISTERED = "registered"
    MISSING = "missing"
    """In the bucket and not registered: no query sees them."""
    ORPHANED = "orphaned"
    """Registered without objects: harmless, but a listing for each query."""


class Action(StrEnum):
    """What was done about a difference."""

    NONE = "none"
    ADD = "would be added"
    DROP = "would be dropped"
    ADDED = "added"
    DROPPED = "dropped"
    KEPT = "kept"
    """An object of it appeared in the meantime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One hour on which bucket and table differ."""

    partition: HourPartition
    state: State
    action: Action = Action.NONE


def differences(inventory: Inventory, *, planned: bool = False) -> list[Difference]:
    """All differences, missing ones first; with `planned` they say what a repair would do."""
    return [
        *_differences(inventory.missing, State.MISSING, Action.ADD if planned else Action.NONE),
        *_differences(inventory.orphaned, State.ORPHANED, Action.DROP if planned else Action.NONE),
    ]


async def repair(
    catalog: Catalog, store: ObjectStore, inventory: Inventory, on_mended: OnMended = lambda _: None
) -> list[Difference]:
    """Add what is missing, then drop what is orphaned and still without objects.

    Safe to repeat, and beside a partitioner: what lands between the last look and the drop is registered again by the
    partitioner's next sweep.
    """
    for part in _parts(inventory.missing):
        await catalog.add_partitions(part)
        on_mended(len(part))
    done = _differences(inventory.missing, State.MISSING, Action.ADDED)
    for part in _parts(inventory.orphaned):
        empty = [hour for hour in part if await still_empty(store, hour)]
        await catalog.drop_partitions(empty)
        on_mended(len(part))
        kept = [hour for hour in part if hour not in set(empty)]
        done += _differences(empty, State.ORPHANED, Action.DROPPED)
        done += _differences(kept, State.ORPHANED, Action.KEPT)
    return done


def _differences(hours: Sequence[HourPartition], state: State, action: Action) -> list[Difference]:
    return [Difference(partition=hour, state=state, action=action) for hour in hours]


def _parts(hours: Sequence[HourPartition]) -> list[Sequence[HourPartition]]:
    return [hours[start : start + AT_ONCE] for start in range(0, len(hours), AT_ONCE)]
