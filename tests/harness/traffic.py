"""Events to be landed, and what has to come of them: worked out by a plain loop, not by the code under test."""

import hashlib
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

    @property
    def key(self) -> str:
        """Its id and a digest of all of it: two rows are equal when these are, and millions have room in memory."""
        values = [each.normalize() if isinstance(each, Decimal) else each for each in self]
        return f"{self.event_id} {hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()}"


class Traffic:
    """Events of one seed, all from the day before `now`, in a file, and what they amount to."""

    def __init__(self, path: Path, seed: int, count: int, now: datetime, *, products: int = PRODUCTS) -> None:
        self.rows: Counter[str] = Counter()
        """One of each, by its key."""
        self.counts: dict[tuple[Entity, str], Counts] = {}
        self._chance = random.Random(seed)
        self._products = products
        self._first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=26)
        with path.open("w") as lines:
            for number in range(count):
                lines.write(json.dumps(self._event(f"e-{seed}-{number}")) + "\n")

    def _event(self, event_id: str) -> Mapping[str, Any]:
        chance = self._chance
        kind = chance.choice(KINDS)
        at = self._first + timedelta(milliseconds=chance.randrange(HOURS * 3_600_000))
        number = chance.randrange(self._products)
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
        self.rows[row.key] += 1
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
