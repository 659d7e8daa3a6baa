"""Top lists: what an origin keeps of one span of time, and how a reader merges it.

An origin keeps the best `KEPT` products of each minute, hour and day and of all time. Once it had to let one go, later
counts of that product start again from zero, so the list says that it is no longer exact: its values are lower bounds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from headrace.counters.layout import Bucket, Span, bucket_of, entity_key, is_kept
from headrace.counters.ports import Counts, Deltas, Entity, Metric, TopItem, TopList

KEPT = 500
MAX_BYTES = 300_000
"""Of one list, encoded; DynamoDB allows 400 KB an item."""

_ENTRY_BYTES = 24
_AMOUNT_BYTES = 24


class BestOf(msgspec.Struct, frozen=True, array_like=True):
    """The best products of one bucket and origin, column by column: `views[i]` belongs to `ids[i]`."""

    ids: list[str]
    views: list[int]
    add_to_carts: list[int]
    purchases: list[int]
    revenue: dict[str, dict[int, Decimal]]
    """By currency, then by position in `ids`."""
    complete: bool
    """Whether no product was ever let go."""

    def amounts(self, metric: Metric, currency: str | None) -> Iterable[tuple[str, int | Decimal]]:
        """(id, value) by one metric; revenue in `currency` only."""
        match metric:
            case Metric.VIEWS:
                return zip(self.ids, self.views, strict=True)
            case Metric.ADD_TO_CARTS:
                return zip(self.ids, self.add_to_carts, strict=True)
            case Metric.PURCHASES:
                return zip(self.ids, self.purchases, strict=True)
            case Metric.REVENUE:
                return ((self.ids[at], amount) for at, amount in self.revenue.get(currency or "", {}).items())


NOTHING = BestOf([], [], [], [], {}, complete=True)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(BestOf)


def encode(best: BestOf) -> bytes:
    """As stored: MessagePack, at most `MAX_BYTES`."""
    return _encoder.encode(best)


def decode(raw: bytes) -> BestOf:
    """The inverse of `encode`."""
    return _decoder.decode(raw)


def by_bucket(deltas: Deltas, now: float) -> dict[Bucket, dict[str, Counts]]:
    """What a batch adds to each product (by `entity_key`) in every bucket that some window still shows at `now`.

    At most 60 minutes, 24 hours, 30 days and all time, plus what lies ahead of `now`.
    """
    added: dict[Bucket, dict[str, Counts]] = {}
    shown: dict[int, list[dict[str, Counts]]] = {}
    for (entity, entity_id, minute), counts in deltas.items():
        if entity is not Entity.PRODUCT:
            continue
        if minute not in shown:  # a batch has many products and few minutes
            buckets = (bucket_of(span, minute) for span in Span)
            shown[minute] = [added.setdefault(bucket, {}) for bucket in buckets if is_kept(bucket, now)]
        key = entity_key(entity_id)
        for products in shown[minute]:
            known = products.get(key)
            products[key] = counts if known is None else known.plus(counts)
    return dict(sorted(added.items()))


def add(best: BestOf, products: Mapping[str, Counts]) -> BestOf:
    """The best products after a batch."""
    merged = _counts(best)
    for product_id, counts in products.items():
        merged[product_id] = merged[product_id].plus(counts) if product_id in merged else counts
    kept = _best(merged)
    revenue: defaultdict[str, dict[int, Decimal]] = defaultdict(dict)
    for at, product_id in enumerate(kept):
        for currency, amount in merged[product_id].revenue.items():
            revenue[currency][at] = amount
    return BestOf(
        ids=kept,
        views=[merged[product_id].views for product_id in kept],
        add_to_carts=[merged[product_id].add_to_carts for product_id in kept],
        purchases=[merged[product_id].purchases for product_id in kept],
        revenue=dict(revenue),
        complete=best.complete and len(kept) == len(merged),
    )


def merge(lists: Iterable[BestOf], metric: Metric, *, limit: int, currency: str | None) -> TopList:
    """One top list out of those of all origins and buckets. Equal values are ordered by id; zeros are left out."""
    lists = list(lists)
    if metric is Metric.REVENUE and currency is None:
        currency = _main_currency(lists)
    sums: defaultdict[str, int | Decimal] = defaultdict(int)
    for best in lists:
        for product_id, value in best.amounts(metric, currency):
            sums[product_id] += value
    ranked = sorted(((-value, product_id) for product_id, value in sums.items() if value > 0))
    return TopList(
        items=[TopItem(entity_id=product_id, value=Decimal(-value)) for value, product_id in ranked[:limit]],
        exact=all(best.complete for best in lists),
        currency=currency if metric is Metric.REVENUE else None,
    )


def _counts(best: BestOf) -> dict[str, Counts]:
    revenue: defaultdict[int, dict[str, Decimal]] = defaultdict(dict)
    for currency, amounts in best.revenue.items():
        for at, amount in amounts.items():
            revenue[at][currency] = amount
    columns = zip(best.ids, best.views, best.add_to_carts, best.purchases, strict=True)
    return {
        product_id: Counts(views=views, add_to_carts=carts, purchases=bought, revenue=revenue.get(at, {}))
        for at, (product_id, views, carts, bought) in enumerate(columns)
    }


def _best(products: Mapping[str, Counts]) -> list[str]:
    """The ids to keep, best first: ordered by their best rank in any metric or currency, equals by id."""
    by_id = sorted(products)
    rank = dict.fromkeys(by_id, len(by_id))
    for values in _rankings(products, by_id):
        # Sorting is stable, so equals stay in the order of their ids. Whom `KEPT` are better in each is not kept.
        ordered = sorted(values, key=values.__getitem__, reverse=True)[:KEPT]
        for at, product_id in enumerate(ordered):
            rank[product_id] = min(at, rank[product_id])
    kept: list[str] = []
    size = 0
    for product_id in sorted(by_id, key=rank.__getitem__):
        size += len(product_id.encode()) + _ENTRY_BYTES + _AMOUNT_BYTES * len(products[product_id].revenue)
        if len(kept) == KEPT or size > MAX_BYTES:
            break
        kept.append(product_id)
    return kept


def _rankings(products: Mapping[str, Counts], by_id: Sequence[str]) -> list[Mapping[str, Any]]:
    """What each product has of each metric, where it is not zero; in the order of `by_id`."""
    views, carts, purchases = dict[str, int](), dict[str, int](), dict[str, int]()
    revenue: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    for product_id in by_id:
        counts = products[product_id]
        if counts.views:
            views[product_id] = counts.views
        if counts.add_to_carts:
            carts[product_id] = counts.add_to_carts
        if counts.purchases:
            purchases[product_id] = counts.purchases
        for currency, amount in counts.revenue.items():
            revenue[currency][product_id] = amount
    return [views, carts, purchases, *revenue.values()]


def _main_currency(lists: Iterable[BestOf]) -> str | None:
    """The currency of the products with the most purchases; of equals the first by name."""
    purchases: defaultdict[str, int] = defaultdict(int)
    for best in lists:
        for currency, amounts in best.revenue.items():
            purchases[currency] += sum(best.purchases[at] for at in amounts)
    return min(purchases, key=lambda currency: (-purchases[currency], currency), default=None)
