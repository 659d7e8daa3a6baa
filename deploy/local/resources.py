"""Stream, bucket, queue, tables and workgroup in the local cloud: what the CloudFormation stack makes on AWS."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from headrace.aws.faults import aws_errors
from headrace.aws.retry import retry
from headrace.aws.session import AwsSession
from headrace.clock import Clock, SystemClock
from headrace.counters import dynamodb as counters
from headrace.errors import NotFoundError, UnavailableError
from headrace.lake.layout import EVENTS
from headrace.leases import dynamodb as leases
from headrace.settings import PARTITION_QUEUE_RECEIVES, Settings
from headrace.state import dynamodb as state

ACTIVE_SECONDS = 30.0
POLL_SECONDS = 0.1

UPLOADS_KEPT_DAYS = 8
"""An upload may be completed as long as the records that it was made from can be read again: a stream keeps them for
7 days at most. What is older was given up; no worker removes an upload, for another may be about to complete it."""


async def ensure_resources(aws: AwsSession, settings: Settings, *, shards: int = 2, clock: Clock | None = None) -> None:
    """Create what is missing and wait until it is active; what is there stays as it is, its number of shards too.

    Raises `UnavailableError` when something does not become active in time.
    """
    clock = clock or SystemClock()
    tables = (
        leases.table_definition(settings.control_table),
        counters.table_definition(settings.counters_table),
        state.table_definition(settings.state_table),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(_ensure_stream(await aws.client("kinesis"), settings.stream_name, shards, clock))
        dynamodb = await aws.client("dynamodb")
        for definition in tables:
            group.create_task(_ensure_table(dynamodb, definition, clock))
        group.create_task(_ensure_bucket(await aws.client("s3"), await aws.client("sqs"), settings))


async def ensure_workgroup(aws: AwsSession, settings: Settings) -> None:
    """Create the Athena workgroup when it is missing. Wants the Athena endpoint, which the rest does without."""
    athena = await aws.client("athena")
    there = await _call(athena.list_work_groups)
    if settings.workgroup not in {group["Name"] for group in there["WorkGroups"]}:
        output = {"ResultConfiguration": {"OutputLocation": settings.athena_output_url}}
        await _call(athena.create_work_group, Name=settings.workgroup, Configuration=output)


async def _ensure_stream(client: Any, name: str, shards: int, clock: Clock) -> None:
    async def status() -> str:
        reply = await _call(client.describe_stream_summary, StreamName=name)
        return str(reply["StreamDescriptionSummary"]["StreamStatus"])

    async def create() -> object:
        return await _call(client.create_stream, StreamName=name, ShardCount=shards)

    await _ensure_active(f"stream {name}", status, create, clock)


async def _ensure_table(client: Any, definition: dict[str, Any], clock: Clock) -> None:
    name = definition["TableName"]

    async def status() -> str:
        return str((await _call(client.describe_table, TableName=name))["Table"]["TableStatus"])

    async def create() -> object:
        return await _call(client.create_table, **definition)

    await _ensure_active(f"table {name}", status, create, clock)


async def _ensure_active(
    what: str, status: Callable[[], Awaitable[str]], create: Callable[[], Awaitable[object]], clock: Clock
) -> None:
    try:
        now = await status()
    except NotFoundError:
        await create()
        now = "CREATING"
    deadline = clock.monotonic() + ACTIVE_SECONDS
    while now != "ACTIVE":
        if clock.monotonic() > deadline:
            raise UnavailableError(f"{what} is still {now} after {ACTIVE_SECONDS:.0f} s")
        await clock.sleep(POLL_SECONDS)
        now = await status()


async def _ensure_bucket(s3: Any, sqs: Any, settings: Settings) -> None:
    try:
        await _call(s3.head_bucket, Bucket=settings.bucket)
    except NotFoundError:
        place = {} if settings.region == "us-east-1" else {"LocationConstraint": settings.region}
        await _call(s3.create_bucket, Bucket=settings.bucket, **({"CreateBucketConfiguration": place} if place else {}))
    await _call(s3.put_bucket_lifecycle_configuration, Bucket=settings.bucket, LifecycleConfiguration=uploads_expire())
    url, arn = await _ensure_queue(sqs, settings.partition_queue)
    _, dead_letters = await _ensure_queue(sqs, settings.partition_dead_letters)
    await _call(sqs.set_queue_attributes, QueueUrl=url, Attributes=redrive(dead_letters))
    await _call(
        s3.put_bucket_notification_configuration,
        Bucket=settings.bucket,
        NotificationConfiguration=notification(arn),
    )


async def _ensure_queue(sqs: Any, name: str) -> tuple[str, str]:
    """The queue's URL and ARN."""
    url = (await _call(sqs.create_queue, QueueName=name))["QueueUrl"]
    answer = await _call(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def redrive(dead_letters_arn: str) -> dict[str, str]:
    """Attributes that move what is received in vain to another queue. Set apart: a queue may be older than they are."""
    policy = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": PARTITION_QUEUE_RECEIVES}
    return {"RedrivePolicy": msgspec.json.encode(policy).decode()}


def uploads_expire() -> dict[str, Any]:
    """The bucket's rule for what was staged and never became visible."""
    rule = {
        "ID": "incomplete-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOADS_KEPT_DAYS},
    }
    return {"Rules": [rule]}


def notification(queue_arn: str) -> dict[str, Any]:
    """A message to the queue for every new object below `events/`."""
    prefix = {"Name": "prefix", "Value": f"{EVENTS}/"}
    return {
        "QueueConfigurations": [
            {"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [prefix]}}}
        ]
    }


async def _call(operation: Any, **arguments: Any) -> Any:
    async def attempt() -> Any:
        with aws_errors():
            return await operation(**arguments)

    return await retry(attempt)
