"""Which shards there are: the control plane of a stream."""

from typing import Any

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.stream.kinesis.wire import stream_reference
from headrace.stream.ports import Shard, ShardId, StreamInfo


async def describe(control: Any, stream: str) -> StreamInfo:
    """A stream's identity. `control` is aiobotocore's client. Raises `NotFoundError`."""

    async def call() -> Any:
        with aws_errors():
            return await control.describe_stream_summary(**stream_reference(stream))

    summary = (await retry(call))["StreamDescriptionSummary"]
    return StreamInfo(
        name=summary["StreamName"],
        account=summary["StreamARN"].split(":")[4],
        created=int(summary["StreamCreationTimestamp"].timestamp()),
        retention_seconds=summary["RetentionPeriodHours"] * 3600.0,
    )


async def list_shards(control: Any, stream: str) -> list[Shard]:
    """All shards within the stream's retention, every page of them. Raises `NotFoundError`."""
    request: dict[str, str] = stream_reference(stream)
    shards: list[Shard] = []
    while True:
        page = await _list_page(control, request)
        shards += map(parse_shard, page["Shards"])
        if not page.get("NextToken"):
            return shards
        request = {"NextToken": page["NextToken"]}


async def _list_page(control: Any, request: dict[str, str]) -> Any:
    async def call() -> Any:
        with aws_errors():
            return await control.list_shards(**request)

    return await retry(call)


def parse_shard(raw: dict[str, Any]) -> Shard:
    """A shard as ListShards describes it → ours. It is closed once its sequence numbers have an end."""
    hash_range = raw["HashKeyRange"]
    return Shard(
        shard_id=ShardId(raw["ShardId"]),
        parents=tuple(ShardId(raw[key]) for key in ("ParentShardId", "AdjacentParentShardId") if raw.get(key)),
        hash_range=(int(hash_range["StartingHashKey"]), int(hash_range["EndingHashKey"])),
        closed="EndingSequenceNumber" in raw["SequenceNumberRange"],
    )
