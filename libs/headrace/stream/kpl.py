"""The Kinesis Producer Library's aggregates: many user records in one record of the stream. Bytes in, values out.

An aggregate is the magic number, a protobuf message and the MD5 of that message:

    AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
                       repeated Record records = 3; }
    Record { uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2; bytes data = 3; tags = 4; }

What is not whole is an ordinary record, as the KCL has it: then its own bytes are judged, and none are lost.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from headrace.stream.ports import HASH_KEYS, Entry

MAGIC = b"\xf3\x89\x9a\xc2"
MAX_SUB_RECORDS = 200_000
"""More than a record of 1 MiB has room for. On a stream of larger ones it bounds the memory that one record takes."""

_DIGEST_BYTES = 16
_MIN_BYTES = len(MAGIC) + 1 + _DIGEST_BYTES
_VARINT_BITS = 64
_LOW = 0x7F
"""Of a byte of a number; its highest bit says that there is more."""
_ONE_BYTE = [bytes((value,)) for value in range(_LOW + 1)]
_VARINT, _FIXED64, _TEXT, _FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) were given up before there was a KPL."""
_KEY_TABLE, _HASH_KEY_TABLE, _RECORDS = 1, 2, 3
_KEY_INDEX, _HASH_KEY_INDEX, _DATA = 1, 2, 3


class _MalformedError(ValueError):
    pass


def hash_key(entry: Entry) -> int:
    """Where in the hash ranges of a stream's shards an entry belongs."""
    if entry.explicit_hash_key is not None:
        return int(entry.explicit_hash_key)
    return int.from_bytes(hashlib.md5(entry.partition_key.encode(), usedforsecurity=False).digest())


def encode(entries: Sequence[Entry]) -> bytes:
    """Entries → an aggregate of them, in their order. `encoded_bytes` says how large it can become."""
    keys = _table(entry.partition_key for entry in entries)
    hash_keys = _table(entry.explicit_hash_key for entry in entries if entry.explicit_hash_key is not None)
    parts = [_field(_KEY_TABLE, key.encode()) for key in keys]
    parts += [_field(_HASH_KEY_TABLE, key.encode()) for key in hash_keys]
    for data, key, explicit in entries:
        hashed = b"" if explicit is None else b"\x10" + _to_varint(hash_keys[explicit])
        parts.append(_field(_RECORDS, b"\x08" + _to_varint(keys[key]) + hashed + _field(_DATA, data)))
    body = b"".join(parts)
    return MAGIC + body + hashlib.md5(body, usedforsecurity=False).digest()


def encoded_bytes(entry: Entry, *, known_key: bool) -> int:
    """What an entry adds to an aggregate at most. `known_key`: another entry there has its partition key."""
    # Tag and length around the record, indexes of its keys, tag and length of the data; tag and length of each key.
    hashed = 0 if entry.explicit_hash_key is None else len(entry.explicit_hash_key) + 6
    return len(entry.data) + 20 + hashed + (0 if known_key else len(entry.partition_key.encode()) + 6)


EMPTY_BYTES = len(MAGIC) + _DIGEST_BYTES
"""Of an aggregate, beside what its entries add."""


def decode(data: bytes) -> Sequence[Entry] | None:
    """A record's payload → the user records in it; the place of each, from 0, is its sub-sequence number.

    None for an ordinary record: everything without the magic number, and what has it but is cut off, damaged, or names
    keys that it does not hold. Costs one comparison where there is no magic number.
    """
    if not data.startswith(MAGIC) or len(data) < _MIN_BYTES:
        return None
    end = len(data) - _DIGEST_BYTES
    if hashlib.md5(memoryview(data)[len(MAGIC) : end], usedforsecurity=False).digest() != data[end:]:
        return None
    try:
        return _message(data, len(MAGIC), end)
    except (_MalformedError, UnicodeDecodeError):
        return None


