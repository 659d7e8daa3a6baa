"""Events to be landed, and what has to come of them: worked out by a plain loop, not by the code under test."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from headrace.counters.ports import Counts, Entity

PRODUCTS = 12
SESSIONS = 499
HOURS = 2
"""Of event time: objects in a batch."""
CURRENCIES = ("EUR", "USD")
KINDS = ("page_view", "page_view", "page_view", "search", "add_to_cart", "purchase")


class Row(NamedTuple):
    """What of an event is compared, by the table's columns."""

    event_id: str
    session_id: str
    event_type: str
    event_time: datetime
    """UTC, without saying so, as Athena has it."""
    page_url: str
    product_id: str | None
    quantity: int | None
    price: Decimal | None
    revenue: Decimal | None


class Traffic:
    """Events of one seed, all from the day before `now`."""

    def __init__(self, seed: int, count: int, now: datetime) -> None:
        self.rows: Counter[Row] = Counter()
        """One of each."""
        self.counts: dict[tuple[Entity, str], Counts] = {}
        self._chance = random.Random(seed)
        self._first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=26)
        self._events = [self._event(f"e-{seed}-{number}") for number in range(count)]

    def write(self, path: Path) -> None:
        """One event a line."""
        with path.open("w") as lines:
            lines.writelines(json.dumps(event) + "\n" for event in self._events)

    def _event(self, event_id: str) -> Mapping[str, Any]:
        chance = self._chance
        kind = chance.choice(KINDS)
        at = self._first + timedelta(milliseconds=chance.randrange(HOURS * 3_600_000))
        number = chance.randrange(PRODUCTS)
        bought = kind == "purchase"
        quantity = chance.randint(1, 5) if bought else None
        price = Decimal(100 + 7 * number) / 100
        currency = chance.choice(CURRENCIES)
        product = None if kind == "search" else f"p-{number}"
        path = "/search" if product is None else f"/p/{number}"
        row = Row(
            event_id=event_id,
            session_id=f"s-{chance.randrange(SESSIONS)}",
            event_type=kind,
            event_time=at.astimezone(UTC).replace(tzinfo=None),
            page_url=f"https://shop.example{path}?q={chance.randrange(1000)}",
            product_id=product,
            quantity=quantity,
            price=price,
            revenue=price * quantity if quantity else None,
        )
        self.rows[row] += 1
        for key in self._counted(product, path):
            self.counts[key] = self.counts.get(key, Counts()).plus(
                Counts(
                    views=kind == "page_view",
                    add_to_carts=kind == "add_to_cart",
                    purchases=bought,
                    quantity=quantity or 0,
                    revenue={currency: row.revenue} if row.revenue is not None else {},
                )
            )
        values = {**row._asdict(), "currency": currency, "price": float(price)}
        del values["event_time"], values["revenue"]
        return {
            "timestamp": int(at.timestamp() * 1000),
            **{name: value for name, value in values.items() if value is not None},
        }

    @staticmethod
    def _counted(product: str | None, path: str) -> Iterator[tuple[Entity, str]]:
        if product is not None:  # a search counts nowhere
            yield Entity.PRODUCT, product
            yield Entity.PAGE, path
