"""The event: the one field list behind validation, the Arrow schema, Athena's DDL and the documentation.

`Event` is what travels on the stream as JSON. The annotation of each field carries the type of its column, so that a
field added here is validated, landed and queryable at once.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 1


class Kind(StrEnum):
    """Column types, spelt as Athena spells them."""

    STRING = "string"
    BIGINT = "bigint"
    INT = "int"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DECIMAL = "decimal(18,4)"
    TIMESTAMP = "timestamp"
    MAP = "map<string,string>"


class Column(NamedTuple):
    """One column of the table `events`."""

    name: str
    kind: Kind
    about: str


def _column(kind: Kind, about: str) -> Meta:
    return Meta(extra={"kind": kind}, description=about)


Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Int32 = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Time = int | float | str
"""Epoch seconds or milliseconds (number or digits) or ISO 8601; see `headrace.events.times`."""


class Event(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One thing a visitor did, as JSON on the stream. Unknown keys are refused here and sorted out by `parse`."""

    event_id: Annotated[str | None, _column(Kind.STRING, "Given, or assigned once by the first hand that holds it")] = (
        None
    )
    session_id: Annotated[
        str | None, _column(Kind.STRING, "The visit; null until cut by the silver job if the mapping says so")
    ] = None
    user_id: Annotated[str | None, _column(Kind.STRING, "The visitor; anon-… when unknown")] = None
    event_type: Annotated[str, _column(Kind.STRING, "What happened, in lower snake case")]
    event_time: Annotated[Time, _column(Kind.TIMESTAMP, "When, in UTC")] = msgspec.field(name="timestamp")
    page_url: Annotated[str | None, _column(Kind.STRING, "The page")] = None
    referrer_url: Annotated[str | None, _column(Kind.STRING, "The page before")] = None
    product_id: Annotated[str | None, _column(Kind.STRING, "The product")] = None
    category: Annotated[str | None, _column(Kind.STRING, "The product's category")] = None
    currency: Annotated[str | None, _column(Kind.STRING, "ISO 4217, of price and revenue")] = None
    device_type: Annotated[str | None, _column(Kind.STRING, "desktop, mobile, tablet, bot or other")] = None
    browser: Annotated[str | None, _column(Kind.STRING, "Family")] = None
    os: Annotated[str | None, _column(Kind.STRING, "Family")] = None
    user_agent: Annotated[str | None, _column(Kind.STRING, "As sent")] = None
    country: Annotated[str | None, _column(Kind.STRING, "ISO 3166-1 alpha-2 when looked up by address")] = None
    region: Annotated[str | None, _column(Kind.STRING, "Part of the country")] = None
    city: Annotated[str | None, _column(Kind.STRING, "City")] = None
    source: Annotated[str | None, _column(Kind.STRING, "Where the event came from")] = None
    quantity: Annotated[Int64 | None, _column(Kind.BIGINT, "Pieces")] = None
    price: Annotated[Decimal | None, _column(Kind.DECIMAL, "Per piece")] = None
    revenue: Annotated[Decimal | None, _column(Kind.DECIMAL, "Given, else price × quantity of a purchase")] = None
    rating: Annotated[float | None, _column(Kind.DOUBLE, "As given")] = None
    is_bot: Annotated[bool | None, _column(Kind.BOOLEAN, "Given, else by user agent")] = None
    ip: Annotated[str | None, _column(Kind.STRING, "Truncated to /24 or /48")] = None
    properties: Annotated[dict[str, str] | None, _column(Kind.MAP, "Allowed extra columns")] = None
    ingest_time: Annotated[Time | None, _column(Kind.TIMESTAMP, "When polled or collected, in UTC")] = None
    schema_version: Annotated[Int32 | None, _column(Kind.INT, "Of this field list")] = None


class WireEvent(Event):
    """An event as our own producers put it on the stream: with what the consumer must know and no table shows."""

    session_rule: Annotated[str, Meta(pattern=r"^gap:\d+[smhd]$")] | None = None
    """The mapping's `session`, when sessions are cut later; only then may `session_id` be missing."""


COLUMNS: tuple[Column, ...] = tuple(
    Column(name, meta.extra["kind"], meta.description)
    for name, hint in get_type_hints(Event, include_extras=True).items()
    for meta in hint.__metadata__
)
"""The table's columns in order, without its partition keys."""

PARTITION_KEYS = ("year", "month", "day", "hour")
"""Hive partitions of `events`: zero-padded strings, by event time in UTC."""

PAGE_VIEW = "page_view"
ADD_TO_CART = "add_to_cart"
PURCHASE = "purchase"
"""The types that counters know by name."""

KNOWN_EVENT_TYPES = frozenset({
    "page_view", "click", "search", "add_to_cart", "remove_from_cart", "checkout_started", "purchase",
    "document_view", "document_download", "qr_scan", "login", "signup", "custom",
})  # fmt: skip
"""What `HEADRACE_EVENT_TYPES=strict` accepts."""
