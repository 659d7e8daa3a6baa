from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headrace.counters.deltas import deltas_of
from headrace.counters.layout import page_path
from headrace.counters.ports import CountKey, Counts, Deltas, Entity
from headrace.events.arrow import EVENT_SCHEMA

MINUTE = int(datetime(2026, 4, 9, 12, 35, tzinfo=UTC).timestamp()) // 60
MICROSECONDS = 60_000_000


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.table({field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in EVENT_SCHEMA})


def event(event_type: str, minute: int = MINUTE, **fields: Any) -> dict[str, Any]:
    return {"event_type": event_type, "event_time": minute * MICROSECONDS, **fields}


def product(product_id: str, minute: int = MINUTE) -> CountKey:
    return CountKey(Entity.PRODUCT, product_id, minute)


def page(path: str, minute: int = MINUTE) -> CountKey:
    return CountKey(Entity.PAGE, path, minute)


def slowly(rows: list[dict[str, Any]]) -> Deltas:
    """The same, row by row."""
    totals: defaultdict[CountKey, Counts] = defaultdict(Counts)
    for row in rows:
        if row["event_type"] not in {"page_view", "add_to_cart", "purchase"}:
            continue
        bought = row["event_type"] == "purchase"
        counts = Counts(
            views=int(row["event_type"] == "page_view"),
            add_to_carts=int(row["event_type"] == "add_to_cart"),
            purchases=int(bought),
            quantity=(row["quantity"] or 0) if bought else 0,
            revenue={row["currency"] or "XXX": row["revenue"]} if bought and row["revenue"] is not None else {},
        )
        minute = row["event_time"] // MICROSECONDS
        if row["product_id"]:
            key = product(row["product_id"], minute)
            totals[key] = totals[key].plus(counts)
        if row["page_url"] is not None:
            key = page(page_path(row["page_url"]), minute)
            totals[key] = totals[key].plus(counts)
    return dict(totals)


rows = st.fixed_dictionaries({
    "event_type": st.sampled_from(["page_view", "add_to_cart", "purchase", "search"]),
    "event_time": st.integers(-3 * MICROSECONDS, 3 * MICROSECONDS) | st.integers(-(10**15), 10**16),
    "product_id": st.sampled_from([None, "", "a", "b", "é"]),
    "page_url": st.sampled_from([None, "", "/p", "https://x.example/p?q=1", "https://x.example", "a:b#c"]) | st.text(),
    "quantity": st.none() | st.integers(-(2**63), 2**63 - 1),
    "currency": st.sampled_from([None, "EUR", "USD"]),
    "revenue": st.none() | st.decimals(-(10**13), 10**13, places=4),
})  # fmt: skip


@given(st.lists(rows, max_size=30))
def test_columns_count_what_rows_would(events: list[dict[str, Any]]) -> None:
    assert deltas_of(table(*events)) == slowly(events)


def test_an_event_counts_for_its_product_and_its_page() -> None:
    found = deltas_of(table(event("page_view", product_id="a", page_url="https://x.example/p/a?ref=1")))
    assert found == {product("a"): Counts(views=1), page("/p/a"): Counts(views=1)}


def test_addresses_of_one_path_are_one_page() -> None:
    urls = ("https://x.example/p?a", "/p#b", "//y.example/p", "http://x.example", "")
    found = deltas_of(table(*(event("page_view", page_url=url) for url in urls)))
    assert found == {page("/p"): Counts(views=3), page("/"): Counts(views=2)}


def test_only_purchases_bring_quantity_and_revenue() -> None:
    amounts = {"product_id": "a", "quantity": 2, "revenue": Decimal("9.5"), "currency": "EUR"}
    found = deltas_of(table(event("add_to_cart", **amounts), event("purchase", **amounts)))
    assert found == {
        product("a"): Counts(add_to_carts=1, purchases=1, quantity=2, revenue={"EUR": Decimal("9.5")}),
    }


def test_what_is_no_currency_counts_as_none() -> None:
    codes = ("eur", "EUR", None, "", "doubloons", "QQQ")
    found = deltas_of(table(*(event("purchase", product_id="a", revenue=Decimal(1), currency=code) for code in codes)))
    assert found[product("a")].revenue == {"EUR": Decimal(2), "XXX": Decimal(4)}


def test_the_minute_is_that_of_the_event_in_utc() -> None:
    late = event("page_view", product_id="a")
    late["event_time"] += MICROSECONDS - 1
    assert set(deltas_of(table(late, event("page_view", MINUTE + 1, product_id="a")))) == {
        product("a"),
        product("a", MINUTE + 1),
    }


def test_a_table_in_pieces_is_one_batch() -> None:
    piece = table(event("page_view", product_id="a", page_url="/p"))
    assert deltas_of(pa.concat_tables([piece, piece])) == {product("a"): Counts(views=2), page("/p"): Counts(views=2)}


def test_nothing_that_counts_is_nothing() -> None:
    assert deltas_of(table(event("search"), event("page_view"))) == {}
    assert deltas_of(table()) == {}
