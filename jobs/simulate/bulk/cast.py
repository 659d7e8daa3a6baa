"""The simulator's own visitors and visits, as tables that columns of rows can point into.

Each visit in bulk repeats one of the walks that `jobs.simulate.visits` makes for a seed: the same pages, pauses and
decisions, but for another user and with other products. What a walk says is text here but for what differs each time.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from headrace.events.schema import PURCHASE, Event
from jobs.simulate.bulk.draws import Column
from jobs.simulate.catalogue import CURRENCY, Product, by_popularity, products
from jobs.simulate.visitors import Visitor, make_visitor
from jobs.simulate.visits import visit

PEOPLE = 2048
"""Visitors with a device, an address and a place; and walks, one of each of them."""

POPULARITY_BITS = 16
"""Products are drawn with so many bits: a product's share of the views is right to 2⁻¹⁶."""

_SCANNED = "?src=qr"
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All that rows point into. A walk is a run of acts; one act becomes one event.

    An act's page, referrer and offer are each a row of a table of texts: `base`, plus the rank of a product if it is
    about one. Which product a walk means by its n-th is another one in each visit.
    """

    people: Column
    """JSON members: device, user agent, address and geo."""
    is_bot: Column
    """By person."""
    shopping: Column
    """Numbers of the walks of people."""
    crawling: Column
    """Numbers of the walks of bots."""
    walks: Column
    """Lists of acts."""
    offset_ms: Column
    """By act: since the start of the visit."""
    step: Column
    """By act: how many came before it in its walk."""
    saying: Column
    """By act: a row of `sayings`."""
    own_product: Column
    """By act: which of the visit's products its page and its offer are about."""
    last_product: Column
    """By act: which of the visit's products its referrer is about."""
    page: tuple[Column, Column]
    """By act: base, and 1 if the product's rank is to be added, else 0. `referrer` and `offer` likewise."""
    referrer: tuple[Column, Column]
    offer: tuple[Column, Column]
    sayings: Column
    pages: Column
    referrers: Column
    offers: Column
    ranks: Column
    """Of a product, by `POPULARITY_BITS` random bits."""


class _Place(NamedTuple):
    """A row of a table of texts that may depend on the product."""

    base: int
    product: int | None = None
    """Which of the visit's products."""


class _Texts:
    """A table of texts that grows with what is looked up in it."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._rows: dict[Hashable, int] = {}

    def rows(self, key: Hashable, make: Callable[[], Iterable[bytes]]) -> int:
        """The first of the rows known as `key`, made on first use."""
        if key not in self._rows:
            self._rows[key] = len(self._texts)
            self._texts += make()
        return self._rows[key]

    def column(self) -> Column:
        return pa.array(self._texts, pa.binary())


class _Act(NamedTuple):
    offset_ms: int
    step: int
    saying: int
    page: _Place
    referrer: _Place
    offer: _Place

    @property
    def own_product(self) -> int:
        """The page's product, else the offer's: never two different ones."""
        known = {it.product for it in (self.page, self.offer) if it.product is not None}
        (number,) = known or {0}
        return number


@lru_cache(maxsize=1)
def make_cast(seed: int) -> Cast:
    """The cast of a seed: the same for the same one. Half a second's work."""
    people = [make_visitor(number, Random(f"{seed}/visitor/{number}")) for number in range(PEOPLE)]
    shop = _Shop()
    walks = [list(shop.acts(person, Random(f"{seed}/bulk/{number}"))) for number, person in enumerate(people)]
    acts = [act for walk in walks for act in walk]
    ints = partial(pa.array, type=pa.int32())
    bots = [person.device.is_bot for person in people]
    rank = {item.product_id: number for number, item in enumerate(products())}
    popular = by_popularity(products())
    offsets = ints([0, *accumulate(len(walk) for walk in walks)])
    return Cast(
        people=pa.array([_members_of(person) for person in people], pa.binary()),
        is_bot=pa.array(bots),
        shopping=ints([number for number, is_bot in enumerate(bots) if not is_bot]),
        crawling=ints([number for number, is_bot in enumerate(bots) if is_bot]),
        walks=pa.ListArray.from_arrays(offsets, pa.arange(0, len(acts)).cast(pa.int32())),
        offset_ms=pa.array([act.offset_ms for act in acts], pa.int64()),
        step=ints([act.step for act in acts]),
        saying=ints([act.saying for act in acts]),
        own_product=pa.array([act.own_product for act in acts], pa.uint64()),
        last_product=pa.array([act.referrer.product or 0 for act in acts], pa.uint64()),
        page=_places([act.page for act in acts]),
        referrer=_places([act.referrer for act in acts]),
        offer=_places([act.offer for act in acts]),
        sayings=shop.sayings.column(),
        pages=shop.pages.column(),
        referrers=shop.referrers.column(),
        offers=shop.offers.column(),
        ranks=ints([rank[popular.at(part / 2**POPULARITY_BITS).product_id] for part in range(2**POPULARITY_BITS)]),
    )


