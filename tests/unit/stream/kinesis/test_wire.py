"""Bodies of requests and answers."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import (
    AccessError,
    HeadraceError,
    NotFoundError,
    RequestError,
    ThrottledError,
    UnavailableError,
)
from headrace.stream.kinesis import wire
from headrace.stream.ports import (
    AfterSequence,
    AtSequence,
    AtTimestamp,
    Entry,
    Latest,
    Position,
    Record,
    SequenceNumber,
    ShardId,
    TrimHorizon,
)
from tests.unit.stream.kinesis.fake_kinesis import page


@given(st.lists(st.builds(Entry, st.binary(max_size=50), st.text(min_size=1, max_size=20), st.none() | st.just("17"))))
def test_put_records_carries_any_bytes_and_any_key(entries: list[Entry]) -> None:
    body = json.loads(wire.encode_put_records("clicks", entries))
    assert body["StreamName"] == "clicks"
    assert [
        (base64.b64decode(record["Data"]), record["PartitionKey"], record.get("ExplicitHashKey"))
        for record in body["Records"]
    ] == entries
    assert not any(record.get("ExplicitHashKey", "17") is None for record in body["Records"])


def test_a_stream_can_be_named_by_its_arn() -> None:
    arn = "arn:aws:kinesis:eu-west-3:123456789012:stream/clicks"
    assert json.loads(wire.encode_put_records(arn, [])) == {"Records": [], "StreamARN": arn}


@pytest.mark.parametrize(
    ("position", "start"),
    [
        (TrimHorizon(), {"ShardIteratorType": "TRIM_HORIZON"}),
        (Latest(), {"ShardIteratorType": "LATEST"}),
        (AtTimestamp(1775721600.25), {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1775721600.25}),
        (
            AtSequence(SequenceNumber("49")),
            {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "49"},
        ),
        (
            AfterSequence(SequenceNumber("49")),
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "49"},
        ),
    ],
)
def test_a_position_becomes_an_iterator_type(position: Position, start: dict[str, Any]) -> None:
    body = wire.encode_get_shard_iterator("clicks", ShardId("shard-1"), position)
    assert json.loads(body) == {"StreamName": "clicks", "ShardId": "shard-1", **start}


def test_a_page_decodes_into_records_and_what_comes_next() -> None:
    answer = wire.decode_get_records(json.dumps(page(7, 8, then="more", behind_millis=1500)).encode())
    assert answer.records == [
        Record(
            data=f"payload-{number}".encode(),
            sequence_number=str(number),
            partition_key=f"key-{number}",
            approximate_arrival_timestamp=1_775_721_600.25 + number,
        )
        for number in (7, 8)
    ]
    assert (answer.next_shard_iterator, answer.millis_behind_latest, answer.child_shards) == ("more", 1500, None)


def test_the_last_page_of_a_shard_names_its_children() -> None:
    body = {
        "Records": [],
        "MillisBehindLatest": 0,
        "ChildShards": [
            {
                "ShardId": "c",
                "ParentShards": ["a", "b"],
                "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "9"},
            }
        ],
    }
    answer = wire.decode_get_records(json.dumps(body).encode())
    assert answer.next_shard_iterator is None
    assert answer.child_shards == (wire.ChildShard(shard_id=ShardId("c"), parent_shards=(ShardId("a"), ShardId("b"))),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b'{"Records": [',
        b'{"NextShardIterator": "x"}',
        b'{"Records": [{"Data": "!", "SequenceNumber": "1", "PartitionKey": "k", "ApproximateArrivalTimestamp": 1}]}',
        b'{"Records": [], "NextShardIterator": "\xff"}',
        b'{"Records": [], "Unknown": ' + b"[" * 100_000,
    ],
    ids=["empty", "html", "cut off", "incomplete", "no base64", "no utf-8", "deep"],
)
def test_an_answer_that_makes_no_sense_is_an_unavailable_service(body: bytes) -> None:
    with pytest.raises(UnavailableError, match="makes no sense"):
        wire.decode_get_records(body)


@pytest.mark.parametrize(
    ("status", "body", "code", "error"),
    [
        (400, {"__type": "ExpiredIteratorException", "message": "m"}, None, wire.ExpiredIteratorError),
        (400, {"__type": "ProvisionedThroughputExceededException"}, None, ThrottledError),
        (
            400,
            {"__type": "com.amazonaws.kinesis.v20131202#ResourceNotFoundException", "Message": "m"},
            "ResourceNotFoundException",
            NotFoundError,
        ),
        (400, {"__type": "ExpiredTokenException:http://internal/"}, "ExpiredTokenException", AccessError),
        (400, {"__type": "InvalidArgumentException"}, None, RequestError),
        (500, {"__type": "InternalFailure"}, None, UnavailableError),
    ],
)
def test_a_fault_is_named_by_its_code(
    status: int, body: dict[str, str], code: str | None, error: type[HeadraceError]
) -> None:
    named, raised = wire.decode_fault(status, json.dumps(body).encode())
    assert named == (code or body["__type"])
    assert type(raised) is error


def test_a_fault_without_a_code_is_judged_by_its_status() -> None:
    assert [type(wire.decode_fault(status, b"<html>")[1]) for status in (502, 413, 403)] == [
        UnavailableError, RequestError, UnavailableError,
    ]  # fmt: skip
