"""The shop and who comes to it: products, pages, devices, places, channels. Data, and how to draw from it.

Names are invented, hosts end in `.example`, addresses come from the ranges reserved for documentation.
"""

from bisect import bisect
from collections.abc import Iterable
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

SITE = "https://shop.example"
CURRENCY = "EUR"


class Weighted(Generic[T]):
    """Values to draw from, each with a weight."""

    def __init__(self, choices: Iterable[tuple[T, float]]) -> None:
        self._values, weights = zip(*choices, strict=True)
        sums = list(accumulate(weights))
        self._bounds = [part / sums[-1] for part in sums[:-1]]

    def draw(self, rng: Random) -> T:
        """One value; always exactly one number is taken from `rng`."""
        return self.at(rng.random())

    def at(self, part: float) -> T:
        """The value that stands `part` (0 ≤ part < 1) of the way along the weights."""
        value: T = self._values[bisect(self._bounds, part)]
        return value


def chance(rng: Random, odds: float) -> bool:
    """True in `odds` of all cases."""
    return rng.random() < odds


class Product(NamedTuple):
    """Something for sale."""

    product_id: str
    category: str
    price: Decimal
    url: str


class Device(NamedTuple):
    """What a visitor browses with."""

    device_type: str
    user_agent: str

    @property
    def is_bot(self) -> bool:
        """Whether no person sits in front of it."""
        return self.device_type == "bot"


class Place(NamedTuple):
    """Where a visitor is."""

    country: str
    region: str
    city: str


class Channel(NamedTuple):
    """What brought a visitor here."""

    source: str | None
    referrer_url: str | None


_RANGE = {  # category → lowest and highest price, things
    "garden": (9, 189, ("hose", "spade", "lantern", "planter", "bench", "shears")),
    "kitchen": (7, 249, ("kettle", "skillet", "grinder", "knife", "toaster", "carafe")),
    "outdoor": (15, 399, ("tent", "backpack", "stove", "hammock", "headlamp", "bottle")),
    "audio": (19, 549, ("speaker", "headphones", "turntable", "radio", "microphone", "earbuds")),
    "books": (6, 49, ("atlas", "cookbook", "novel", "thriller", "guide", "almanac")),
    "toys": (5, 119, ("puzzle", "robot", "kite", "blocks", "train", "marbles")),
    "office": (4, 329, ("lamp", "chair", "notebook", "stapler", "shelf", "easel")),
    "sports": (8, 299, ("racket", "dumbbell", "mat", "skates", "helmet", "ball")),
}
_VARIANTS = ("classic", "compact", "oak", "steel", "travel")
CATEGORIES = tuple(_RANGE)


def products() -> tuple[Product, ...]:
    """All 240 products, the most popular first; neighbours in rank are of different categories."""
    things = [
        (variant, category, low, high, names[n])
        for variant in _VARIANTS
        for n in range(6)
        for category, (low, high, names) in _RANGE.items()
    ]
    return tuple(
        Product(
            product_id=f"p-{1001 + rank}",
            category=category,
            price=Decimal(low + rank * 37 % (high - low)) + Decimal("0.99"),
            url=f"{SITE}/p/{1001 + rank}-{name}-{variant}",
        )
        for rank, (variant, category, low, high, name) in enumerate(things)
    )


def by_popularity(items: Iterable[Product]) -> Weighted[Product]:
    """Zipf's law: the n-th product is looked at 1/n times as often as the first."""
    return Weighted((item, 1 / rank) for rank, item in enumerate(items, start=1))


DOCUMENTS = ("returns-policy", "size-guide", "warranty-terms", "assembly-manual", "care-instructions", "gift-catalogue")
SEARCH_TERMS = (
    "tent for two", "kettle", "birthday gift", "headphones wireless", "oak shelf", "kite", "travel mug", "yoga mat",
    "grill", "cookbook vegan", "chess", "desk lamp", "rain jacket", "dumbbell 10kg", "café grinder", "spade",
)  # fmt: skip

NO_CHANNEL = Channel(None, None)
"""Crawlers come by themselves."""

