"""Shards: how they are listed, and whose turn it is."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from headrace.aws.session import AwsSession
from headrace.errors import NotFoundError
from headrace.stream.kinesis.shards import describe, list_shards, parse_shard, readable
from headrace.stream.ports import Shard, ShardId, StreamInfo
from tests.unit.stream.kinesis.fake_kinesis import FakeKinesis


def raw_shard(shard_id: str, *, end: str | None = None, **parents: str) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": "1"} | ({"EndingSequenceNumber": end} if end else {})
    hash_range = {"StartingHashKey": "0", "EndingHashKey": str(2**128 - 1)}
    return {"ShardId": shard_id, "HashKeyRange": hash_range, "SequenceNumberRange": numbers, **parents}


def shard(shard_id: str, *parents: str) -> Shard:
    return Shard(shard_id=ShardId(shard_id), parents=tuple(map(ShardId, parents)))


def turn(shards: list[Shard], *done: str) -> list[str]:
    return [one.shard_id for one in readable(shards, {ShardId(name) for name in done})]


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


def test_children_of_a_split_wait_for_their_parent() -> None:
    shards = [shard("a"), shard("b"), shard("a1", "a"), shard("a2", "a")]
    assert turn(shards) == ["a", "b"]
    assert turn(shards, "a") == ["b", "a1", "a2"]


def test_the_child_of_a_merge_waits_for_both_parents() -> None:
    shards = [shard("a"), shard("b"), shard("ab", "a", "b")]
    assert turn(shards, "a") == ["b"]
    assert turn(shards, "a", "b") == ["ab"]


def test_a_parent_past_retention_holds_nobody_up() -> None:
    assert turn([shard("c", "gone"), shard("d", "c")]) == ["c"]


@given(st.lists(st.sets(st.integers(0, 30), max_size=2), max_size=30))
def test_every_shard_gets_its_turn_and_none_before_its_parents(parents: list[set[int]]) -> None:
    shards = [shard(str(n), *(str(p) for p in ps if p < n)) for n, ps in enumerate(parents)]
    done: list[ShardId] = []
    while ready := readable(shards, done):
        assert all(set(one.parents) <= set(done) for one in ready)
        done.append(ready[-1].shard_id)
    assert len(done) == len(shards)
