"""Dead letters: what did not become a row, kept whole, with the reason and the way back to where it came from."""

import base64
import gzip
from collections.abc import Iterable

import msgspec

from headrace.stream.ports import MAX_RECORD_BYTES, StreamInfo

REPLAY = StreamInfo(name="replay", account="headrace", created=0)
"""What dead letters that are replayed come from, in place of a stream: each object and reason is a shard of it, so that
their leases, keys and counts never meet those of the stream."""

KEPT_BYTES = MAX_RECORD_BYTES
"""What an event may be at most is all that is kept of one that is none: no input decides how large a dead letter is."""

_encoder = msgspec.json.Encoder()


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a quarantine object."""

    reason: str
    """A `headrace.events.parse.Reason`, or `extra_columns`."""
    detail: str
    stage: str
    """Who rejected it: api_consumer, stats_api, transformer."""
    position: str
    """Where it came from: cursor or file and index, or shard and sequence number."""
    seen_at: float
    """Seconds since 1970 UTC."""
    payload: str
    """The bytes as they came, base64; empty when they are over `KEPT_BYTES`: `position` is then the way to them."""
    partition_key: str | None = None
    """Of an event that waits for the stream."""
    source: str | None = None
    """For the column `source` of an event that does not say it."""


def envelope(
    payload: bytes,
    *,
    reason: str,
    detail: str,
    stage: str,
    position: str,
    seen_at: float,
    partition_key: str | None = None,
    source: str | None = None,
) -> Envelope:
    """Wrap a payload, or point to one that is too large to be kept."""
    kept = len(payload) <= KEPT_BYTES
    return Envelope(
        reason=reason,
        detail=detail if kept else f"{detail}; payload not kept",
        stage=stage,
        position=position,
        seen_at=seen_at,
        payload=base64.b64encode(payload).decode() if kept else "",
        partition_key=partition_key,
        source=source,
    )


def to_jsonl_gz(envelopes: Iterable[Envelope]) -> bytes:
    """The body of a quarantine object: one envelope a line. Equal envelopes make equal bytes."""
    return gzip.compress(_encoder.encode_lines(list(envelopes)), compresslevel=6, mtime=0)


def from_jsonl_gz(body: bytes) -> list[Envelope]:
    """The envelopes of a quarantine object."""
    return msgspec.json.Decoder(Envelope).decode_lines(gzip.decompress(body))
