"""Objects on S3 → notifications on SQS → partitions, with real queues and buckets of the emulator."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.catalog.memory import MemoryCatalog
from headrace.clock import SystemClock
from headrace.errors import NotFoundError
from headrace.lake.layout import HourPartition, event_object
from headrace.runtime import Context, Shutdown
from headrace.settings import load
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.partitioner.app import main
from services.partitioner.partitioner import Partitioner
from services.partitioner.queue import Message, SqsQueue

HOURS = [HourPartition.of_hour(493_000 + n) for n in range(30)]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A bucket that tells a queue of every new object, the one for test events included."""

    aws: AwsSession
    s3: Any
    sqs: Any
    bucket: str
    queue_name: str
    queue_url: str

    async def put(self, key: str) -> None:
        await self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"")

    async def drained(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return all(int(answer["Attributes"][name]) == 0 for name in names)


@pytest.fixture
async def place(aws_environment: str) -> AsyncIterator[Place]:
    name = f"partitioner-{uuid4().hex[:12]}"
    async with AwsSession("us-east-1") as aws:
        s3, sqs = await aws.client("s3"), await aws.client("sqs")
        await s3.create_bucket(Bucket=name)
        url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
        answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        await s3.put_bucket_notification_configuration(
            Bucket=name,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {"QueueArn": answer["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
                ]
            },
        )
        yield Place(aws=aws, s3=s3, sqs=sqs, bucket=name, queue_name=name, queue_url=url)


def context_of(place: Place, database: str) -> Context:
    return Context(
        settings=load(bucket=place.bucket, partition_queue=place.queue_name, database=database),
        metrics=Metrics(),
        health=Health(),
        shutdown=Shutdown(10.0),
        clock=SystemClock(),
    )


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)


async def test_every_hour_with_objects_is_registered_and_the_queue_runs_empty(place: Place) -> None:
    catalog, metrics = MemoryCatalog(), Metrics()
    shutdown = Shutdown(5.0)
    partitioner = Partitioner(
        queue=SqsQueue(place.sqs, place.queue_url), catalog=catalog, metrics=metrics, clock=SystemClock()
    )
    for n, hour in enumerate(HOURS):
        await place.put(event_object(hour, "4f1c", "shardId-000000000000", n, 0))
    await place.put("athena_output/a b+c.csv")
    await place.sqs.send_message(QueueUrl=place.queue_url, MessageBody="{not json")

    async with asyncio.TaskGroup() as group:
        group.create_task(partitioner.run(shutdown, Health()))
        await until(place.drained)
        shutdown.request()

    assert await catalog.partitions() == set(HOURS)
    counted = {
        result: metrics.registry.get_sample_value("headrace_notifications_total", {"result": result})
        for result in ("registered", "ignored", "test", "malformed")
    }
    assert counted == {"registered": len(HOURS), "ignored": 1, "test": 1, "malformed": 1}


async def test_a_burst_is_taken_together_and_deleted(place: Place) -> None:
    queue = SqsQueue(place.sqs, place.queue_url)
    for n in range(25):
        await place.sqs.send_message(QueueUrl=place.queue_url, MessageBody=str(n))
    received: list[Message] = []
    while len(received) < 26:  # and the test event
        received += await queue.receive()
    assert {message.body for message in received} > {str(n) for n in range(25)}
    await queue.delete([*received, Message(body="", receipt="no such receipt")])
    assert await place.drained()


async def test_a_stop_does_not_wait_for_the_long_poll(place: Place) -> None:
    await place.sqs.purge_queue(QueueUrl=place.queue_url)
    shutdown, health = Shutdown(5.0), Health()
    partitioner = Partitioner(
        queue=SqsQueue(place.sqs, place.queue_url), catalog=MemoryCatalog(), metrics=Metrics(), clock=SystemClock()
    )
    running = asyncio.create_task(partitioner.run(shutdown, health))

    async def ready() -> bool:
        return not await health.problems()

    await until(ready)
    started = time.monotonic()
    shutdown.request()
    await running
    assert time.monotonic() - started < 2.0


async def test_a_missing_queue_is_told_at_once(aws_environment: str) -> None:
    async with AwsSession("us-east-1") as aws:
        with pytest.raises(NotFoundError):
            await SqsQueue.named(await aws.client("sqs"), "no-such-queue")


async def test_without_athena_the_service_lives_is_not_ready_and_still_stops_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", "http://127.0.0.1:9")
    context = context_of(place, "nowhere")
    running = asyncio.create_task(main(context))
    await asyncio.wait({running}, timeout=0.5)
    assert not running.done()
    assert await context.health.problems() == {"start": "not finished"}
    started = time.monotonic()
    context.shutdown.request()
    await running
    assert time.monotonic() - started < 2.0


async def test_the_service_makes_objects_queryable_through_athena(place: Place, athena_environment: str) -> None:
    """The whole service as it is wired: an object is registered and Athena shows its partition; readiness is green."""
    database = f"it_{uuid4().hex}"
    context = context_of(place, database)
    settings = context.settings
    async with AwsSession("us-east-1") as aws:
        athena = AthenaClient(
            await aws.client("athena"),
            clock=SystemClock(),
            workgroup=settings.workgroup,
            output=settings.athena_output_url,
        )

        async def ready() -> bool:
            return not await context.health.problems()

        async def visible() -> bool:
            shown = await athena.query(f"SHOW PARTITIONS `{database}`.`events`")
            return [row[0] for row in shown.rows] == [HOURS[0].path]

        async with asyncio.TaskGroup() as group:
            group.create_task(main(context))
            await until(ready)
            await place.put(event_object(HOURS[0], "4f1c", "shardId-000000000000", 1, 0))
            await until(visible)
            await until(place.drained)
            context.shutdown.request()
