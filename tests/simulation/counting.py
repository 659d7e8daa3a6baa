"""What every counter item must hold: the sum of what was decided up to the last batch that it has."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from headrace.counters import top
from headrace.counters.layout import ItemKey, plan, top_key
from headrace.counters.ledger import plan_ledger
from headrace.counters.memory import MemoryCounters
from headrace.counters.ports import Counts
from headrace.delivery.manifest import Manifest
from tests.simulation.rules import Judge, Rule


def origin_of(manifest: Manifest) -> str:
    """What tells the counters of one shard from those of another."""
    return f"{manifest.lineage}-{manifest.shard}"


class Expected:
    """Sums of decided batches, item by item."""

    def __init__(self) -> None:
        self._batches: set[tuple[str, int]] = set()
        self._items: defaultdict[ItemKey, dict[int, Mapping[str, int | Decimal]]] = defaultdict(dict)
        """What each batch adds to an item; batches in their order."""
        self._lists: defaultdict[ItemKey, dict[int, Mapping[str, Counts]]] = defaultdict(dict)

    def knows(self, origin: str, batch_no: int) -> bool:
        """Whether a batch is decided."""
        return (origin, batch_no) in self._batches

    def decided(self, manifest: Manifest) -> None:
        """A batch will be applied."""
        origin = origin_of(manifest)
        if (origin, manifest.batch_no) in self._batches:
            return
        self._batches.add((origin, manifest.batch_no))
        for key, addition in self._additions(manifest).items():
            self._items[key][manifest.batch_no] = addition
        for bucket, products in top.by_bucket(dict(manifest.deltas), manifest.planned_at).items():
            self._lists[top_key(bucket, origin)][manifest.batch_no] = products

    def undecided(self, manifest: Manifest) -> None:
        """A batch will not be applied after all: nobody knows of it any more."""
        origin = origin_of(manifest)
        self._batches.discard((origin, manifest.batch_no))
        for key in self._additions(manifest):
            self._items[key].pop(manifest.batch_no, None)
        for bucket in top.by_bucket(dict(manifest.deltas), manifest.planned_at):
            self._lists[top_key(bucket, origin)].pop(manifest.batch_no, None)

    def reached(self, manifest: Manifest, counters: MemoryCounters) -> bool:
        """Whether any item has this batch, or a later one."""
        places = len(self._additions(manifest)) + len(top.by_bucket(dict(manifest.deltas), manifest.planned_at))
        return len(self.missing(manifest, counters)) < places

    def check(self, origin: str, counters: MemoryCounters, judge: Judge) -> None:
        """Compare all items of one shard."""
        for key, item in counters._items.items():
            if key.sk.endswith(origin) or key.pk.endswith(origin):
                wanted = self._sum(key, item.last)
                judge.check(
                    Rule.COUNTER_IS_SUM,
                    item.numbers == wanted,
                    f"{key} has {item.numbers} up to batch {item.last}, decided was {wanted}",
                )
        for key, kept in counters._lists.items():
            if key.sk.endswith(origin):
                best = top.NOTHING
                for batch_no, products in self._lists[key].items():
                    if batch_no <= kept.last:
                        best = top.add(best, products)
                judge.check(Rule.COUNTER_IS_SUM, kept.best == best, f"{key} up to batch {kept.last} is {kept.best}")

    def missing(self, manifest: Manifest, counters: MemoryCounters) -> list[ItemKey]:
        """Items that a batch has not reached."""
        origin = origin_of(manifest)
        lists = [top_key(bucket, origin) for bucket in top.by_bucket(dict(manifest.deltas), manifest.planned_at)]
        stores = ((self._additions(manifest), counters._items), (lists, counters._lists))
        return [
            key for wanted, store in stores for key in wanted if key not in store or store[key].last < manifest.batch_no
        ]

    @staticmethod
    def _additions(manifest: Manifest) -> dict[ItemKey, Mapping[str, int | Decimal]]:
        origin, now = origin_of(manifest), manifest.planned_at
        planned = plan_ledger(origin, asdict(manifest.ledger), now) | plan(origin, dict(manifest.deltas), now)
        return {key: addition.numbers for key, addition in planned.items()}

    def _sum(self, key: ItemKey, last: int) -> dict[str, int | Decimal]:
        total: dict[str, int | Decimal] = {}
        for batch_no, numbers in self._items[key].items():
            if batch_no <= last:
                for name, value in numbers.items():
                    total[name] = total.get(name, 0) + value
        return total
