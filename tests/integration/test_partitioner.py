"""Objects on S3 → notifications on SQS → partitions, with real queues and buckets of the emulator."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy.local.resources import redrive
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaCatalog, AthenaClient
from headrace.catalog.ddl import EventsTable
from headrace.catalog.memory import MemoryCatalog
from headrace.catalog.ports import Catalog
from headrace.clock import SystemClock
from headrace.errors import NotFoundError, RequestError
from headrace.events.arrow import EVENT_SCHEMA
from headrace.events.schema import COLUMNS, Kind
from headrace.lake.layout import HourPartition, event_object
from headrace.lake.parquet import encode
from headrace.lake.s3 import S3Store
from headrace.runtime import Context, Shutdown
from headrace.settings import load
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.partitioner.app import main
from services.partitioner.partitioner import Partitioner
from services.partitioner.queue import Message, SqsQueue
from services.partitioner.registrar import Registrar

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

    async def put(self, key: str, body: bytes = b"") -> None:
        await self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    async def drained(self) -> bool:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)
        return all(int(answer["Attributes"][name]) == 0 for name in names)

    def partitioner(self, catalog: Catalog, metrics: Metrics, health: Health) -> Partitioner:
        clock = SystemClock()
        return Partitioner(
            queue=SqsQueue(self.sqs, self.queue_name),
            registrar=Registrar(catalog=catalog, metrics=metrics, health=health, clock=clock),
            store=S3Store(self.s3, self.bucket),
            metrics=metrics,
            health=health,
            clock=clock,
            sweep_seconds=3600.0,
        )


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
    catalog, metrics, shutdown = MemoryCatalog(), Metrics(), Shutdown(5.0)
    await place.put(event_object(HOURS[0], "4f1c", "shardId-000000000000", 0, 0))
    await place.sqs.purge_queue(QueueUrl=place.queue_url)  # its notification is lost: only the sweep can find it

    async with asyncio.TaskGroup() as group:
        group.create_task(place.partitioner(catalog, metrics, Health()).run(shutdown))

        async def swept() -> bool:
            return metrics.registry.get_sample_value("headrace_sweeps_total", {"result": "done"}) == 1

        await until(swept)
        for n, hour in enumerate(HOURS[1:]):
            await place.put(event_object(hour, "4f1c", "shardId-000000000000", n, 0))
        await place.put("athena_output/a b+c.csv")
        await place.put("events/year=..%2F/month=04/day=09/hour=00/x y+z.parquet")
        await until(place.drained)
        shutdown.request()

    assert await catalog.partitions() == set(HOURS)
    assert metrics.registry.get_sample_value("headrace_partitions_swept_total") == 1
    counted = {
        result: metrics.registry.get_sample_value("headrace_notifications_total", {"result": result})
        for result in ("registered", "ignored", "invalid", "malformed")
    }
    assert counted == {"registered": len(HOURS) - 1, "ignored": 1, "invalid": 1, "malformed": None}


async def test_a_failed_message_comes_again_when_it_was_put_off_to_and_ends_in_the_dead_letter_queue(
    place: Place,
) -> None:
    dead_url = (await place.sqs.create_queue(QueueName=f"{place.queue_name}-dead"))["QueueUrl"]
    found = await place.sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])
    await place.sqs.set_queue_attributes(QueueUrl=place.queue_url, Attributes=redrive(found["Attributes"]["QueueArn"]))
    await place.sqs.purge_queue(QueueUrl=place.queue_url)
    await place.sqs.send_message(QueueUrl=place.queue_url, MessageBody="{not json")
    queue = SqsQueue(place.sqs, place.queue_name)
    receives = []
    for _ in range(5):
        [message] = await queue.receive()
        receives.append(message.receives)
        await queue.postpone([message], lambda _: 0)
    assert receives == [1, 2, 3, 4, 5]

    assert "Messages" not in await place.sqs.receive_message(QueueUrl=place.queue_url)
    answer = await place.sqs.receive_message(QueueUrl=dead_url, WaitTimeSeconds=1)
    assert [message["Body"] for message in answer["Messages"]] == ["{not json"]


async def test_a_burst_is_taken_together_and_deleted(place: Place) -> None:
    queue = SqsQueue(place.sqs, place.queue_name)
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
    partitioner = place.partitioner(MemoryCatalog(), Metrics(), health)
    running = asyncio.create_task(partitioner.run(shutdown))

    async def ready() -> bool:
        return not await health.problems()

    await until(ready)
    started = time.monotonic()
    shutdown.request()
    await running
    assert time.monotonic() - started < 2.0


async def test_without_its_queue_the_service_lives_is_not_ready_and_stops_at_once(
    place: Place, athena_environment: str
) -> None:
    async with AwsSession("us-east-1") as aws:
        with pytest.raises(NotFoundError):
            await SqsQueue(await aws.client("sqs"), "no-such-queue").receive()
    await place.sqs.delete_queue(QueueUrl=place.queue_url)
    context = context_of(place, f"it_{uuid4().hex}")
    await lives_unready_and_stops(context, {"queue": "NotFoundError"})


async def test_without_athena_the_service_lives_is_not_ready_and_still_stops_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", "http://127.0.0.1:9")
    context = context_of(place, "nowhere")
    await lives_unready_and_stops(context, {"athena": "UnavailableError", "table": "UnavailableError"})


async def test_a_table_with_another_type_is_told_and_left_alone(place: Place, athena_environment: str) -> None:
    context = context_of(place, f"it_{uuid4().hex}")
    columns = [column._replace(kind=Kind.STRING) if column.name == "price" else column for column in COLUMNS]
    async with AwsSession("us-east-1") as aws:
        odd = AthenaCatalog(
            await athena_of(aws, context),
            EventsTable(database=context.settings.database, name="events", bucket=place.bucket, columns=columns),
        )
        await odd.ensure_table()
        await lives_unready_and_stops(context, {"table": "ConfigError"})
        assert (await odd.columns())["price"] == "string"


async def lives_unready_and_stops(context: Context, problems: dict[str, str]) -> None:
    running = asyncio.create_task(main(context))

    async def told() -> bool:
        return dict(await context.health.problems()) == problems

    await until(told)
    assert not running.done()
    assert context.health.alive
    started = time.monotonic()
    context.shutdown.request()
    await running
    assert time.monotonic() - started < 2.0


async def test_a_table_of_an_older_schema_grows_and_its_old_files_read_as_null(
    place: Place, athena_environment: str
) -> None:
    context = context_of(place, f"it_{uuid4().hex}")
    older = EventsTable(
        database=context.settings.database, name="events", bucket=place.bucket,
        columns=[column for column in COLUMNS if column.name not in {"city", "rating"}],
    )  # fmt: skip
    names = [column.name for column in older.columns]
    old = pa.Table.from_pylist([{"event_type": "old"}], schema=pa.schema([EVENT_SCHEMA.field(name) for name in names]))
    new = pa.Table.from_pylist([{"event_type": "new", "city": "Graz", "rating": 4.5}], schema=EVENT_SCHEMA)
    async with AwsSession("us-east-1") as aws:
        athena = await athena_of(aws, context)
        catalog = AthenaCatalog(athena, older)
        await catalog.ensure_table()
        await place.put(event_object(HOURS[0], "4f1c", "shardId-0", 1, 0), encode_as_is(old))
        await catalog.add_partitions([HOURS[0]])
        ask = f"SELECT event_type, city, rating FROM {context.settings.database}.events ORDER BY 1"
        with pytest.raises(RequestError, match="city"):
            await athena.query(ask)

        async def visible() -> bool:
            return await catalog.partitions() == set(HOURS[:2])

        async with asyncio.TaskGroup() as group:
            group.create_task(main(context))
            await place.put(event_object(HOURS[1], "4f1c", "shardId-0", 2, 0), encode(new))
            await until(visible)
            context.shutdown.request()
        assert (await athena.query(ask)).rows == [("new", "Graz", 4.5), ("old", None, None)]
        shown = list(await catalog.columns())
        assert shown == [*names, "city", "rating", "year", "month", "day", "hour"]


def encode_as_is(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", store_schema=False)
    return bytes(sink.getvalue())


async def athena_of(aws: AwsSession, context: Context) -> AthenaClient:
    settings = context.settings
    return AthenaClient(
        await aws.client("athena"), clock=SystemClock(), workgroup=settings.workgroup, output=settings.athena_output_url
    )


async def test_the_service_makes_objects_queryable_through_athena(place: Place, athena_environment: str) -> None:
    """The whole service as it is wired: an object is registered and Athena shows its partition; readiness is green."""
    database = f"it_{uuid4().hex}"
    context = context_of(place, database)
    async with AwsSession("us-east-1") as aws:
        athena = await athena_of(aws, context)

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
