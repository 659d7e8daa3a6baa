"""A lease row as KCL 2 and 3 read it: attribute by attribute, with its types and what it refuses.

After `DynamoDBLeaseSerializer`, `DynamoDBMultiStreamLeaseSerializer`, `ExtendedSequenceNumber`, `HashKeyRangeForLease`
and `StreamIdentifier` of the Kinesis Client Library, in our own words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WORDS = {"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", "SHARD_END"}
_STREAM = re.compile(r"([0-9]+):([^:]+):([0-9]+)", re.ASCII)
_LONG = 2**63
_HASH_KEYS = 2**128


@dataclass(frozen=True, slots=True, kw_only=True)
class KclRow:
    key: str
    owner: str | None
    counter: int
    owner_switches: int
    checkpoint: tuple[str, int]
    pending_checkpoint: tuple[str, int] | None
    parents: frozenset[str]
    children: frozenset[str]
    hash_range: tuple[int, int] | None
    checkpoint_owner: str | None
    stream: str | None
    shard: str


def read_single(item: Mapping[str, Any]) -> KclRow:
    """An item of a single-stream application. Raises `ValueError` for what KCL cannot work with."""
    return _row(item, stream=None, shard=_text(item, "leaseKey"))


def read_multi(item: Mapping[str, Any]) -> KclRow:
    """An item of a multi-stream application."""
    stream, shard = _text(item, "streamName"), _text(item, "shardId")
    match = _STREAM.fullmatch(stream)
    if match is None or int(match[3]) <= 0:
        raise ValueError(f"no stream identifier: {stream}")
    if _text(item, "leaseKey") != f"{stream}:{shard}":
        raise ValueError("the lease key is not made of stream and shard")
    return _row(item, stream=stream, shard=shard)


def _row(item: Mapping[str, Any], *, stream: str | None, shard: str) -> KclRow:
    if item.get("entityType", {"S": "LEASE"}) != {"S": "LEASE"}:
        raise ValueError("no lease")
    if "throughputKBps" in item:
        float(item["throughputKBps"]["N"])
    return KclRow(
        key=_text(item, "leaseKey"),
        owner=_text(item, "leaseOwner") if "leaseOwner" in item else None,
        counter=_long(item, "leaseCounter"),
        owner_switches=_long(item, "ownerSwitchesSinceCheckpoint"),
        checkpoint=_place(item, "checkpoint"),
        pending_checkpoint=_place(item, "pendingCheckpoint") if "pendingCheckpoint" in item else None,
        parents=_names(item, "parentShardId"),
        children=_names(item, "childShardIds"),
        hash_range=_hash_range(item),
        checkpoint_owner=_text(item, "checkpointOwner") if "checkpointOwner" in item else None,
        stream=stream,
        shard=shard,
    )


def _text(item: Mapping[str, Any], name: str) -> str:
    [(kind, value)] = item[name].items()
    if kind != "S" or not value:
        raise ValueError(f"{name}: {item[name]}")
    return str(value)


def _long(item: Mapping[str, Any], name: str) -> int:
    [(kind, value)] = item[name].items()
    if kind != "N" or not value.isdecimal() or int(value) >= _LONG:
        raise ValueError(f"{name}: {item[name]}")
    return int(value)


def _names(item: Mapping[str, Any], name: str) -> frozenset[str]:
    if name not in item:
        return frozenset()
    [(kind, value)] = item[name].items()
    if kind != "SS" or not value:
        raise ValueError(f"{name}: {item[name]}")
    return frozenset(value)


def _place(item: Mapping[str, Any], name: str) -> tuple[str, int]:
    number, within = _text(item, name), _long(item, f"{name}SubSequenceNumber")
    if number in _WORDS and within:
        raise ValueError(f"{number} with {within} is not equal to KCL's own {number}")
    if number not in _WORDS and not (number.isdecimal() and number.isascii()):
        raise ValueError(f"{name}: {number}")
    return number, within


def _hash_range(item: Mapping[str, Any]) -> tuple[int, int] | None:
    if "startingHashKey" not in item and "endingHashKey" not in item:
        return None
    first, last = int(_text(item, "startingHashKey")), int(_text(item, "endingHashKey"))
    if not 0 <= first < last < _HASH_KEYS:
        raise ValueError(f"no range of hash keys: {first} to {last}")
    return first, last
