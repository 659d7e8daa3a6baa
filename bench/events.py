"""Seeded events of about 500 bytes, as a producer of ours puts a shop's traffic on the stream."""

import random

import msgspec

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
TYPES = ("page_view", "page_view", "page_view", "click", "search", "add_to_cart", "purchase")
START = 1_775_721_600_000
PRODUCTS = 2_000
"""All looked at alike, each on a page of its own."""


SHORT_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"


def make_events(
    count: int,
    seed: int = 7,
    *,
    start: int = START,
    length: int = 10_800_000,
    agent: str = AGENT,
    products: int = PRODUCTS,
) -> list[bytes]:
    """`count` JSON events over three hours, each complete: id, session, user, product, price, user agent, address.

    `start` is in ms since 1970 UTC, `length` in ms.
    """
    rng = random.Random(seed)
    return [msgspec.json.encode(_event(rng, start + n * length // count, agent, products)) for n in range(count)]


def _event(rng: random.Random, timestamp: int, agent: str, products: int) -> dict[str, object]:
    product = rng.randrange(products)
    return {
        "event_id": f"{rng.getrandbits(128):032x}",
        "session_id": f"s-{rng.getrandbits(48):012x}",
        "user_id": f"u-{rng.randrange(500_000)}",
        "event_type": rng.choice(TYPES),
        "timestamp": timestamp,
        "page_url": f"https://shop.example/products/{product}?ref=home",
        "referrer_url": "https://www.example.com/",
        "product_id": f"P{product:05}",
        "category": f"category-{product % 20}",
        "quantity": rng.randrange(1, 4),
        "price": rng.randrange(199, 19_999) / 100,
        "currency": "EUR",
        "user_agent": agent.format(rng.randrange(90, 140)),
        "ip": f"198.51.100.{rng.randrange(256)}",
        "country": rng.choice(("DE", "FR", "IT", "PL")),
        "ingest_time": timestamp + 250,
        "schema_version": 1,
    }
