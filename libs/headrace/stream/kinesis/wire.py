"""Kinesis' JSON 1.1 bodies ↔ our types. Pure functions; base64 and field names are handled in C by msgspec."""

from collections.abc import Sequence
from itertools import starmap
from typing import Any, TypeVar

import msgspec

from headrace.aws.faults import classify
from headrace.errors import HeadraceError, UnavailableError
from headrace.stream.ports import (
    AfterSequence,
    AtSequence,
    AtTimestamp,
    Entry,
    Latest,
    Position,
    Record,
    ShardId,
    TrimHorizon,
)

T = TypeVar("T")


class ExpiredIteratorError(UnavailableError):
    """The iterator was not used for five minutes: open another one."""


class ChildShard(msgspec.Struct, frozen=True, rename="pascal"):
    """A shard that continues one that has ended."""

    shard_id: ShardId
    parent_shards: tuple[ShardId, ...]


class GetRecordsAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """One page. Without a next iterator the shard has ended, and `child_shards` continue it."""

    records: list[Record]
    next_shard_iterator: str | None = None
    millis_behind_latest: int | None = None
    child_shards: tuple[ChildShard, ...] | None = None


class PutResult(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """What became of one entry: durable, on that shard, unless there is an error code."""

    shard_id: ShardId | None = None
    error_code: str | None = None
    error_message: str | None = None


class _PutRecordsAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    records: list[PutResult]


class _ShardIteratorAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    shard_iterator: str


class _Fault(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="__type", default="")
    message: str = ""
    capital_message: str = msgspec.field(name="Message", default="")


class _PutEntry(msgspec.Struct, frozen=True, gc=False, rename="pascal", omit_defaults=True):
    data: bytes
    partition_key: str
    explicit_hash_key: str | None = None


_encoder = msgspec.json.Encoder()
_get_records = msgspec.json.Decoder(GetRecordsAnswer)
_put_records = msgspec.json.Decoder(_PutRecordsAnswer)
_shard_iterator = msgspec.json.Decoder(_ShardIteratorAnswer)
_fault = msgspec.json.Decoder(_Fault)


def stream_reference(stream: str) -> dict[str, str]:
    """How a request names a stream: by ARN or by name."""
    return {"StreamARN": stream} if stream.startswith("arn:") else {"StreamName": stream}


def encode_put_records(stream: str, entries: Sequence[Entry]) -> bytes:
    """The body of PutRecords for a stream's name or ARN. The entries must be within the limits of one call."""
    return _encoder.encode({"Records": list(starmap(_PutEntry, entries)), **stream_reference(stream)})


def encode_get_records(iterator: str, limit: int) -> bytes:
    """The body of GetRecords; `limit` is 1 to 10,000 records."""
    return _encoder.encode({"ShardIterator": iterator, "Limit": limit})


def encode_get_shard_iterator(stream: str, shard_id: ShardId, position: Position) -> bytes:
    """The body of GetShardIterator."""
    start: dict[str, Any]
    match position:
        case TrimHorizon():
            start = {"ShardIteratorType": "TRIM_HORIZON"}
        case Latest():
            start = {"ShardIteratorType": "LATEST"}
        case AtTimestamp(seconds):
            start = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds}
        case AtSequence(number):
            start = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
        case AfterSequence(number):
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
    return _encoder.encode({"ShardId": shard_id, **start, **stream_reference(stream)})


def decode_get_records(body: bytes) -> GetRecordsAnswer:
    """The answer to GetRecords. Raises `UnavailableError` for anything else, as the other decoders do."""
    return _decode(_get_records, body)


def decode_put_records(body: bytes) -> list[PutResult]:
    """The answer to PutRecords: one result per entry, in their order."""
    return _decode(_put_records, body).records


def decode_shard_iterator(body: bytes) -> str:
    """The answer to GetShardIterator."""
    return _decode(_shard_iterator, body).shard_iterator


def decode_fault(status: int, body: bytes) -> tuple[str, HeadraceError]:
    """An answer that is not 200 → its error code (else its HTTP status) and the error to raise."""
    try:
        fault = _decode(_fault, body)
    except UnavailableError:
        fault = _Fault()
    code = fault.type.rpartition("#")[2].partition(":")[0] or str(status)
    message = fault.message or fault.capital_message
    if code == "ExpiredIteratorException":
        return code, ExpiredIteratorError(message)
    return code, classify(code, status, message)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnavailableError(f"an answer of {len(body)} bytes makes no sense: {error}") from error
