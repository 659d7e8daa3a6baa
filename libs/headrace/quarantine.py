"""Dead letters: what did not become a row, kept whole, with the reason and the way back to where it came from."""

import base64
import gzip
from collections.abc import Iterable

import msgspec

_encoder = msgspec.json.Encoder()


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
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
    """The bytes as they came, base64."""


def envelope(payload: bytes, *, reason: str, detail: str, stage: str, position: str, seen_at: float) -> Envelope:
    """Wrap a payload."""
    return Envelope(
        reason=reason,
        detail=detail,
        stage=stage,
        position=position,
        seen_at=seen_at,
        payload=base64.b64encode(payload).decode(),
    )


def to_jsonl_gz(envelopes: Iterable[Envelope]) -> bytes:
    """The body of a quarantine object: one envelope a line. Equal envelopes make equal bytes."""
    return gzip.compress(_encoder.encode_lines(list(envelopes)), compresslevel=6, mtime=0)


def from_jsonl_gz(body: bytes) -> list[Envelope]:
    """The envelopes of a quarantine object."""
    return msgspec.json.Decoder(Envelope).decode_lines(gzip.decompress(body))
