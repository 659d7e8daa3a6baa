"""Bytes → events or typed rejections. Pure; one typed decode per record, Python only for what fails.

What is accepted is RFC 8259 JSON: one object per record, UTF-8 without a byte-order mark, no NaN or Infinity. Of
duplicate keys the last wins. Numbers keep their JSON type: "5" is no quantity.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter

import msgspec

from headrace.events.schema import KNOWN_EVENT_TYPES, PURCHASE, WireEvent
from headrace.events.times import to_micros
from headrace.settings import Settings
from headrace.stream.ports import MAX_RECORD_BYTES

DETAIL_LIMIT = 200
"""Characters kept of an error's text: it may quote the input."""

DECIMAL_LIMIT = Decimal(10) ** 14
"""decimal(18,4) holds what is smaller."""

_EVENT_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")


@lru_cache(1024)
def _is_snake_case(text: str) -> bool:
    return _EVENT_TYPE.fullmatch(text) is not None


class Reason(StrEnum):
    """Why something did not become a row; the `reason` of a dead letter."""

    MALFORMED_JSON = "malformed_json"
    NOT_UTF8 = "not_utf8"
    TOO_DEEP = "too_deep"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    INVALID_EVENT_TYPE = "invalid_event_type"
    INVALID_TIMESTAMP = "invalid_timestamp"
    TOO_FAR_AHEAD = "too_far_ahead"
    TOO_OLD = "too_old"
    OVERSIZED = "oversized"
    EXTRA_COLUMNS = "extra_columns"
    """Not a dead letter: the known part became a row."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One payload that is no event."""

    index: int
    """Of the payload among those parsed."""
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say of which events are good."""

    event_types: frozenset[str] | None = None
    """None: any in lower snake case."""
    max_future: float = 3600.0
    """Seconds."""
    max_age: float | None = None
    """Seconds; None: any age."""

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """The policy that `settings` ask for."""
        return cls(
            event_types=KNOWN_EVENT_TYPES if settings.event_types == "strict" else None,
            max_future=settings.max_future,
            max_age=settings.max_age,
        )

    def valid_type(self, event_type: str) -> bool:
        """Whether this is an event type we take."""
        if self.event_types is not None:
            return event_type in self.event_types
        return _is_snake_case(event_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What came out of a list of payloads. `events[i]` was made from payload `indexes[i]`."""

    events: list[WireEvent]
    indexes: Sequence[int]
    rejected: list[Rejection]
    extra: list[int]
    """Payloads with keys that the schema does not name; their known part is among the events."""


class _AnyKeys(WireEvent, forbid_unknown_fields=False):
    """Decoded again with the unknown keys skipped."""


class EventParser:
    """Decodes payloads and checks each event against a policy.

    Only what is `trusted` (the stream, a mapping's output) may carry `session_rule`; elsewhere the key is reserved.
    """

    def __init__(self, policy: Policy, *, trusted: bool = False) -> None:
        self._policy = policy
        self._strict = msgspec.json.Decoder(WireEvent)
        self._lenient = msgspec.json.Decoder(_AnyKeys)
        self._trusted = trusted

    def decode(self, payloads: Sequence[bytes | msgspec.Raw]) -> Parsed:
        """Decode only. Types are right afterwards, values are not checked yet."""
        events: list[WireEvent] = []
        rejected: list[Rejection] = []
        extra: list[int] = []
        decoded = map(self._strict.decode, payloads)
        while True:
            try:
                # On an error the list keeps what came before it, and the iterator goes on behind it.
                events.extend(decoded)
                break
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                index = len(events) + len(rejected)
                outcome = self._second_look(payloads[index], error)
                if isinstance(outcome, WireEvent):
                    events.append(outcome)
                    extra.append(index)
                else:
                    rejected.append(Rejection(index, *outcome))
        return Parsed(events=events, indexes=_others(len(payloads), rejected), rejected=rejected, extra=extra)

    def parse(self, payloads: Sequence[bytes | msgspec.Raw], *, now: float) -> Parsed:
        """Decode and check every event; `now` is seconds since 1970 UTC."""
        parsed = self.decode(payloads)
        events, indexes, rejected = [], [], list(parsed.rejected)
        for event, index in zip(parsed.events, parsed.indexes, strict=True):
            problem = self._reserved(event) or check(event, self._policy, now)
            if problem is None:
                events.append(event)
                indexes.append(index)
            else:
                rejected.append(Rejection(index, *problem))
        bad = {rejection.index for rejection in rejected}
        return Parsed(
            events=events,
            indexes=indexes,
            rejected=sorted(rejected, key=attrgetter("index")),
            extra=[index for index in parsed.extra if index not in bad],
        )

    def _reserved(self, event: WireEvent) -> tuple[Reason, str] | None:
        if self._trusted or event.session_rule is None:
            return None
        return Reason.WRONG_TYPE, "session_rule is reserved"

    def _second_look(self, payload: bytes | msgspec.Raw, error: Exception) -> WireEvent | tuple[Reason, str]:
        if "unknown field" not in str(error):
            return oversized(payload) or reason_of(error)
        try:
            bytes(payload).decode()  # skipped values are not checked by the decoder
            return self._lenient.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as second:
            return oversized(payload) or reason_of(second)


