"""What `headrace up` makes in the local cloud before the services start."""

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.lake.layout import HourPartition, event_object, manifest_object
from headrace.lake.ports import Completion
from headrace.lake.s3 import S3Store
from headrace.settings import Settings, load
from services.partitioner.notifications import Notice, partitions_of_message


@pytest.fixture
def settings(aws_environment: str) -> Settings:
    name = uuid4().hex[:8]
    return load(
        kinesis_stream_name=f"stream-{name}", bucket=f"bucket-{name}", partition_queue=f"queue-{name}",
        control_table=f"control-{name}", counters_table=f"counters-{name}", state_table=f"state-{name}",
    )  # fmt: skip


async def messages(aws: AwsSession, settings: Settings) -> list[dict[str, Any]]:
    sqs = await aws.client("sqs")
    url = (await sqs.get_queue_url(QueueName=settings.partition_queue))["QueueUrl"]
    reply = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
    return [msgspec.json.decode(message["Body"]) for message in reply.get("Messages", ())]


async def test_everything_is_active_and_a_second_time_changes_nothing(settings: Settings) -> None:
    async with AwsSession(settings.region) as aws:
        await ensure_resources(aws, settings, shards=3)
        kinesis, dynamodb, s3 = [await aws.client(name) for name in ("kinesis", "dynamodb", "s3")]
        before = await kinesis.describe_stream_summary(StreamName=settings.stream_name)
        await s3.put_object(Bucket=settings.bucket, Key="kept", Body=b"x")

        await ensure_resources(aws, settings, shards=1)

        after = await kinesis.describe_stream_summary(StreamName=settings.stream_name)
        assert after["StreamDescriptionSummary"] == before["StreamDescriptionSummary"]
        assert after["StreamDescriptionSummary"]["OpenShardCount"] == 3
        for table in (settings.control_table, settings.counters_table, settings.state_table):
            assert (await dynamodb.describe_table(TableName=table))["Table"]["TableStatus"] == "ACTIVE"
        assert (await s3.head_object(Bucket=settings.bucket, Key="kept"))["ContentLength"] == 1


async def test_new_objects_of_the_table_are_announced_and_nothing_else(settings: Settings) -> None:
    hour = HourPartition("2026", "04", "09", "00")
    async with AwsSession(settings.region) as aws:
        await ensure_resources(aws, settings)
        store = S3Store(await aws.client("s3"), settings.bucket)
        await store.put(manifest_object("4f1c", "shard", 0, 1), b"{}")
        await store.put("failed_records/x.jsonl.gz", b"x")
        staged = await store.stage(event_object(hour, "4f1c", "shard", 0, 0), b"x")
        await store.put(event_object(hour, "4f1c", "shard", 1, 0), b"x")
        assert await store.complete(staged) is Completion.DONE
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while len(found) < 2:
                found += [body for body in await messages(aws, settings) if "Records" in body]
        records = [record for body in found for record in body["Records"]]
        assert sorted(record["eventName"].removeprefix("s3:") for record in records) == [
            "ObjectCreated:CompleteMultipartUpload",
            "ObjectCreated:Put",
        ]
        notices = [partitions_of_message(msgspec.json.encode(body).decode()) for body in found]
        assert notices == [Notice(partitions=(hour,))] * 2


async def test_uploads_that_nobody_completes_are_removed_later_than_a_stream_keeps_its_records(
    settings: Settings,
) -> None:
    async with AwsSession(settings.region) as aws:
        await ensure_resources(aws, settings)
        s3 = await aws.client("s3")
        [rule] = (await s3.get_bucket_lifecycle_configuration(Bucket=settings.bucket))["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > 7


async def test_what_is_received_in_vain_moves_to_a_queue_of_its_own_also_when_the_queue_is_an_old_one(
    settings: Settings,
) -> None:
    async with AwsSession(settings.region) as aws:
        sqs = await aws.client("sqs")
        url = (await sqs.create_queue(QueueName=settings.partition_queue))["QueueUrl"]
        await ensure_resources(aws, settings)
        found = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
        dead = (await sqs.get_queue_url(QueueName=settings.partition_dead_letters))["QueueUrl"]
        arn = (await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    policy = msgspec.json.decode(found["Attributes"]["RedrivePolicy"])
    assert policy == {"deadLetterTargetArn": arn, "maxReceiveCount": 5}
