"""AWS' own Python package for aggregates, as the tests ask it."""

import base64
import sys
from collections.abc import Iterable
from typing import Any

from headrace.stream.ports import Entry

_path = [*sys.path]
from aws_kinesis_agg import aggregator, deaggregator, messages_pb2  # noqa: E402 - it adds folders of its own to the path

sys.path[:] = _path


def aggregate(entries: Iterable[Entry]) -> bytes:
    """User records → the aggregate that AWS' package makes of them."""
    record = aggregator.AggRecord()
    for entry in entries:
        assert record.add_user_record(entry.partition_key, entry.data, entry.explicit_hash_key)
    return bytes(record.get_contents()[2])


def fill(entry: Entry) -> tuple[bytes, int]:
    """The largest aggregate that AWS' package makes of one user record over and over, and how often that is."""
    record = aggregator.AggRecord()
    count = 0
    while record.add_user_record(entry.partition_key, entry.data, entry.explicit_hash_key):
        count += 1
    return bytes(record.get_contents()[2]), count


def hash_keys(data: bytes) -> list[str | None]:
    """The explicit hash keys that AWS' package finds; it is right when all user records have one, or none."""
    return [each["kinesis"]["explicitHashKey"] for each in _found(data)]


def _found(data: bytes) -> list[dict[str, Any]]:
    raw = {"SequenceNumber": "1", "PartitionKey": "k", "ApproximateArrivalTimestamp": 0, "Data": data}
    return list(deaggregator.iter_deaggregate_records([raw], data_format="Boto3"))


def deaggregate(data: bytes) -> list[tuple[bytes, str, int]] | None:
    """What AWS' package finds in a payload: data, partition key and sub-sequence number; None: an ordinary record."""
    found = _found(data)
    if found and "subSequenceNumber" not in found[0]["kinesis"]:
        return None
    return [
        (
            base64.b64decode(each["kinesis"]["data"]),
            each["kinesis"]["partitionKey"],
            each["kinesis"]["subSequenceNumber"],
        )
        for each in found
    ]


def parse(message: bytes) -> list[tuple[bytes, str]]:
    """What protobuf itself reads of a message that is an aggregate."""
    found = messages_pb2.AggregatedRecord()
    found.ParseFromString(message)
    return [(each.data, found.partition_key_table[each.partition_key_index]) for each in found.records]