def _message(data: bytes, at: int, end: int) -> list[Entry]:
    keys: list[str] = []
    hash_keys: list[str] = []
    spans: list[tuple[int, int]] = []
    while at < end:
        if data[at] == _RECORDS << 3 | _TEXT:  # most fields are, and a generator would take as long as all the rest
            field, kind = _RECORDS, _TEXT
            start, at = _text(data, at + 1, end)
        else:
            field, kind, start, at = next(_fields(data, at, end))
        if kind != _TEXT:
            continue
        if field == _RECORDS:
            spans.append((start, at))
            if len(spans) > MAX_SUB_RECORDS:
                raise _MalformedError
        elif field == _KEY_TABLE:
            keys.append(data[start:at].decode())
        elif field == _HASH_KEY_TABLE:
            hash_keys.append(_hash_key(data[start:at]))
    return [_record(data, start, stop, keys, hash_keys) for start, stop in spans]


def _record(data: bytes, at: int, end: int, keys: Sequence[str], hash_keys: Sequence[str]) -> Entry:
    # The way it is written without hash keys and tags is read in a third of the time. The digest lies behind the last
    # record, so the bytes that are looked at are there, whatever they are.
    if data[at] == _KEY_INDEX << 3 and data[at + 2] == _DATA << 3 | _TEXT and (key := data[at + 1]) <= _LOW:
        size, start = data[at + 3], at + 4
        if size > _LOW and data[start] <= _LOW:
            size, start = size & _LOW | data[start] << 7, start + 1
        if start + size == end and key < len(keys):
            return Entry(data[start:end], keys[key])
    key_index = hash_key_index = payload = None
    for field, kind, start, stop in _fields(data, at, end):
        if field == _DATA and kind == _TEXT:
            payload = data[start:stop]
        elif field == _KEY_INDEX and kind == _VARINT:
            key_index = start
        elif field == _HASH_KEY_INDEX and kind == _VARINT:
            hash_key_index = start
    if payload is None or key_index is None:
        raise _MalformedError
    try:
        return Entry(payload, keys[key_index], None if hash_key_index is None else hash_keys[hash_key_index])
    except IndexError as error:
        raise _MalformedError from error


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type and place of each field; for a number, its value in place of the start."""
    while at < end:
        tag = data[at]
        at += 1
        if tag > _LOW:
            tag, at = _varint(data, at - 1, end)
        kind = tag & 7
        if kind == _TEXT:
            start, at = _text(data, at, end)
        elif kind == _VARINT:
            start, at = _varint(data, at, end)
        elif kind == _FIXED64:
            start, at = at, at + 8
        elif kind == _FIXED32:
            start, at = at, at + 4
        else:
            raise _MalformedError
        if at > end or tag < 8:  # noqa: PLR2004 - no field has the number 0
            raise _MalformedError
        yield tag >> 3, kind, start, at


def _text(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where a text or message begins and ends whose length is told at `at`."""
    size = data[at]  # the digest lies behind the message, so there is a byte, and one after it
    start = at + 1
    if size > _LOW:
        if data[start] <= _LOW:
            size, start = size & _LOW | data[start] << 7, start + 1
        else:
            size, start = _varint(data, at, end)
    if start + size > end:
        raise _MalformedError
    return start, start + size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of up to 64 bits, and where it ends."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & _LOW) << shift
        if byte <= _LOW:
            if value >> _VARINT_BITS:
                break
            return value, at
        shift += 7
        if shift >= _VARINT_BITS + 6:
            break
    raise _MalformedError


def _hash_key(digits: bytes) -> str:
    if not digits.isdigit() or len(digits) > len(str(HASH_KEYS)) or int(digits) >= HASH_KEYS:
        raise _MalformedError
    return digits.decode()


def _table(keys: Iterable[str]) -> dict[str, int]:
    return {key: index for index, key in enumerate(dict.fromkeys(keys))}


def _field(number: int, payload: bytes) -> bytes:
    return bytes((number << 3 | _TEXT,)) + _to_varint(len(payload)) + payload


def _to_varint(value: int) -> bytes:
    if value <= _LOW:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > _LOW:
        out.append(value & _LOW | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
