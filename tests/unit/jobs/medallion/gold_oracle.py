"""Gold in plain Python: what the five tables hold for rows of silver, row by row, in the order of their keys."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Row = Mapping[str, Any]
Group = dict[tuple[Any, ...], list[Row]]
MIDNIGHT = datetime(2026, 4, 9, tzinfo=UTC).replace(tzinfo=None)
BIGGEST = 2**63 - 1


def events(days: int = 3) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of silver, of a few days, users and products, with all that may be missing or extreme."""
    micros = st.integers(0, days * 86_400 * 10**6 - 1)
    money = st.decimals(-(10**13), 10**13, places=4) | st.sampled_from([Decimal("0.0001"), Decimal("19.99")])
    row = st.fixed_dictionaries({
        "event_time": micros.map(lambda n: MIDNIGHT + timedelta(microseconds=n)),
        "event_type": st.sampled_from(["page_view", "page_view", "add_to_cart", "purchase", "purchase", "click"]),
        "product_id": st.sampled_from([None, "p1", "p2", "É'\"\\"]),
        "category": st.sampled_from([None, "shoes", "toys"]),
        "user_id": st.sampled_from([None, "u1", "u2", "u3"]),
        "session_id": st.sampled_from([None, "s1", "s2", "s3"]),
        "revenue": st.none() | money,
        "quantity": st.none() | st.integers(-3, 9) | st.sampled_from([BIGGEST, -BIGGEST - 1]),
    })  # fmt: skip
    return st.lists(row, max_size=25)


def day_of(row: Row) -> date:
    """The day, UTC, in whose partition a row is."""
    when: datetime = row["event_time"]
    return when.date()


def by_day(rows: Iterable[Row]) -> dict[date, list[Row]]:
    """Rows of silver by their partition."""
    days: dict[date, list[Row]] = {}
    for row in rows:
        days.setdefault(day_of(row), []).append(row)
    return days


def gold(table: str, silver: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of a table."""
    return _TABLES[table](silver)


def _rate(part: int | Decimal | None, whole: int) -> float | None:
    return None if part is None or not whole else float(str(part)) / float(whole)


def _distinct(rows: Iterable[Row], column: str) -> int:
    return len({row[column] for row in rows} - {None})


def _total(rows: Iterable[Row]) -> Decimal | None:
    given = [row["revenue"] for row in rows if row["event_type"] == "purchase" and row["revenue"] is not None]
    return sum(given, Decimal(0)) if given else None


def _groups(rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    found: Group = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return sorted(found.items(), key=lambda item: [(part is None, part or 0) for part in item[0]])


def _product(row: Row) -> tuple[Any, ...]:
    return row["product_id"], row["category"]


def _product_funnel(silver: Sequence[Row]) -> list[dict[str, Any]]:
    steps = ("page_view", "add_to_cart", "purchase")
    made = []
    asked = [row for row in silver if row["product_id"] is not None and row["event_type"] in steps]
    for (product, category), rows in _groups(asked, _product):
        views, carts, purchases = (Counter(row["event_type"] for row in rows)[step] for step in steps)
        made.append({
            "product_id": product, "category": category,
            "view_count": views, "add_to_cart_count": carts, "purchase_count": purchases,
            "view_to_cart_rate": _rate(carts, views), "cart_to_purchase_rate": _rate(purchases, carts),
            "view_to_purchase_rate": _rate(purchases, views),
        })  # fmt: skip
    return made


def _hourly_revenue(silver: Sequence[Row]) -> list[dict[str, Any]]:
    made = []
    purchases = [row for row in silver if row["event_type"] == "purchase"]
    for (day, hour), rows in _groups(purchases, lambda row: (day_of(row), row["event_time"].hour)):
        total, items = _total(rows), [row["quantity"] for row in rows if row["quantity"] is not None]
        fits = bool(items) and -BIGGEST - 1 <= sum(items) <= BIGGEST
        made.append({
            "event_date": day, "event_hour": hour, "total_revenue": total, "purchase_count": len(rows),
            "avg_order_value": _rate(total, sum(row["revenue"] is not None for row in rows)),
            "total_items_sold": sum(items) if fits else None,
        })  # fmt: skip
    return made


def _product_popularity(silver: Sequence[Row]) -> list[dict[str, Any]]:
    views = [row for row in silver if row["product_id"] is not None and row["event_type"] == "page_view"]
    return [
        {
            "product_id": product, "category": category,
            "view_count": len(rows), "unique_viewers": _distinct(rows, "user_id"),
        }
        for (product, category), rows in _groups(views, _product)
    ]  # fmt: skip


def _category_daily_performance(silver: Sequence[Row]) -> list[dict[str, Any]]:
    made = []
    for (day, category), rows in _groups(silver, lambda row: (day_of(row), row["category"])):
        types = Counter(row["event_type"] for row in rows)
        made.append({
            "event_date": day, "category": category, "total_events": len(rows), "page_views": types["page_view"],
            "add_to_carts": types["add_to_cart"], "purchases": types["purchase"], "total_revenue": _total(rows),
        })  # fmt: skip
    return made


def _daily_user_activity(silver: Sequence[Row]) -> list[dict[str, Any]]:
    made = []
    for (day,), rows in _groups(silver, lambda row: (day_of(row),)):
        users, sessions = _distinct(rows, "user_id"), _distinct(rows, "session_id")
        made.append({
            "event_date": day, "unique_users": users, "unique_sessions": sessions, "total_events": len(rows),
            "events_per_user": _rate(len(rows), users), "sessions_per_user": _rate(sessions, users),
        })  # fmt: skip
    return made


_TABLES: Mapping[str, Callable[[Sequence[Row]], list[dict[str, Any]]]] = {
    "product_funnel": _product_funnel,
    "hourly_revenue": _hourly_revenue,
    "product_popularity": _product_popularity,
    "category_daily_performance": _category_daily_performance,
    "daily_user_activity": _daily_user_activity,
}
