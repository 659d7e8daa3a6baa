"""Streams for the contract suite, in memory and on engines, and what its tests read from them."""

import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from headrace.aws.session import AwsSession
from headrace.clock import Clock, ManualClock, SystemClock
from headrace.stream.kinesis.client import open_client
from headrace.stream.kinesis.producer import KinesisProducer
from headrace.stream.kinesis.reader import KinesisReader
from headrace.stream.memory import UNLIMITED, Limits, MemoryStream
from headrace.stream.ports import (
    Entry,
    Page,
    Placer,
    Position,
    Record,
    Shard,
    ShardId,
    ShardReader,
    StreamReader,
    TrimHorizon,
)
from headrace.telemetry.metrics import Metrics
from tests.contract.engines import Gap, Port, fixtures

SHARDS = 4
MEMORY = ["memory", "memory with limits"]


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of four shards, seen from both sides. `paged` reads it in pages of so many records."""

    name: str
    producer: Placer
    paged: Callable[[int], StreamReader]
    split: Callable[[Shard], Awaitable[None]]
    """In the middle of the shard's hash range."""
    merge: Callable[[Shard, Shard], Awaitable[None]]
    resize: Callable[[int], Awaitable[None]]
    """To so many open shards, by splits and merges: at most twice as many, at least half."""

    @property
    def reader(self) -> StreamReader:
        return self.paged(10_000)


class ShortPages:
    """A client of the control plane whose lists of shards have many pages."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def list_shards(self, **request: str) -> Any:
        return await self._client.list_shards(MaxResults=3, **request)

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)


class TickingClock(ManualClock):
    """Moves a little with whatever anybody does, as real time would."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(max(seconds, 0.001))


async def make_kinesis_stream(aws: AwsSession) -> str:
    name = f"contract-{uuid4().hex}"
    kinesis = await aws.client("kinesis")
    await kinesis.create_stream(StreamName=name, ShardCount=SHARDS)
    await until_active(kinesis, name)
    return name


async def until_active(kinesis: Any, name: str) -> None:
    await kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})


def memory_stream(clock: Clock, limits: Limits) -> Stream:
    memory = MemoryStream(clock, shards=SHARDS, name="contract", limits=limits)

    def paged(records: int) -> StreamReader:
        memory.page_records = records
        return memory

    async def split(shard: Shard) -> None:
        memory.split(shard.shard_id)

    async def merge(left: Shard, right: Shard) -> None:
        memory.merge(left.shard_id, right.shard_id)

    async def resize(count: int) -> None:
        while (wanted := count - len(opened := [one for one in await memory.shards() if not one.closed])) != 0:
            low, high, *_ = sorted(opened, key=lambda one: one.hash_range)
            await (split(low) if wanted > 0 else merge(low, high))

    return Stream("contract", memory, paged, split, merge, resize)


@contextlib.asynccontextmanager
async def kinesis_stream() -> AsyncIterator[Stream]:
    async with AwsSession("us-east-1") as aws, open_client(aws, Metrics()) as client:
        name = await make_kinesis_stream(aws)
        control = await aws.client("kinesis")
        if fixtures(Port.STREAM, Gap.NAMES_AGAIN):
            control = ShortPages(control)
        clock = ManualClock()  # pacing is told in the unit tests; here it takes no time

        async def split(shard: Shard) -> None:
            middle = sum(shard.hash_range) // 2 + 1
            await control.split_shard(StreamName=name, ShardToSplit=shard.shard_id, NewStartingHashKey=str(middle))
            await until_active(control, name)

        async def merge(left: Shard, right: Shard) -> None:
            await control.merge_shards(StreamName=name, ShardToMerge=left.shard_id, AdjacentShardToMerge=right.shard_id)
            await until_active(control, name)

        async def resize(count: int) -> None:
            await control.update_shard_count(StreamName=name, TargetShardCount=count, ScalingType="UNIFORM_SCALING")
            await until_active(control, name)

        yield Stream(
            name,
            KinesisProducer(name, client=client, metrics=Metrics(), clock=clock),
            lambda records: KinesisReader(name, client=client, control=control, clock=clock, page_records=records),
            split,
            merge,
            resize,
        )


def streams_without(*gaps: Gap) -> pytest.MarkDecorator:
    """Run a test on the streams in memory, and on the engine unless it has one of these gaps."""
    return pytest.mark.parametrize("stream", [*MEMORY, *fixtures(Port.STREAM, *gaps)], indirect=True)


@contextlib.asynccontextmanager
async def open_stream(request: pytest.FixtureRequest) -> AsyncIterator[Stream]:
    if request.param == "memory":
        yield memory_stream(SystemClock(), UNLIMITED)
    elif request.param == "memory with limits":
        yield memory_stream(TickingClock(time.time()), Limits())
    else:
        request.getfixturevalue(request.param)
        async with kinesis_stream() as stream:
            yield stream


async def to_tip(reader: ShardReader) -> list[Page]:
    """Pages up to the first one that is empty and says that nothing is behind it."""
    pages = [await reader.read()]
    while pages[-1].records or pages[-1].behind_seconds:
        pages.append(await reader.read())
    return pages


async def to_end(
    stream: Stream, shard_id: ShardId, position: Position | None = None, *, page_records: int = 10_000
) -> list[Record]:
    """What a closed shard holds from there on."""
    reader = stream.paged(page_records).open(shard_id, position or TrimHorizon())
    pages = [await reader.read()]
    while not pages[-1].ended:
        assert len(pages) < 100
        pages.append(await reader.read())
    return records_of(pages)


def covers(shard: Shard, record: Record) -> bool:
    hash_key = int.from_bytes(hashlib.md5(record.partition_key.encode()).digest())
    return shard.hash_range[0] <= hash_key <= shard.hash_range[1]


def records_of(pages: list[Page]) -> list[Record]:
    return [record for page in pages for record in page.records]


async def read(stream: Stream, shard_id: ShardId, position: Position, *, page_records: int = 10_000) -> list[Record]:
    return records_of(await to_tip(stream.paged(page_records).open(shard_id, position)))


async def read_all(stream: Stream) -> dict[ShardId, list[Record]]:
    return {shard.shard_id: await read(stream, shard.shard_id, TrimHorizon()) for shard in await stream.reader.shards()}


async def fill_one_shard(stream: Stream, count: int) -> tuple[ShardId, list[Record]]:
    """Put `count` records of one partition key → their shard and what it holds, as read in one page."""
    await stream.producer.put([Entry(str(n).encode(), "one key") for n in range(count)])
    [(shard_id, records)] = [(shard, found) for shard, found in (await read_all(stream)).items() if found]
    assert [record.data for record in records] == [str(n).encode() for n in range(count)]
    return shard_id, records
