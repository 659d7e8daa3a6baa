"""The first hand that holds an event: gives it an id, a time of arrival and a user, and puts it into stream entries."""

import hashlib
from collections.abc import Sequence

import msgspec

from headrace.events.privacy import anonymous_user, truncate_ip
from headrace.events.schema import SCHEMA_VERSION, WireEvent
from headrace.stream.ports import Entry

_encoder = msgspec.json.Encoder(decimal_format="number")


def id_prefix(source: str, place: str) -> str:
    """16 hex digits for one page or file: `{prefix}-{index}` is then an event id that a repeat gets again."""
    return hashlib.sha256(f"{source}\x1f{place}".encode()).hexdigest()[:16]


def to_entries(
    events: Sequence[WireEvent],
    indexes: Sequence[int],
    *,
    source: str,
    prefix: str,
    now: float,
    anonymous_key: bytes,
) -> list[Entry]:
    """Complete the events in place and encode them. `now` is seconds since 1970 UTC.

    The partition key is the session's, so that a visit stays in order on one shard and a repeat of an event meets the
    shard that remembers it.
    """
    ingest_time = int(now * 1000)
    encode = _encoder.encode
    entries = []
    for event, index in zip(events, indexes, strict=True):
        if event.event_id is None:
            event.event_id = f"{prefix}-{index}"
        if event.user_id is None:
            # Before the address is truncated: a /24 would make one visitor of a whole office.
            known = (event.session_id,) if event.session_id else (event.ip, event.user_agent)
            event.user_id = anonymous_user(anonymous_key, *known)
        if event.ip is not None:
            event.ip = truncate_ip(event.ip)
        if event.source is None:
            event.source = source
        event.ingest_time = ingest_time
        event.schema_version = SCHEMA_VERSION
        entries.append(Entry(encode(event), event.session_id or event.user_id or event.event_id))
    return entries
