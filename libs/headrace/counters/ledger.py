"""The ledger: what became of an origin's records, by UTC hour. Items beside the counts, under the same condition.

    pk                  sk                holds
    ledger#{origin}     hour#{number}     sums of the batches planned in that hour, by name

`number` is hours since 1970 UTC.
"""

from collections.abc import Mapping

from headrace.clock import HOUR_SECONDS, hour_of
from headrace.counters.layout import Addition, ItemKey

KEPT_HOURS = 90 * 24
"""A quarter: longer than it takes to miss a record, and the stream itself has long forgotten it by then. The totals
since the first record stay in the lease row."""


def ledger_partition(origin: str) -> str:
    """The partition key of an origin's hours."""
    return f"ledger#{origin}"


def hour_sort_key(hour: int) -> str:
    """The sort key of an hour; in order of time."""
    return f"hour#{hour:010}"


def hour_of_sort_key(sort_key: str) -> int:
    """The reverse of `hour_sort_key`."""
    return int(sort_key.partition("#")[2])


def plan_ledger(origin: str, ledger: Mapping[str, int], now: float) -> dict[ItemKey, Addition]:
    """What a batch adds to the ledger: one item, or none when there is nothing to note."""
    if not ledger:
        return {}
    hour = hour_of(now)
    key = ItemKey(ledger_partition(origin), hour_sort_key(hour))
    return {key: Addition(ledger, (hour + 1 + KEPT_HOURS) * HOUR_SECONDS)}
