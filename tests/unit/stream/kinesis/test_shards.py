"""Shards: how they are listed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stamina

from headrace.aws.session import AwsSession
from headrace.errors import NotFoundError, UnavailableError
from headrace.stream.kinesis.shards import describe, list_shards, parse_shard
from headrace.stream.ports import Shard, ShardId, StreamInfo
from tests.unit.stream.kinesis.fake_kinesis import FakeKinesis


def raw_shard(shard_id: str, *, end: str | None = None, **parents: str) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": "1"} | ({"EndingSequenceNumber": end} if end else {})
    hash_range = {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}
    return {"ShardId": shard_id, "HashKeyRange": hash_range, "SequenceNumberRange": numbers, **parents}


@pytest.fixture
async def control(fake: FakeKinesis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    for name, value in {"ENDPOINT_URL": fake.url, "ACCESS_KEY_ID": "local", "SECRET_ACCESS_KEY": "local"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    async with AwsSession("eu-west-3") as aws:
        yield await aws.client("kinesis")


async def test_shards_are_listed_to_the_last_page(fake: FakeKinesis, control: Any) -> None:
    fake.answer("ListShards", {"Shards": [raw_shard("a", end="9")], "NextToken": "more"})
    fake.answer("ListShards", {"Shards": [raw_shard("b", ParentShardId="a")]})
    found = await list_shards(control, "clicks")
    assert [(one.shard_id, one.closed, one.parents) for one in found] == [("a", True, ()), ("b", False, ("a",))]
    assert fake.bodies("ListShards") == [{"StreamName": "clicks"}, {"NextToken": "more"}]


async def test_a_page_that_fails_is_asked_for_again(fake: FakeKinesis, control: Any) -> None:
    fake.answer("ListShards", {"Shards": [raw_shard("a")], "NextToken": "more"})
    fake.fail("ListShards", "InternalFailure", status=500)
    fake.answer("ListShards", {"Shards": [raw_shard("b")]})
    with stamina.set_testing(True, attempts=2):
        found = await list_shards(control, "clicks")
    assert [one.shard_id for one in found] == ["a", "b"]
    assert fake.bodies("ListShards")[1:] == [{"NextToken": "more"}] * 2


async def test_a_token_that_expired_is_an_outage_and_the_next_list_begins_anew(fake: FakeKinesis, control: Any) -> None:
    fake.answer("ListShards", {"Shards": [raw_shard("a")], "NextToken": "five minutes old"})
    fake.fail("ListShards", "ExpiredNextTokenException")
    fake.answer("ListShards", {"Shards": [raw_shard("a")]})
    with stamina.set_testing(True, attempts=1), pytest.raises(UnavailableError):
        await list_shards(control, "clicks")
    assert [one.shard_id for one in await list_shards(control, "clicks")] == ["a"]


async def test_a_stream_is_described_by_name_account_creation_and_retention(fake: FakeKinesis, control: Any) -> None:
    fake.answer(
        "DescribeStreamSummary",
        {
            "StreamDescriptionSummary": {
                "StreamName": "clicks",
                "StreamARN": "arn:aws:kinesis:eu-west-3:123456789012:stream/clicks",
                "StreamCreationTimestamp": 1_775_721_600.9,
                "RetentionPeriodHours": 48,
            }
        },
    )
    assert await describe(control, "clicks") == StreamInfo(
        name="clicks", account="123456789012", created=1_775_721_600, retention_seconds=172_800.0
    )


async def test_a_missing_stream_is_not_found(fake: FakeKinesis, control: Any) -> None:
    fake.fail("DescribeStreamSummary", "ResourceNotFoundException")
    with pytest.raises(NotFoundError):
        await describe(control, "clicks")


def test_a_merged_shard_has_two_parents() -> None:
    merged = parse_shard(raw_shard("c", ParentShardId="a", AdjacentParentShardId="b"))
    assert merged == Shard(shard_id=ShardId("c"), parents=(ShardId("a"), ShardId("b")))
