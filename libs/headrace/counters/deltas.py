"""Columns of a batch → what it adds to the counts. Python sees groups, never rows."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.counters.currencies import CURRENCIES, NO_CURRENCY
from headrace.counters.layout import URL_PATH
from headrace.counters.ports import CountKey, Counts, Deltas, Entity
from headrace.events.schema import ADD_TO_CART, PAGE_VIEW, PURCHASE

_TYPES = [PAGE_VIEW, ADD_TO_CART, PURCHASE]
_CODES = pa.array(sorted(CURRENCIES))
_COLUMNS = ("event_type", "event_time", "product_id", "page_url", "quantity", "currency", "revenue")
_MICROSECONDS = 60_000_000
_WIDE = pa.decimal128(38, 0)
"""A sum of 64-bit quantities may not fit 64 bits."""
_INT64 = 1 << 63
_NOTHING: Mapping[str, Decimal] = {}


def deltas_of(table: pa.Table) -> Deltas:
    """Counts by product and by page, per minute of event time, of a table with `events.schema`'s columns.

    Only page_view, add_to_cart and purchase count. Rows without a product add to their page alone, and the reverse.
    """
    rows = table.select(_COLUMNS).filter(pc.is_in(table["event_type"], value_set=pa.array(_TYPES))).combine_chunks()
    if not rows.num_rows:
        return {}
    minutes = pc.divide(pc.floor_temporal(rows["event_time"], unit="minute").cast(pa.int64()), _MICROSECONDS)
    facts = pa.table({
        "minute": minutes,
        **{kind: pc.equal(rows["event_type"], kind) for kind in _TYPES},
        "quantity": _summable(pc.if_else(pc.equal(rows["event_type"], PURCHASE), rows["quantity"], None)),
        "currency": _codes(rows["currency"]),
        "revenue": rows["revenue"],
    })  # fmt: skip
    products = pc.if_else(pc.equal(rows["product_id"], ""), None, rows["product_id"])
    return {
        **dict(_counts(Entity.PRODUCT, facts.append_column("id", products))),
        **dict(_counts(Entity.PAGE, facts.append_column("id", _paths(rows["page_url"])))),
    }


def _counts(entity: Entity, facts: pa.Table) -> Iterator[tuple[CountKey, Counts]]:
    facts = facts.filter(pc.is_valid(facts["id"]))
    money: dict[tuple[str, int], dict[str, Decimal]] = {}
    paid = facts.filter(pc.and_(facts[PURCHASE], pc.is_valid(facts["revenue"])))
    for entity_id, minute, currency, amount in _groups(paid, ["id", "minute", "currency"], ["revenue"]):
        money.setdefault((entity_id, minute), {})[currency] = amount
    for entity_id, minute, views, carts, bought, quantity in _groups(facts, ["id", "minute"], [*_TYPES, "quantity"]):
        yield (
            CountKey(entity, entity_id, minute),
            Counts(
                views=views,
                add_to_carts=carts,
                purchases=bought,
                quantity=int(quantity or 0),
                revenue=money.get((entity_id, minute), _NOTHING) if bought else _NOTHING,
            ),
        )


def _groups(table: pa.Table, keys: list[str], sums: list[str]) -> Iterator[tuple[Any, ...]]:
    grouped = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    return zip(*(_values(grouped[name]) for name in [*keys, *(f"{name}_sum" for name in sums)]), strict=True)


def _values(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_decimal(column.type):
        values: list[Any] = column.to_pylist()
        return values
    # By way of their digits: Arrow takes three times as long to make decimals.
    return [None if digits is None else Decimal(digits) for digits in column.cast(pa.string()).to_pylist()]


def _summable(quantities: pa.ChunkedArray) -> pa.ChunkedArray:
    """As integers where no sum of them can pass 64 bits, else as decimals."""
    bounds = pc.min_max(quantities).as_py()
    largest = max(abs(bounds["min"] or 0), abs(bounds["max"] or 0))
    return quantities.cast(pa.int64() if largest * len(quantities) < _INT64 else _WIDE)


def _paths(urls: pa.ChunkedArray) -> pa.Array:
    coded = urls.combine_chunks().dictionary_encode()
    paths = pc.struct_field(pc.extract_regex(coded.dictionary, pattern=URL_PATH), "path")
    return pc.if_else(pc.equal(paths, ""), "/", paths).take(coded.indices)


def _codes(currencies: pa.ChunkedArray) -> pa.ChunkedArray:
    upper = pc.utf8_upper(currencies)
    return pc.if_else(pc.is_in(upper, value_set=_CODES), upper, NO_CURRENCY)
