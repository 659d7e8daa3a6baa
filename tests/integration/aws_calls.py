"""Every AWS call of the product, each as a step that can be made again: refusals, too."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from headrace.aws.faults import aws_errors
from headrace.aws.session import AwsSession
from headrace.aws.sns import SnsPublisher
from headrace.catalog.athena import AthenaClient
from headrace.clock import SystemClock
from headrace.counters.dynamodb import DynamoCounterReader, DynamoCounterWriter
from headrace.counters.ports import CountKey, Counts, Entity, Metric, Window
from headrace.errors import RetryableError
from headrace.lake.ports import StagedObject
from headrace.lake.s3 import S3Store
from headrace.lake.s3_remover import S3Remover
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import Intent, Lease, LeaseKey, Ledger
from headrace.settings import Settings
from headrace.state.dynamodb import DynamoStateStore
from headrace.stream.kinesis.client import KinesisClient
from headrace.stream.kinesis.producer import KinesisProducer
from headrace.stream.kinesis.reader import KinesisReader
from headrace.stream.ports import AfterSequence, Entry, SequenceNumber, ShardId, TrimHorizon
from headrace.telemetry.metrics import Metrics
from services.partitioner.queue import Message, SqsQueue
from tests.harness.proxy import FaultProxy

NOW = 1_775_721_600.0

Step = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The local cloud behind the proxy, and clients of it."""

    proxy: FaultProxy
    settings: Settings
    aws: AwsSession
    kinesis: KinesisClient

    def fresh(self) -> str:
        return uuid.uuid4().hex[:12]

    async def store(self, *, bucket: str = "", page_keys: int = 1000) -> S3Store:
        return S3Store(await self.aws.client("s3"), bucket or self.settings.bucket, page_keys=page_keys)

    async def remover(self, *, bucket: str = "") -> S3Remover:
        return S3Remover(await self.aws.client("s3"), bucket or self.settings.bucket)

    async def staged(self, key: str) -> StagedObject:
        return await (await self.store()).stage(key, b"body")

    async def state(self, table: str = "") -> DynamoStateStore:
        return DynamoStateStore(await self.aws.client("dynamodb"), table or self.settings.state_table)

    async def leases(self) -> DynamoLeaseStore:
        return DynamoLeaseStore(await self.aws.client("dynamodb"), self.settings.control_table)

    async def held(self) -> tuple[DynamoLeaseStore, Lease]:
        leases, row = await self.leases(), Lease(key=LeaseKey(f"stream:{self.fresh()}"))
        await leases.create([row])
        return leases, await leases.take(row, "worker")

    def producer(self, stream: str = "") -> KinesisProducer:
        return KinesisProducer(
            stream or self.settings.stream_name,
            client=self.kinesis, metrics=Metrics(), clock=SystemClock(), attempts=1,
        )  # fmt: skip

    async def reader(self, stream: str = "") -> KinesisReader:
        return KinesisReader(
            stream or self.settings.stream_name,
            client=self.kinesis, control=await self.aws.client("kinesis"), clock=SystemClock(),
        )  # fmt: skip

    async def queue(self, name: str = "") -> SqsQueue:
        return SqsQueue(await self.aws.client("sqs"), name or self.settings.partition_queue)

    async def athena(self, workgroup: str = "headrace") -> AthenaClient:
        output = f"s3://{self.settings.bucket}/athena_output/"
        return AthenaClient(await self.aws.client("athena"), clock=SystemClock(), workgroup=workgroup, output=output)


Case = Callable[[World], Awaitable[Step]]
"""What comes before, undisturbed; then what is disturbed, and what it makes."""


async def put_object(world: World) -> Step:
    store, key = await world.store(), world.fresh()

    async def step() -> object:
        with suppress(RetryableError):
            await store.put(key, b"body")
        return await store.get(key)

    return step


async def stage(world: World) -> Step:
    store = await world.store()
    return lambda: _then(store.stage(world.fresh(), b"body"), lambda staged: (staged.size, len(staged.etags)))


async def complete(world: World) -> Step:
    store, staged = await world.store(), await world.staged(world.fresh())
    return lambda: store.complete(staged)