def _places(places: Sequence[_Place]) -> tuple[Column, Column]:
    bases = pa.array([place.base for place in places], pa.int32())
    return bases, pa.array([int(place.product is not None) for place in places], pa.int32())


class _Shop:
    """Turns walks into acts, and collects the texts that they point to."""

    def __init__(self) -> None:
        self.sayings, self.pages, self.referrers, self.offers = _Texts(), _Texts(), _Texts(), _Texts()
        self._products = products()
        self._popular = by_popularity(self._products)
        self._by_url = {item.url + ending: (item, ending) for item in self._products for ending in ("", _SCANNED)}

    def acts(self, person: Visitor, rng: Random) -> Iterator[_Act]:
        met: dict[str, int] = {}  # the visit's products, in the order in which they are met
        for step, event in enumerate(visit(person, 0, rng, self._popular)):
            yield _Act(
                offset_ms=int(event.event_time),
                step=step,
                saying=self.sayings.rows(said := _said(event), lambda: [said]),
                referrer=self._address(self.referrers, "referrer_url", event.referrer_url, met),
                page=self._address(self.pages, "page_url", event.page_url, met),
                offer=self._offer(event, met),
            )

    def _address(self, table: _Texts, name: str, url: str | None, met: dict[str, int]) -> _Place:
        if url in self._by_url:
            item, ending = self._by_url[url]
            base = table.rows((ending,), lambda: (_members({name: it.url + ending}) for it in self._products))
            return _Place(base, met.setdefault(item.product_id, len(met)))
        return _Place(table.rows(url, lambda: [_members({name: url})]))

    def _offer(self, event: Event, met: dict[str, int]) -> _Place:
        if event.product_id is None:
            return _Place(self.offers.rows(None, lambda: [b""]))
        quantity, is_sold = event.quantity, event.event_type == PURCHASE
        base = self.offers.rows(
            (quantity, is_sold), lambda: (_offer_of(item, quantity, is_sold=is_sold) for item in self._products)
        )
        return _Place(base, met.setdefault(event.product_id, len(met)))


def _said(event: Event) -> bytes:
    """What an event says that is the same in every repetition of its walk."""
    return _members(
        {
            "event_type": event.event_type,
            "source": event.source,
            "rating": event.rating,
            "category": event.category if event.product_id is None else None,
            "quantity": event.quantity if event.product_id is None else None,
            "properties": event.properties if event.event_type != PURCHASE else None,  # the number of the order
        }
    )


def _offer_of(item: Product, quantity: int | None, *, is_sold: bool) -> bytes:
    """Revenue only where something is sold."""
    return _members(
        {
            "product_id": item.product_id,
            "category": item.category,
            "price": item.price,
            "currency": CURRENCY,
            "quantity": quantity,
            "revenue": item.price * (quantity or 0) if is_sold else None,
        }
    )


def _members_of(person: Visitor) -> bytes:
    device = person.device
    about = {"device_type": device.device_type, "user_agent": device.user_agent, "ip": person.ip}
    return _members({**about, "geo": person.place._asdict()})


def _members(values: dict[str, Any]) -> bytes:
    """JSON members, each with its comma before it; without those that are None."""
    told = {name: value for name, value in values.items() if value is not None}
    return b"," + _ENCODE(told)[1:-1] if told else b""
