"""The same stream on the local cloud, consumed by Headrace, by boto3 and by async-kinesis.

Only the CPU of this process counts: the emulator is another one.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator, Sequence

import boto3
import kinesis
from kinesis.processors import JsonProcessor, StringProcessor

from bench import per_record
from bench.headrace_path import land
from deploy.local.emulator import CREDENTIALS, Emulator
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.settings import Settings, load
from headrace.stream.connect import open_producer, open_reader
from headrace.stream.ports import Entry, ShardId, TrimHorizon
from headrace.telemetry.metrics import Metrics

STREAM = "bench"
SHARD = ShardId("shardId-000000000000")
_OUT = "bench-out"

logging.getLogger("kinesis").setLevel(logging.CRITICAL)  # it warns of limits that it was told to lift


@contextlib.contextmanager
def local_stream(payloads: Sequence[bytes]) -> Iterator[str]:
    """A stream of one shard that holds the payloads. Yields the endpoint; the SDK of this process points at it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    emulator = Emulator(port)
    os.environ |= {**CREDENTIALS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": emulator.url}
    with asyncio.Runner() as runner:
        runner.run(emulator.start())
        try:
            runner.run(_fill(payloads))
            yield emulator.url
        finally:
            runner.run(emulator.stop())


async def consume_headrace(count: int) -> None:
    """GetRecords to Parquet bytes."""
    clock, metrics = SystemClock(), Metrics()
    async with AwsSession("us-east-1") as aws, open_reader(_settings(), aws, metrics, clock) as stream:
        reader = stream.open(SHARD, TrimHorizon())
        payloads: list[bytes] = []
        while len(payloads) < count:
            payloads += [record.data for record in (await reader.read()).records]
    land(payloads)


def consume_per_record(count: int) -> None:
    """GetRecords to Parquet bytes, as it is usually written."""
    client = boto3.client("kinesis", region_name="us-east-1")
    iterator = client.get_shard_iterator(StreamName=STREAM, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    position, payloads = iterator["ShardIterator"], list[bytes]()
    while len(payloads) < count:
        answer = client.get_records(ShardIterator=position, Limit=10_000)
        payloads += [record["Data"] for record in answer["Records"]]
        position = answer["NextShardIterator"]
    per_record.to_parquet(payloads)


async def consume_async_kinesis(count: int, endpoint: str) -> None:
    """GetRecords to payloads: the library ends there, so that it does less than the other two."""
    seen = 0
    async with kinesis.Consumer(
        STREAM,
        endpoint_url=endpoint,
        region_name="us-east-1",
        processor=StringProcessor(),
        shard_fetch_rate=5,
        max_queue_size=count,
    ) as consumer:
        while seen < count:
            async for _ in consumer:
                seen += 1
                if seen == count:
                    return


async def put_async_kinesis(events: Sequence[object], endpoint: str) -> None:
    """Events to PutRecords, its rate limits lifted."""
    async with kinesis.Producer(
        _OUT,
        endpoint_url=endpoint,
        region_name="us-east-1",
        processor=JsonProcessor(),
        put_rate_limit_per_shard=10_000_000,
        put_bandwidth_limit_per_shard=10_000_000,
        max_queue_size=len(events),
    ) as producer:
        for event in events:
            await producer.put(event)
        await producer.flush()


async def _fill(payloads: Sequence[bytes]) -> None:
    clock, metrics = SystemClock(), Metrics()
    async with AwsSession("us-east-1") as aws, open_producer(_settings(), aws, metrics, clock) as producer:
        control = await aws.client("kinesis")
        for name in (STREAM, _OUT):
            await control.create_stream(StreamName=name, ShardCount=1)
            await control.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        await producer.put([Entry(payload, str(n)) for n, payload in enumerate(payloads)])


def _settings() -> Settings:
    return load(stream=f"kinesis://{STREAM}")