async def complete_beside_another(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    first, second = await world.staged(key), await world.staged(key)
    await store.complete(first)
    return lambda: store.complete(second)


async def complete_what_is_unknown(world: World) -> Step:
    store, staged = await world.store(), await world.staged(world.fresh())
    return lambda: store.complete(replace(staged, upload_id="none"))


async def copy_object(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    await store.put(key, b"body")

    async def step() -> object:
        with suppress(RetryableError):
            await store.copy(key, f"{key}/copy")
        return await store.get(f"{key}/copy")

    return step


async def copy_no_object(world: World) -> Step:
    store = await world.store()
    return lambda: store.copy("none", "copy")


async def delete_objects(world: World) -> Step:
    store, remover, key = await world.store(), await world.remover(), world.fresh()
    await store.put(key, b"body")

    async def step() -> object:
        with suppress(RetryableError):
            await remover.delete([key, "none"])
        return await store.head(key)

    return step


async def delete_from_no_bucket(world: World) -> Step:
    remover = await world.remover(bucket="no-such-bucket")
    return lambda: remover.delete(["none"])


async def get_object(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    await store.put(key, b"body" * 10)
    return lambda: store.get(key)


async def get_no_object(world: World) -> Step:
    store = await world.store()
    return lambda: store.get("none")


async def head(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    await store.put(key, b"body")
    return lambda: _then(store.head(key), lambda found: found and found.size)


async def tail(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    await store.put(key, b"0123456789")
    return lambda: _then(store.tail(key, 8), lambda found: found and (found.body, found.info.size))


async def tail_of_little(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    await store.put(key, b"0123")
    return lambda: _then(store.tail(key, 8), lambda found: found and (found.body, found.info.size))


async def tail_of_nothing(world: World) -> Step:
    store, key = await world.store(), world.fresh()
    await store.put(key, b"")
    return lambda: _then(store.tail(key, 8), lambda found: found and (found.body, found.info.size))


async def list_objects(world: World) -> Step:
    store, folder = await world.store(page_keys=2), world.fresh()
    for n in range(3):
        await store.put(f"{folder}/{n}/x", b"x" * n)

    async def step() -> object:
        sizes = [each.size async for each in store.list(f"{folder}/")]
        return sizes, len([each async for each in store.prefixes(f"{folder}/")])

    return step


async def list_no_bucket(world: World) -> Step:
    store = await world.store(bucket="no-such-bucket")
    return lambda: _collect(store.list(""))


async def put_document(world: World) -> Step:
    state, key = await world.state(), world.fresh()
    return lambda: state.put(key, {"a": 1}, expected=0)


async def put_document_that_has_changed(world: World) -> Step:
    state, key = await world.state(), world.fresh()
    await state.put(key, {"a": 1}, expected=0)
    return lambda: state.put(key, {"a": 2}, expected=0)


async def get_document(world: World) -> Step:
    state, key = await world.state(), world.fresh()
    await state.put(key, {"a": "é"}, expected=0)
    return lambda: state.get(key)


async def list_documents(world: World) -> Step:
    state, prefix = await world.state(), world.fresh()
    await state.put(f"{prefix}-1", {}, expected=0)
    return lambda: _then(state.list(prefix), len)


async def get_from_no_table(world: World) -> Step:
    state = await world.state("none")
    return lambda: state.get("key")


async def take(world: World) -> Step:
    leases, row = await world.leases(), Lease(key=LeaseKey(f"stream:{world.fresh()}"))
    await leases.create([row])
    return lambda: _then(leases.take(row, "worker"), lambda lease: (lease.owner, lease.epoch))


async def renew_what_is_lost(world: World) -> Step:
    leases, held = await world.held()
    await leases.take(held, "thief")
    return lambda: leases.renew(held)


async def a_batch(world: World) -> Step:
    leases, held = await world.held()

    async def step() -> object:
        declared = await leases.declare(held, Intent(batch_no=held.batch_no, manifest="m", sha256="0"))
        committed = await leases.commit(
            declared, checkpoint="1", ledger=Ledger(), complete_through=NOW, caught_up_at=None
        )
        await leases.release(committed)
        row = await leases.get(held.key)
        return row and (row.checkpoint, row.batch_no, row.owner), len(await leases.list(held.key))

    return step


async def count(world: World) -> Step:
    client, origin = await world.aws.client("dynamodb"), world.fresh()
    writer = DynamoCounterWriter(client, world.settings.counters_table)
    reader = DynamoCounterReader(client, world.settings.counters_table)
    deltas = {CountKey(Entity.PRODUCT, origin, int(NOW // 60)): Counts(views=5)}

    async def step() -> object:
        for _ in range(2):
            with suppress(RetryableError):
                await writer.apply(origin, 1, deltas, now=NOW, ledger={"read": 5})
        await writer.apply(origin, 1, deltas, now=NOW, ledger={"read": 5})
        top = await reader.top(Metric.VIEWS, Window.ALL, limit=1, now=NOW)
        return await reader.counts(Entity.PRODUCT, origin, Window.ALL, now=NOW), [item.value for item in top.items]

    return step


async def put_records(world: World) -> Step:
    return lambda: world.producer().put([Entry(b"1", "a"), Entry(b"2", "b")])


async def put_records_nowhere(world: World) -> Step:
    return lambda: world.producer("none").put([Entry(b"1", "a")])


async def read(world: World) -> Step:
    await world.producer().put([Entry(b"1", "a")])
    reader = await world.reader()
    [shard] = await reader.shards()
    return lambda: _then(
        reader.open(shard.shard_id, TrimHorizon()).read(), lambda page: (bool(page.records), page.ended)
    )


async def read_on_from_what_never_was(world: World) -> Step:
    reader = await world.reader()
    return lambda: reader.open(ShardId("shardId-000000000009"), AfterSequence(SequenceNumber("1"))).read()


async def describe(world: World) -> Step:
    reader = await world.reader()

    async def step() -> object:
        return await reader.info(), await reader.shards()

    return step


async def describe_no_stream(world: World) -> Step:
    return (await world.reader("none")).info


async def receive(world: World) -> Step:
    sqs = await world.aws.client("sqs")
    name = world.fresh()
    url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    await sqs.send_message(QueueUrl=url, MessageBody="é")
    messages = await world.queue(name)
    return lambda: _then(messages.receive(), lambda found: [each.body for each in found])


async def give_back(world: World) -> Step:
    name = world.fresh()
    sqs = await world.aws.client("sqs")
    url = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    await sqs.send_message(QueueUrl=url, MessageBody="x")
    messages = await world.queue(name)
    received = await messages.receive()

    async def step() -> object:
        await messages.check()
        await messages.postpone(received, lambda _: 0)
        await messages.delete(received)
        return await messages.delete([Message(body="", receipt="none")])

    return step


async def receive_from_no_queue(world: World) -> Step:
    return (await world.queue("none")).receive


async def publish(world: World) -> Step:
    sns = await world.aws.client("sns")
    topic = (await sns.create_topic(Name=world.fresh()))["TopicArn"]
    return lambda: SnsPublisher(sns, topic).publish("subject", "message")


async def publish_nowhere(world: World) -> Step:
    sns = await world.aws.client("sns")
    return lambda: SnsPublisher(sns, "arn:aws:sns:us-east-1:000000000000:none").publish("subject", "message")


async def query(world: World) -> Step:
    athena = await world.athena()
    return lambda: _then(athena.query("SELECT 1 AS n"), lambda result: result.rows)


async def query_nonsense(world: World) -> Step:
    athena = await world.athena()
    return lambda: athena.query("SELEKT 1")


async def check_no_workgroup(world: World) -> Step:
    return (await world.athena("none")).check


async def partitions_of_no_table(world: World) -> Step:
    glue = await world.aws.client("glue")

    async def step() -> object:
        with aws_errors():
            return await glue.get_partitions(DatabaseName="none", TableName="none")

    return step


CASES: list[Case] = [
    put_object, stage, complete, complete_beside_another, complete_what_is_unknown, get_object, get_no_object, head,
    tail, tail_of_little, tail_of_nothing, list_objects, list_no_bucket,
    copy_object, copy_no_object, delete_objects, delete_from_no_bucket,
    put_document, put_document_that_has_changed, get_document, list_documents, get_from_no_table,
    take, renew_what_is_lost, a_batch, count,
    put_records, put_records_nowhere, read, read_on_from_what_never_was, describe, describe_no_stream,
    receive, give_back, receive_from_no_queue, publish, publish_nowhere,
    query, query_nonsense, check_no_workgroup, partitions_of_no_table,
]  # fmt: skip


async def _then(made: Awaitable[Any], told: Callable[[Any], object]) -> object:
    return told(await made)


async def _collect(items: AsyncIterator[object]) -> list[object]:
    return [item async for item in items]
