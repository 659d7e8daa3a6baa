"""Counts in this process: the fake for tests, with the semantics of `headrace.counters.dynamodb`."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from headrace.counters import top
from headrace.counters.layout import (
    ItemKey,
    entity_partitions,
    fold,
    item_range,
    plan,
    range_of,
    sort_range,
    top_key,
)
from headrace.counters.ledger import hour_of_sort_key, hour_sort_key, ledger_partition, plan_ledger
from headrace.counters.ports import Counts, Deltas, Entity, HourLedger, Metric, TopList, Window


@dataclass(slots=True)
class _Item:
    last: int
    numbers: dict[str, int | Decimal]


@dataclass(slots=True)
class _List:
    last: int
    best: top.BestOf


class MemoryCounters:
    """All sides of the counters over two dictionaries."""

    def __init__(self) -> None:
        self._items: dict[ItemKey, _Item] = {}
        self._lists: dict[ItemKey, _List] = {}

    async def apply(self, origin: str, batch_no: int, deltas: Deltas, *, now: float, ledger: Mapping[str, int]) -> None:
        """Add a batch's deltas once."""
        additions = plan_ledger(origin, ledger, now) | plan(origin, deltas, now)
        for key, addition in additions.items():
            item = self._items.get(key)
            if item is None:
                self._items[key] = _Item(batch_no, dict(addition.numbers))
            elif item.last < batch_no:
                item.last = batch_no
                _add(item.numbers, addition.numbers)
        for bucket, products in top.by_bucket(deltas, now).items():
            kept = self._lists.setdefault(top_key(bucket, origin), _List(-1, top.NOTHING))
            if kept.last < batch_no:
                kept.last = batch_no
                kept.best = top.add(kept.best, products)

    async def counts(self, entity: Entity, entity_id: str, window: Window, *, now: float) -> Counts:
        """Counts of one entity; all zero when it is unknown."""
        covered = range_of(window, now)
        first, last = sort_range(item_range(covered))
        partitions = set(entity_partitions(entity, entity_id))
        found = [
            (key.sk, item.numbers)
            for key, item in self._items.items()
            if key.pk in partitions and first <= key.sk <= last
        ]
        return fold(found, covered)

    async def top(
        self, metric: Metric, window: Window, *, limit: int, now: float, currency: str | None = None
    ) -> TopList:
        """The products with the most."""
        first, last = sort_range(range_of(window, now))
        lists = [kept.best for key, kept in self._lists.items() if first <= key.sk <= last]
        return top.merge(lists, metric, limit=limit, currency=currency)

    async def hours(self, origin: str, first: int, last: int) -> Mapping[int, HourLedger]:
        """See `LedgerReader`."""
        partition = ledger_partition(origin)
        return {
            hour_of_sort_key(key.sk): HourLedger(
                last=item.last, numbers={name: int(value) for name, value in item.numbers.items()}
            )
            for key, item in sorted(self._items.items())
            if key.pk == partition and hour_sort_key(first) <= key.sk <= hour_sort_key(last)
        }


def _add(numbers: dict[str, int | Decimal], addition: Mapping[str, int | Decimal]) -> None:
    for name, value in addition.items():
        numbers[name] = numbers.get(name, 0) + value
