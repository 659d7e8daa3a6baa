"""Bodies of the web traffic API → payloads and the way on. Pure.

One JSON object, an array, `{"events"|"data"|"records"|"items": […], "next_cursor": …}`, or one object a line. Elements
stay bytes, so that one bad event never harms the others; a body that is no JSON at all is the API's fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from headrace.errors import UnavailableError
from headrace.events.outline import elements, members

BOM = b"\xef\xbb\xbf"
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
_LISTS = (b"events", b"data", b"records", b"items")
_NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One page as the API gave it."""

    payloads: Sequence[bytes | msgspec.Raw]
    next_cursor: str | None = None
    """None when the API names no next page."""
    last: bool = False
    """The API says that no page follows: `"next_cursor": null`."""


class _Envelope(msgspec.Struct):
    events: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    records: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    next_cursor: str | int | msgspec.UnsetType | None = msgspec.UNSET


_value = msgspec.json.Decoder(msgspec.Raw)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_envelope = msgspec.json.Decoder(_Envelope)


def read_answer(body: bytes, content_type: str, next_cursor: str | None) -> Answer:
    """What a 200 holds; `next_cursor` is what its headers say. Raises `UnavailableError` when it is no page."""
    body = body.removeprefix(BOM).strip()
    if not body:
        return Answer(payloads=(), next_cursor=next_cursor)
    if content_type in _LINES:
        return Answer(payloads=_lines(body), next_cursor=next_cursor)
    try:
        if body.startswith(b"["):
            return Answer(payloads=_list.decode(body), next_cursor=next_cursor)
        _value.decode(body)
    except _NO_JSON as error:
        if (outlined := _outlined(body, next_cursor)) is not None:
            return outlined
        lines = _lines(body)
        if not body.startswith(b"[") and (_is_object(lines[0]) or _is_object(lines[-1])):
            return Answer(payloads=lines, next_cursor=next_cursor)
        raise UnavailableError(f"a page that is no JSON ({content_type}): {error}") from error
    if not body.startswith(b"{"):
        raise UnavailableError("a page that is neither object nor array")
    return _object(body, next_cursor)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date); None when it says nothing. `now`: epoch s."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _object(body: bytes, next_cursor: str | None) -> Answer:
    try:
        envelope = _envelope.decode(body)
    except _NO_JSON:
        return Answer(payloads=(body,), next_cursor=next_cursor)  # an event that has a key of that name
    for field in (envelope.events, envelope.data, envelope.records, envelope.items):
        if field is not msgspec.UNSET and bytes(field).lstrip().startswith(b"["):
            given = envelope.next_cursor
            last = given is None or given == ""
            named = next_cursor if last or given is msgspec.UNSET else str(given)
            return Answer(payloads=_list.decode(field), next_cursor=named, last=last)
    return Answer(payloads=(body,), next_cursor=next_cursor)


def _outlined(body: bytes, next_cursor: str | None) -> Answer | None:
    """A page in which something is no JSON, when its elements can be told apart all the same."""
    if body.startswith(b"["):
        found = elements(body)
        return None if found is None else Answer(payloads=found, next_cursor=next_cursor)
    fields = members(body) or {}
    for name in _LISTS:
        found = elements(fields.get(name, b""))
        if found is not None:
            cursor = fields.get(b"next_cursor")
            rest = b'{"events":[]}' if cursor is None else b'{"events":[],"next_cursor":%s}' % cursor
            return replace(_object(rest, next_cursor), payloads=found)
    return None


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _is_object(line: bytes) -> bool:
    try:
        _value.decode(line)
    except _NO_JSON:
        return False
    return line.lstrip().startswith(b"{")