CHANNELS = Weighted([
    (Channel("direct", None), 34),
    (Channel("search", "https://www.search.example/"), 30),
    (Channel("ads", "https://ads.search.example/click"), 12),
    (Channel("newsletter", "https://mail.example/inbox"), 9),
    (Channel("social", "https://social.example/feed"), 9),
    (Channel("qr", None), 6),
])  # fmt: skip

PLACES = Weighted([
    (Place("DE", "Berlin", "Berlin"), 12),
    (Place("DE", "Bayern", "München"), 9),
    (Place("DE", "Hamburg", "Hamburg"), 7),
    (Place("AT", "Wien", "Wien"), 6),
    (Place("CH", "Zürich", "Zürich"), 5),
    (Place("FR", "Île-de-France", "Paris"), 9),
    (Place("FR", "Auvergne-Rhône-Alpes", "Lyon"), 4),
    (Place("NL", "Noord-Holland", "Amsterdam"), 6),
    (Place("BE", "Brussel", "Brussel"), 3),
    (Place("IT", "Lombardia", "Milano"), 5),
    (Place("IT", "Lazio", "Roma"), 3),
    (Place("ES", "Madrid", "Madrid"), 5),
    (Place("ES", "Cataluña", "Barcelona"), 3),
    (Place("PT", "Lisboa", "Lisboa"), 2),
    (Place("PL", "Mazowieckie", "Warszawa"), 4),
    (Place("SE", "Stockholm", "Stockholm"), 3),
    (Place("IE", "Leinster", "Dublin"), 2),
    (Place("GB", "England", "London"), 6),
    (Place("US", "New York", "New York"), 4),
    (Place("US", "California", "San Francisco"), 2),
])  # fmt: skip

_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit"
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
_LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
_ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPAD = "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

DEVICES = Weighted([
    (Device("desktop", f"{_WINDOWS} Chrome/149.0.0.0 Safari/537.36"), 15),
    (Device("desktop", f"{_WINDOWS} Chrome/150.0.0.0 Safari/537.36"), 8),
    (Device("desktop", f"{_WINDOWS} Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0"), 6),
    (Device("desktop", f"{_WINDOWS} Chrome/148.0.0.0 Safari/537.36 OPR/132.0.0.0"), 1),
    (Device("desktop", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:151.0) Gecko/20100101 Firefox/151.0"), 4),
    (Device("desktop", f"{_MAC}/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"), 5),
    (Device("desktop", f"{_MAC}/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15"), 6),
    (Device("desktop", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:151.0) Gecko/20100101 Firefox/151.0"), 1),
    (Device("desktop", f"{_LINUX} Chrome/149.0.0.0 Safari/537.36"), 2),
    (Device("desktop", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"), 2),
    (Device("mobile", f"{_IPHONE} Version/26.1 Mobile/15E148 Safari/604.1"), 16),
    (Device("mobile", f"{_IPHONE} Version/18.6 Mobile/15E148 Safari/604.1"), 5),
    (Device("mobile", f"{_IPHONE} CriOS/150.0.7420.61 Mobile/15E148 Safari/604.1"), 3),
    (Device("mobile", f"{_ANDROID} Chrome/150.0.0.0 Mobile Safari/537.36"), 12),
    (Device("mobile", f"{_ANDROID} Chrome/148.0.0.0 Mobile Safari/537.36"), 5),
    (Device("mobile", f"{_ANDROID} SamsungBrowser/30.0 Chrome/146.0.0.0 Mobile Safari/537.36"), 4),
    (Device("mobile", "Mozilla/5.0 (Android 16; Mobile; rv:151.0) Gecko/151.0 Firefox/151.0"), 1),
    (Device("tablet", f"{_IPAD} Version/26.1 Mobile/15E148 Safari/604.1"), 4),
    (Device("tablet", f"{_ANDROID} Chrome/149.0.0.0 Safari/537.36"), 1),
    (Device("tablet", "Mozilla/5.0 (Android 15; Tablet; rv:150.0) Gecko/150.0 Firefox/150.0"), 1),
    (Device("bot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), 1.2),
    (Device("bot", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"), 0.8),
    (Device("bot", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"), 0.5),
    (Device("bot", "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)"), 0.5),
    (Device("bot", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"), 0.3),
])  # fmt: skip
