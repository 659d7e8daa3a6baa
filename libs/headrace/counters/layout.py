"""Which items a batch touches, and which of them a question needs: keys, buckets and retention.

Everything here is arithmetic on minutes since 1970 UTC; the adapters only move the items.

    pk                        sk                            holds
    product#{b}#{id}          minute#{minute}#{origin}      totals of one minute; the last hour only
    page#{b}#{path}           day#{day}#{origin}            totals of one UTC day, and apart by hour for the last 24
                              all#{origin}                  totals since the first event
    top#{b}                   {span}#{number}#{origin}      the best products of one span (see `headrace.counters.top`)

`b` spreads the origins of one entity over `BUCKETS` partitions. `v c p q r_EUR` are views, add_to_carts, purchases,
quantity and revenue; `v07 … r07_EUR` the same within the eighth hour of the day.
"""

import hashlib
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from headrace.counters.ports import Counts, Deltas, Entity, Window

BUCKETS = 4
"""One entity takes 4 × 1,000 writes/s; a read is four small queries. Counts written under another number are lost."""

MAX_ID_BYTES = 900
"""DynamoDB allows 2,048 bytes of partition key and 1,024 of sort key."""

URL_PATH = r"^(?:(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//[^/?#]*)?(?P<path>[^?#]*)"
"""The path of a URL or of a bare path; read alike by `re` and by RE2."""

MINUTE_SECONDS = 60
HOUR_MINUTES = 60
DAY_HOURS = 24
DAY_MINUTES = DAY_HOURS * HOUR_MINUTES


class Span(StrEnum):
    """The lengths of time that totals are kept for."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    ALL = "all"


_MINUTES = {Span.MINUTE: 1, Span.HOUR: HOUR_MINUTES, Span.DAY: DAY_MINUTES}
_KEPT = {Span.MINUTE: 60, Span.HOUR: 24, Span.DAY: 30}
"""How many spans, the current one included, the longest window over them reaches back."""

_REACH = {
    Window.HOUR: (Span.MINUTE, 60),
    Window.DAY: (Span.HOUR, 24),
    Window.WEEK: (Span.DAY, 7),
    Window.MONTH: (Span.DAY, 30),
}


class Bucket(NamedTuple):
    """One span of time: the `number`-th minute, hour or day since 1970 UTC; 0 for all time."""

    span: Span
    number: int

    @property
    def sort_key(self) -> str:
        """What the sort keys of this bucket start with, in order of time."""
        return f"{self.span}#{self.number:010}#" if self.span is not Span.ALL else f"{self.span}#"

    @property
    def expires(self) -> int | None:
        """When no window shows it any more (seconds since 1970 UTC); None for never."""
        if self.span is Span.ALL:
            return None
        return (self.number + _KEPT[self.span]) * _MINUTES[self.span] * MINUTE_SECONDS


class Range(NamedTuple):
    """What a window covers: the buckets of one span from first to last, both included."""

    span: Span
    first: int
    last: int


class ItemKey(NamedTuple):
    """Where one item lives."""

    pk: str
    sk: str


class Addition(NamedTuple):
    """What one batch adds to one item."""

    numbers: Mapping[str, int | Decimal]
    """By attribute."""
    expires: int | None
    """The item's `ttl`."""


def entity_key(entity_id: str) -> str:
    """The id itself, or `sha256:…` in place of one over `MAX_ID_BYTES`."""
    raw = entity_id.encode("utf-8", "surrogatepass")
    return entity_id if len(raw) <= MAX_ID_BYTES else f"sha256:{hashlib.sha256(raw).hexdigest()}"


def page_path(url: str) -> str:
    """The path of a URL without query and fragment; `/` when it has none."""
    match = re.match(URL_PATH, url)
    return (match and match["path"]) or "/"


def spread(origin: str) -> int:
    """The partition bucket of an origin."""
    return zlib.crc32(origin.encode()) % BUCKETS


def entity_partition(entity: Entity, key: str, spread_no: int) -> str:
    """The partition key of an entity, where `key` comes from `entity_key`."""
    return f"{entity}#{spread_no}#{key}"


def entity_partitions(entity: Entity, entity_id: str) -> list[str]:
    """All partition keys under which an entity may have items."""
    key = entity_key(entity_id)
    return [entity_partition(entity, key, spread_no) for spread_no in range(BUCKETS)]


def top_partition(spread_no: int) -> str:
    """The partition key of top lists."""
    return f"top#{spread_no}"


def top_key(bucket: Bucket, origin: str) -> ItemKey:
    """Where an origin keeps its best products of one bucket."""
    return ItemKey(top_partition(spread(origin)), bucket.sort_key + origin)


