"""What is put on the stream: small events with ids of their own, some repeated, some that nobody can read."""

import json
import random

from headrace.stream.ports import Entry

START = 1_775_721_600
"""Seconds since 1970 UTC at which the world begins; events happened in the two hours before."""
PRODUCTS = ("P0", "P1", "P2")
BAD_SHARE = 0.06
REPEAT_SHARE = 0.08


class Traffic:
    """A producer's events, the same for the same seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._made = 0
        self._good: list[Entry] = []

    def entries(self, count: int) -> list[Entry]:
        """The next records."""
        return [self._entry() for _ in range(count)]

    def forget(self) -> None:
        """No more repeats of what was made so far."""
        self._good.clear()

    def _entry(self) -> Entry:
        rng = self._rng
        chance = rng.random()
        if self._good and chance < REPEAT_SHARE:
            return rng.choice(self._good[-10:])  # the same event, by a producer that sent it twice
        self._made += 1
        key = f"s{self._made}"
        if chance > 1 - BAD_SHARE:
            return Entry(b'{"bad":%d,' % self._made, key)
        event = {
            "event_id": f"e{self._made}",
            "session_id": key,
            "event_type": rng.choice(("page_view", "page_view", "add_to_cart", "purchase")),
            "timestamp": START - rng.randrange(7200),
            "product_id": rng.choice(PRODUCTS),
            "page_url": f"/{rng.randrange(2)}",
        }
        if event["event_type"] == "purchase":
            event |= {"price": rng.randrange(1, 9), "quantity": rng.randrange(1, 4), "currency": "EUR"}
        entry = Entry(json.dumps(event).encode(), key)
        self._good.append(entry)
        return entry
