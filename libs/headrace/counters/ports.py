"""What Headrace counts, and what it asks of the place where counts live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec


class Entity(StrEnum):
    """What counts are kept for."""

    PRODUCT = "product"
    PAGE = "page"
    """A page's path without query string."""


class Window(StrEnum):
    """Over which time counts are read."""

    HOUR = "1h"
    """Rolling, by minute."""
    DAY = "24h"
    """Rolling, by hour."""
    WEEK = "7d"
    """Calendar days in UTC, today included; so is MONTH."""
    MONTH = "30d"
    ALL = "all"


class Metric(StrEnum):
    """What a top list can be ordered by."""

    VIEWS = "views"
    ADD_TO_CARTS = "add_to_carts"
    PURCHASES = "purchases"
    REVENUE = "revenue"


class Counts(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """Counts of one entity over some time. Revenue is kept apart by currency, in units with four decimals.

    A batch can make as many of them as it has rows, so they are made cheaply. A manifest holds them as arrays: new
    fields go to the end.
    """

    views: int = 0
    add_to_carts: int = 0
    purchases: int = 0
    quantity: int = 0
    revenue: Mapping[str, Decimal] = {}

    def plus(self, other: "Counts") -> "Counts":
        """The sum, field by field and currency by currency."""
        return Counts(
            views=self.views + other.views,
            add_to_carts=self.add_to_carts + other.add_to_carts,
            purchases=self.purchases + other.purchases,
            quantity=self.quantity + other.quantity,
            revenue=_sum(self.revenue, other.revenue) if other.revenue else self.revenue,
        )


def _sum(some: Mapping[str, Decimal], more: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    nothing = Decimal(0)
    return {currency: some.get(currency, nothing) + more.get(currency, nothing) for currency in sorted({*some, *more})}


class CountKey(NamedTuple):
    """One entity within one minute. Hours, days and totals are sums of minutes."""

    entity: Entity
    entity_id: str
    minute: int
    """Minutes since 1970 UTC, by event time."""


Deltas = Mapping[CountKey, Counts]
"""What one batch adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopItem:
    """One line of a top list."""

    entity_id: str
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TopList:
    """The entities with the most, most first. `exact` while no shard had more entities than it keeps."""

    items: Sequence[TopItem]
    exact: bool
    currency: str | None = None
    """Of the values, for `Metric.REVENUE`."""


class CounterWriter(Protocol):
    """The consumer's side. One writer per origin at a time, held by its lease."""

    async def apply(self, origin: str, batch_no: int, deltas: Deltas, *, now: float, ledger: Mapping[str, int]) -> None:
        """Add a batch's deltas once, however often it is called with the same `batch_no`.

        `ledger` is what became of the batch's records, by name; it is kept per hour of `now` (seconds since 1970 UTC).

        `origin` is lineage and shard: items of two origins never meet. Batch numbers of one origin only grow. What is
        past the retention of a window at `now` is left out of that window.
        """
        ...


class CounterReader(Protocol):
    """The API's side."""

    async def counts(self, entity: Entity, entity_id: str, window: Window, *, now: float) -> Counts:
        """Counts of one entity; all zero when it is unknown."""
        ...

    async def top(
        self, metric: Metric, window: Window, *, limit: int, now: float, currency: str | None = None
    ) -> TopList:
        """The products with the most. For revenue: in `currency`, else in the one with the most purchases."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HourLedger:
    """What became of an origin's records in the batches of one hour."""

    last: int
    """The last batch it has: the numbers are the sums of this hour's batches up to it, and of no other."""
    numbers: Mapping[str, int]


class LedgerReader(Protocol):
    """The auditor's side."""

    async def hours(self, origin: str, first: int, last: int) -> Mapping[int, HourLedger]:
        """The hours from `first` to `last` (hours since 1970 UTC, both included) that have any batch.

        Read consistently: what a writer was told is there is there.
        """
        ...
