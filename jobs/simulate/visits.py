"""One visit: a walk through the shop from arrival to exit, and the events it leaves behind."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from headrace.events.schema import Event
from jobs.simulate.catalogue import (
    CATEGORIES,
    CHANNELS,
    CURRENCY,
    DOCUMENTS,
    NO_CHANNEL,
    SEARCH_TERMS,
    SITE,
    Channel,
    Product,
    Weighted,
    chance,
)
from jobs.simulate.visitors import Visitor

MAX_VISIT_MS = 240_000
"""No event of a visit comes later than this after its start: who is still there then leaves without a trace."""

EVENTS_PER_VISIT = 8.2
"""Mean of the walk below; a test holds the two together."""

_STAY = 0.86
_PAUSE_MS = 8_000
_LEAST_PAUSE_MS = 300
_CRAWL_PAUSE_MS = 1_500


class _Line(NamedTuple):
    product: Product
    quantity: int


def _offer(product: Product) -> dict[str, Any]:
    """The fields that say which product, at what price."""
    return {
        "product_id": product.product_id,
        "category": product.category,
        "price": product.price,
        "currency": CURRENCY,
    }


def visit(visitor: Visitor, start_ms: int, rng: Random, popular: Weighted[Product]) -> list[Event]:
    """What `visitor` does in the shop from `start_ms` (ms since 1970 UTC) on: one session, in order, never empty.

    No product is put into the cart that was not looked at, none is bought that was not put there.
    """
    if visitor.device.is_bot:
        walk = _Walk(visitor, NO_CHANNEL, start_ms, rng, popular)
        walk.crawl()
    else:
        walk = _Walk(visitor, CHANNELS.draw(rng), start_ms, rng, popular)
        walk.shop()
    return walk.events


class _Walk:
    """The walk so far: where the visitor is, what is in the cart, and the events."""

    def __init__(
        self, visitor: Visitor, channel: Channel, start_ms: int, rng: Random, popular: Weighted[Product]
    ) -> None:
        self.events: list[Event] = []
        self._rng = rng
        self._popular = popular
        self._visitor = visitor
        self._channel = channel
        self._now = start_ms
        self._end = start_ms + MAX_VISIT_MS
        self._user_id = visitor.user_id if visitor.has_account and chance(rng, 0.5) else None
        self._url = channel.referrer_url
        self._cart: list[_Line] = []
        self._session_id = f"s-{rng.getrandbits(64):016x}"
        country, region, city = visitor.place if visitor.tells_place else (None, None, None)
        self._event = partial(  # with all that stays the same during the visit
            Event,
            session_id=self._session_id,
            user_agent=visitor.device.user_agent,
            device_type=visitor.device.device_type if visitor.tells_device else None,
            country=country,
            region=region,
            city=city,
            ip=visitor.ip,
            source=channel.source,
        )

    def shop(self) -> None:
        if self._channel.source == "qr":
            self.scan()
        else:
            _LANDINGS.draw(self._rng)(self)
        while chance(self._rng, _STAY):
            _STEPS.draw(self._rng)(self)
        if self._cart:
            self._check_out()

    def crawl(self) -> None:
        staying = True
        while staying:
            product = self._popular.draw(self._rng)
            self._record("page_view", product.url, **_offer(product))
            self._pause(_CRAWL_PAUSE_MS)
            staying = chance(self._rng, _STAY)

    def go_home(self) -> None:
        self._visit_page("page_view", f"{SITE}/")

    def list_category(self) -> None:
        category = self._rng.choice(CATEGORIES)
        self._visit_page("page_view", f"{SITE}/c/{category}", category=category)

    def search(self) -> None:
        term = self._rng.choice(SEARCH_TERMS)
        self._visit_page("search", f"{SITE}/search?q={quote_plus(term)}", properties={"query": term})

    def look_at_product(self) -> None:
        product = self._open_product()
        if chance(self._rng, 0.18):
            quantity = self._rng.choice((1, 1, 1, 1, 2, 2, 3))
            self._cart.append(_Line(product, quantity))
            self._stay_on_page("add_to_cart", quantity=quantity, **_offer(product))

    def review_product(self) -> None:
        product = self._open_product()
        rating = min(5.0, 1.0 + self._rng.triangular(0, 4, 3.6) // 0.5 * 0.5)
        self._stay_on_page("custom", rating=rating, properties={"name": "review"}, **_offer(product))

    def scan(self) -> None:
        """A code on a shelf or a parcel leads to the product's page."""
        product = self._popular.draw(self._rng)
        self._visit_page("qr_scan", f"{product.url}?src=qr", **_offer(product))
        self._visit_page("page_view", product.url, **_offer(product))

    def click(self) -> None:
        self._stay_on_page("click")

    def read_document(self) -> None:
        name = self._rng.choice(DOCUMENTS)
        self._visit_page("document_view", f"{SITE}/docs/{name}", properties={"document": name})
        if chance(self._rng, 0.35):
            self._visit_page("document_download", f"{SITE}/docs/{name}.pdf", properties={"document": name})

    def sign_in(self) -> None:
        if self._user_id is None:
            kind = "login" if self._visitor.has_account else "signup"
            self._user_id = self._visitor.user_id
            self._visit_page(kind, f"{SITE}/account/{kind}")

    def _open_product(self) -> Product:
        product = self._popular.draw(self._rng)
        self._visit_page("page_view", product.url, **_offer(product))
        return product

    def _check_out(self) -> None:
        rng = self._rng
        if chance(rng, 0.15):
            line = self._cart.pop(rng.randrange(len(self._cart)))
            self._visit_page("remove_from_cart", f"{SITE}/cart", quantity=line.quantity, **_offer(line.product))
        if not self._cart or chance(rng, 0.4):
            return
        self._visit_page("checkout_started", f"{SITE}/checkout", quantity=sum(line.quantity for line in self._cart))
        if chance(rng, 0.7):
            self.sign_in()
        if chance(rng, 0.7):
            self._pay()

    def _pay(self) -> None:
        """One purchase event per line of the order, all at once."""
        order = {"order_id": f"o-{self._rng.getrandbits(40):010x}"}
        tells_revenue = chance(self._rng, 0.5)
        self._pause(_PAUSE_MS)
        for product, quantity in self._cart:
            revenue = product.price * quantity if tells_revenue else None
            about = {"quantity": quantity, "revenue": revenue, "properties": order, **_offer(product)}
            self._record("purchase", f"{SITE}/checkout/done", **about)

    def _visit_page(self, kind: str, url: str, **fields: Any) -> None:
        """Record after a pause for thought, with the page before as the referrer."""
        if self.events:
            self._pause(_PAUSE_MS)
        self._record(kind, url, referrer_url=self._url, **fields)
        self._url = url

    def _stay_on_page(self, kind: str, **fields: Any) -> None:
        """Record after a pause for thought, on the page that is open."""
        self._pause(_PAUSE_MS)
        self._record(kind, self._url, **fields)

    def _record(self, kind: str, url: str | None, **fields: Any) -> None:
        if self._now < self._end:
            event = self._event(event_type=kind, event_time=self._now, page_url=url, user_id=self._user_id, **fields)
            event.event_id = f"{self._session_id}-{len(self.events)}"
            self.events.append(event)

    def _pause(self, mean_ms: int) -> None:
        self._now += _LEAST_PAUSE_MS + int(self._rng.expovariate(1.0) * mean_ms)


_Step = Callable[[_Walk], None]
_LANDINGS: Weighted[_Step] = Weighted([
    (_Walk.go_home, 46),
    (_Walk.list_category, 22),
    (_Walk.look_at_product, 26),
    (_Walk.read_document, 6),
])  # fmt: skip
_STEPS: Weighted[_Step] = Weighted([
    (_Walk.look_at_product, 52),
    (_Walk.list_category, 14),
    (_Walk.search, 13),
    (_Walk.click, 9),
    (_Walk.go_home, 4),
    (_Walk.read_document, 4),
    (_Walk.sign_in, 2.5),
    (_Walk.review_product, 1.5),
])  # fmt: skip