def bucket_of(span: Span, minute: int) -> Bucket:
    """The bucket that a minute falls into."""
    return Bucket(span, 0 if span is Span.ALL else minute // _MINUTES[span])


def is_kept(bucket: Bucket, now: float) -> bool:
    """Whether any window at `now` or later still shows this bucket."""
    return bucket.expires is None or bucket.expires > now


def range_of(window: Window, now: float) -> Range:
    """The buckets a window covers at `now`, the current one included."""
    if window is Window.ALL:
        return Range(Span.ALL, 0, 0)
    span, count = _REACH[window]
    current = bucket_of(span, int(now // MINUTE_SECONDS)).number
    return Range(span, current - count + 1, current)


def sort_range(covered: Range) -> tuple[str, str]:
    """The least and the greatest sort key that can hold a bucket of this range."""
    first, last = Bucket(covered.span, covered.first).sort_key, Bucket(covered.span, covered.last).sort_key
    return first, f"{last}\U0010ffff"


class _Place(NamedTuple):
    """Where the counts of one minute go, of whatever entity."""

    sort_key: str
    expires: int | None
    hour: int | None
    """Of the day, where the numbers are kept apart by hour too."""


def plan(origin: str, deltas: Deltas, now: float) -> dict[ItemKey, Addition]:
    """What a batch adds to which items, in order of key, so that a repeat meets the same chunks.

    A batch has tens of thousands of deltas, but few minutes, and an entity only once or twice in each: what depends on
    one of them alone is worked out once.
    """
    partitions: dict[str, dict[str, dict[str, int | Decimal]]] = {}
    of_entity: dict[tuple[str, str], dict[str, dict[str, int | Decimal]]] = {}
    places: dict[int, Sequence[_Place]] = {}
    expires: dict[str, int | None] = {}
    spread_no = spread(origin)
    for (entity, entity_id, minute), counts in deltas.items():
        fields = _fields(counts)
        if not fields:
            continue
        if minute not in places:
            places[minute] = _places(origin, minute, now)
            expires |= {place.sort_key: place.expires for place in places[minute]}
        items = of_entity.get((entity, entity_id))
        if items is None:
            partition = entity_partition(entity, entity_key(entity_id), spread_no)
            items = of_entity[entity, entity_id] = partitions.setdefault(partition, {})
        for sort_key, _, hour in places[minute]:
            added = fields if hour is None else fields + [(_in_hour(name, hour), value) for name, value in fields]
            numbers = items.get(sort_key)
            if numbers is None:
                items[sort_key] = dict(added)
                continue
            for name, value in added:
                numbers[name] = numbers.get(name, 0) + value
    return {
        ItemKey(partition, sort_key): Addition(items[sort_key], expires[sort_key])
        for partition, items in sorted(partitions.items(), key=itemgetter(0))
        for sort_key in sorted(items)
    }


def _places(origin: str, minute: int, now: float) -> Sequence[_Place]:
    hour = minute // HOUR_MINUTES % DAY_HOURS if is_kept(bucket_of(Span.HOUR, minute), now) else None
    buckets = [bucket_of(span, minute) for span in (Span.MINUTE, Span.DAY, Span.ALL)]
    return [
        _Place(bucket.sort_key + origin, bucket.expires, hour if bucket.span is Span.DAY else None)
        for bucket in buckets
        if is_kept(bucket, now)
    ]


def item_range(covered: Range) -> Range:
    """The items that hold a window's buckets: hours are attributes of the day's item."""
    if covered.span is not Span.HOUR:
        return covered
    return Range(Span.DAY, covered.first // DAY_HOURS, covered.last // DAY_HOURS)


def fold(items: Iterable[tuple[str, Mapping[str, int | Decimal]]], covered: Range) -> Counts:
    """The sum of (sort key, numbers) over the buckets a window covers."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for sort_key, numbers in items:
        hours: Iterable[int | None] = (None,)
        if covered.span is Span.HOUR:
            start = int(sort_key.split("#")[1]) * DAY_HOURS
            hours = [hour for hour in range(DAY_HOURS) if covered.first <= start + hour <= covered.last]
        for hour in hours:
            suffix = "" if hour is None else f"{hour:02}"
            for name, value in numbers.items():
                letter, _, currency = name.partition("_")
                if letter[1:] == suffix:
                    sums[letter[0] + currency] += value
    return Counts(
        views=int(sums.pop("v", 0)),
        add_to_carts=int(sums.pop("c", 0)),
        purchases=int(sums.pop("p", 0)),
        quantity=int(sums.pop("q", 0)),
        revenue={name[1:]: sums[name] for name in sorted(sums)},
    )


def _fields(counts: Counts) -> list[tuple[str, int | Decimal]]:
    fields: list[tuple[str, int | Decimal]] = []
    if counts.views:
        fields.append(("v", counts.views))
    if counts.add_to_carts:
        fields.append(("c", counts.add_to_carts))
    if counts.purchases:
        fields.append(("p", counts.purchases))
    if counts.quantity:
        fields.append(("q", counts.quantity))
    fields += [(f"r_{currency}", value) for currency, value in counts.revenue.items()]
    return fields


@lru_cache(1024)
def _in_hour(name: str, hour: int) -> str:
    return f"{name[0]}{hour:02}{name[1:]}"