def check(event: WireEvent, policy: Policy, now: float) -> tuple[Reason, str] | None:
    """Why a decoded event is no good, or None. The rules in one place; columns only decide faster which rows to ask."""
    if not event.session_id and event.session_rule is None:
        return Reason.MISSING_FIELD, "session_id"
    if not policy.valid_type(event.event_type):
        return Reason.INVALID_EVENT_TYPE, event.event_type[:DETAIL_LIMIT]
    try:
        seconds = to_micros(event.event_time) / 1e6
    except ValueError as error:
        return Reason.INVALID_TIMESTAMP, str(error)
    if seconds > now + policy.max_future:
        return Reason.TOO_FAR_AHEAD, f"{seconds - now:.0f} s ahead"
    if policy.max_age is not None and seconds < now - policy.max_age:
        return Reason.TOO_OLD, f"{now - seconds:.0f} s old"
    return _check_amounts(event)


def _check_amounts(event: WireEvent) -> tuple[Reason, str] | None:
    for name, amount in (("price", event.price), ("revenue", event.revenue)):
        if amount is not None and not (amount.is_finite() and abs(amount) < DECIMAL_LIMIT):
            return Reason.NUMBER_OUT_OF_RANGE, name
    if event.event_type != PURCHASE or event.revenue is not None or event.price is None or event.quantity is None:
        return None
    fits = abs(event.price * event.quantity) < DECIMAL_LIMIT
    return None if fits else (Reason.NUMBER_OUT_OF_RANGE, "price × quantity")


def oversized(payload: bytes | msgspec.Raw) -> tuple[Reason, str] | None:
    """That no stream takes a payload of this size, or None: for one that is no event, all that needs to be said."""
    size = len(bytes(payload))
    return (Reason.OVERSIZED, f"{size} bytes") if size > MAX_RECORD_BYTES else None


def reason_of(error: Exception) -> tuple[Reason, str]:
    """What a decoder's error means."""
    text = str(error)[:DETAIL_LIMIT]
    if isinstance(error, UnicodeDecodeError):
        return Reason.NOT_UTF8, f"byte {error.start} of a text"
    if isinstance(error, RecursionError):
        return Reason.TOO_DEEP, "nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return Reason.MALFORMED_JSON, text
    if "missing required field" in text:
        return Reason.MISSING_FIELD, text
    if "out of range" in text or "<=" in text or ">=" in text:
        return Reason.NUMBER_OUT_OF_RANGE, text
    return Reason.WRONG_TYPE, text


def _others(count: int, rejected: Iterable[Rejection]) -> Sequence[int]:
    gone = {rejection.index for rejection in rejected}
    return [index for index in range(count) if index not in gone] if gone else range(count)
