"""Entries that wait in `kinesis_failures/` for the stream: the form of their objects."""

import base64
import zlib
from collections.abc import Sequence

import msgspec

from headrace.errors import HaltedError
from headrace.quarantine import envelope, from_jsonl_gz, to_jsonl_gz
from headrace.stream.ports import Entry

REASON = "stream_unavailable"


def to_body(entries: Sequence[Entry], *, stage: str, position: str, now: float) -> bytes:
    """Stream entries as a quarantine object: one envelope a line, with the partition key."""
    return to_jsonl_gz(
        envelope(
            entry.data,
            reason=REASON,
            detail="",
            stage=stage,
            position=position,
            seen_at=now,
            partition_key=entry.partition_key,
        )
        for entry in entries
    )


def from_body(body: bytes) -> list[Entry]:
    """The entries of `to_body`, in order. Raises `HaltedError` for a body that it did not make."""
    try:
        return [
            Entry(base64.b64decode(line.payload, validate=True), line.partition_key or "")
            for line in from_jsonl_gz(body)
        ]
    except (OSError, EOFError, zlib.error, msgspec.DecodeError, ValueError) as error:
        raise HaltedError(f"no entries that wait for the stream: {error}") from error
