"""Whether the engines still differ from AWS where `engines.Gap` says so.

A failure here is good news: an engine has closed a gap. Take the gap out of engines.py (or the engine out of it), and
the tests that it kept from this engine run there.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from headrace.aws.session import AwsSession
from tests.contract.engines import FIXTURES, RUNNING, Engine, Gap, noticed
from tests.contract.stream_world import until_active

SERVICES = {"Kinesis": "kinesis", "DynamoDB": "dynamodb", "S3": "s3", "SNS": "sns", "Glue": "glue"}
KEY = {"k": {"S": "a"}}
MIDDLE = str(2**127)


async def is_taken(call: Awaitable[object]) -> bool:
    """Whether a request is not refused."""
    try:
        await call
    except ClientError:
        return False
    return True


async def make_stream(kinesis: Any) -> str:
    name = f"gaps-{uuid4().hex}"
    await kinesis.create_stream(StreamName=name, ShardCount=1)
    await until_active(kinesis, name)
    return name


async def shards_of(kinesis: Any, stream: str) -> list[Any]:
    await until_active(kinesis, stream)
    return list((await kinesis.list_shards(StreamName=stream))["Shards"])


async def put(kinesis: Any, stream: str, count: int, size: int = 1) -> int:
    """Put records on the one shard → how many it takes."""
    records = [{"Data": b"x" * size, "PartitionKey": "k"}] * count
    return count - int((await kinesis.put_records(StreamName=stream, Records=records))["FailedRecordCount"])


async def iterator(kinesis: Any, stream: str, **position: str) -> str:
    [shard] = await shards_of(kinesis, stream)
    reply = await kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], **position)
    return str(reply["ShardIterator"])


async def split(kinesis: Any) -> list[Any]:
    """The shards of a stream whose one shard was split."""
    stream = await make_stream(kinesis)
    [shard] = await shards_of(kinesis, stream)
    await kinesis.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=MIDDLE)
    return await shards_of(kinesis, stream)


async def forgets_closed_shards(kinesis: Any) -> bool:
    return len(await split(kinesis)) == 2


async def one_ending(kinesis: Any) -> bool:
    ends = [shard["SequenceNumberRange"].get("EndingSequenceNumber") for shard in await split(kinesis)]
    return ends == [str(2**63 - 1), None, None]


async def count_empties(kinesis: Any) -> bool:
    stream = await make_stream(kinesis)
    await kinesis.update_shard_count(StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    return not any("ParentShardId" in shard for shard in await shards_of(kinesis, stream))


async def long_pages(kinesis: Any) -> bool:
    stream = await make_stream(kinesis)
    for _ in range(16):
        await put(kinesis, stream, 1, 700_000)
    start = await iterator(kinesis, stream, ShardIteratorType="TRIM_HORIZON")
    return len((await kinesis.get_records(ShardIterator=start))["Records"]) == 16


async def opens_at_nothing(kinesis: Any) -> bool:
    stream = await make_stream(kinesis)
    await put(kinesis, stream, 1)
    position = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "1"}
    return await is_taken(iterator(kinesis, stream, **position))


async def names_again(kinesis: Any) -> bool:
    stream = f"gaps-{uuid4().hex}"
    await kinesis.create_stream(StreamName=stream, ShardCount=2)
    await until_active(kinesis, stream)
    token = (await kinesis.list_shards(StreamName=stream, MaxResults=1))["NextToken"]
    return not await is_taken(kinesis.list_shards(NextToken=token))


async def unlimited_shards(kinesis: Any) -> bool:
    stream = await make_stream(kinesis)
    taken = [await put(kinesis, stream, 500) for _ in range(3)]
    start = await iterator(kinesis, stream, ShardIteratorType="LATEST")
    return taken == [500] * 3 and all([await is_taken(kinesis.get_records(ShardIterator=start)) for _ in range(7)])


async def long_calls(kinesis: Any) -> bool:
    stream = await make_stream(kinesis)
    return await put(kinesis, stream, 501) == 501


async def make_table(dynamodb: Any) -> str:
    name = f"gaps-{uuid4().hex}"
    await dynamodb.create_table(
        TableName=name,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )
    return name


async def unlimited_tables(dynamodb: Any) -> bool:
    table, item = await make_table(dynamodb), {**KEY, "v": {"S": "x" * 300_000}}
    # AWS lets a table borrow five minutes of its capacity: 300 units here, and each of these writes costs 293.
    return all([await is_taken(dynamodb.put_item(TableName=table, Item=item)) for _ in range(4)])


async def overlapping_paths(dynamodb: Any) -> bool:
    return await is_taken(
        dynamodb.update_item(
            TableName=await make_table(dynamodb), Key=KEY, UpdateExpression="SET y = :v, y = :v",
            ExpressionAttributeValues={":v": {"N": "1"}},
        )
    )  # fmt: skip


async def completes(s3: Any, times: int, *parts: bytes) -> bool:
    """Whether an upload of some parts can be completed so many times."""
    bucket, key = f"gaps-{uuid4().hex}", "a"
    await s3.create_bucket(Bucket=bucket)
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
    etags = [(await s3.upload_part(**upload, PartNumber=n, Body=part))["ETag"] for n, part in enumerate(parts, 1)]
    done = {"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]}
    return all(
        [
            await is_taken(s3.complete_multipart_upload(**upload, MultipartUpload=done, IfNoneMatch="*"))
            for _ in range(times)
        ]
    )


async def small_parts(s3: Any) -> bool:
    return await completes(s3, 1, b"first", b"last")


async def completes_again(s3: Any) -> bool:
    return await completes(s3, 2, b"only")


async def any_subject(sns: Any) -> bool:
    topic = (await sns.create_topic(Name="gaps"))["TopicArn"]
    return await is_taken(sns.publish(TopicArn=topic, Message="m", Subject="é\n" + "x" * 100))


Probe = Callable[[Any], Awaitable[bool]]


async def register_days(glue: Any) -> str:
    """Two partitions of a table that is not there → their database."""
    database = f"gaps_{uuid4().hex}"
    await glue.create_database(DatabaseInput={"Name": database})
    days = [{"Values": [day]} for day in ("2026-04-09", "2026-04-10")]
    await glue.batch_create_partition(DatabaseName=database, TableName="silver", PartitionInputList=days)
    return database


async def stray_partitions(glue: Any) -> bool:
    return await is_taken(register_days(glue))


async def one_page(glue: Any) -> bool:
    page = await glue.get_partitions(DatabaseName=await register_days(glue), TableName="silver", MaxResults=1)
    return len(page["Partitions"]) == 2


async def no_batch_delete(glue: Any) -> bool:
    there = {"DatabaseName": await register_days(glue), "TableName": "silver"}
    return not await is_taken(glue.batch_delete_partition(**there, PartitionsToDelete=[{"Values": ["2026-04-09"]}]))


PROBES: dict[Gap, Probe] = {
    Gap.FORGETS_CLOSED_SHARDS: forgets_closed_shards,
    Gap.COUNT_EMPTIES: count_empties,
    Gap.LONG_PAGES: long_pages,
    Gap.OPENS_AT_NOTHING: opens_at_nothing,
    Gap.NAMES_AGAIN: names_again,
    Gap.UNLIMITED_SHARDS: unlimited_shards,
    Gap.LONG_CALLS: long_calls,
    Gap.ONE_ENDING: one_ending,
    Gap.UNLIMITED_TABLES: unlimited_tables,
    Gap.OVERLAPPING_PATHS: overlapping_paths,
    Gap.SMALL_PARTS: small_parts,
    Gap.COMPLETES_AGAIN: completes_again,
    Gap.ANY_SUBJECT: any_subject,
    Gap.ONE_PAGE: one_page,
    Gap.STRAY_PARTITIONS: stray_partitions,
    Gap.NO_BATCH_DELETE: no_batch_delete,
}
"""What shows that a gap is there, given a client of the engine."""
OPEN = [(engine, gap) for engine in sorted(set(RUNNING.values())) for gap in noticed([engine])]


@pytest.mark.parametrize(("engine", "gap"), OPEN, ids=[f"{engine} {gap.name}" for engine, gap in OPEN])
async def test_a_gap_that_is_declared_is_still_there(engine: Engine, gap: Gap, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(FIXTURES[engine])
    async with AwsSession("us-east-1") as aws:
        assert await PROBES[gap](await aws.client(SERVICES[gap.value.port]))


def test_every_gap_that_can_be_asked_for_has_a_probe() -> None:
    assert PROBES.keys() == {gap for gap in Gap if not gap.value.unseen}
