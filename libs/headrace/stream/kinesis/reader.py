"""Reading records from Kinesis."""

import random
from collections.abc import Sequence
from typing import Any

from headrace.aws.retry import full_jitter
from headrace.clock import Clock
from headrace.errors import NotFoundError, RequestError, ThrottledError, UnavailableError
from headrace.stream.kinesis import shards, wire
from headrace.stream.kinesis.client import KinesisClient, Operation
from headrace.stream.ports import (
    AfterSequence,
    AtSequence,
    AtTimestamp,
    Latest,
    Page,
    Position,
    Record,
    SequenceNumber,
    Shard,
    ShardId,
    ShardReader,
    StreamInfo,
)
from headrace.telemetry.log import get_logger

ATTEMPTS = 6
"""Calls without an answer in a row before `read` gives up."""
MIN_INTERVAL_SECONDS = 0.2
"""Between calls on one shard: Kinesis allows five GetRecords a second, shared by all who read it."""
IDLE_SECONDS = 1.0
PAGE_RECORDS = 2_500
"""Asked for at once. Kinesis would give 10,000, up to 10 MiB, but an answer takes three times its size while it is
read, and many shards are read at a time. Five calls a second of 2,500 are twelve times what a shard takes in."""


class KinesisReader:
    """`StreamReader` for one stream, given by name or ARN. `control` is aiobotocore's Kinesis client."""

    def __init__(
        self,
        stream: str,
        *,
        client: KinesisClient,
        control: Any,
        clock: Clock,
        idle_seconds: float = IDLE_SECONDS,
        page_records: int = PAGE_RECORDS,
    ) -> None:
        self._stream = stream
        self._client = client
        self._control = control
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._page_records = page_records

    async def info(self) -> StreamInfo:
        """See `StreamReader.info`."""
        return await shards.describe(self._control, self._stream)

    async def shards(self) -> list[Shard]:
        """See `StreamReader.shards`."""
        return await shards.list_shards(self._control, self._stream)

    def open(self, shard_id: ShardId, position: Position) -> ShardReader:
        """See `StreamReader.open`."""
        return KinesisShardReader(
            self._stream,
            shard_id,
            position,
            client=self._client,
            clock=self._clock,
            idle_seconds=self._idle_seconds,
            page_records=self._page_records,
        )


class KinesisShardReader:
    """`ShardReader` for one shard. A `read` may be cancelled: the next one returns the same page.

    At the tip of the shard it polls once per `idle_seconds`; behind it, at once, but never more than five times a
    second. Throttling is waited out for as long as it lasts. A sequence number that Kinesis refuses to start after (it
    was trimmed away, or is of another shard) raises `NotFoundError`.

    `Latest` means from the first `read` on. Until a record has been returned, a lost iterator is replaced by one that
    starts at the moment the first was asked for, by our wall clock: as far as that is ahead of Kinesis' own, what
    arrived in between is missed.
    """

    def __init__(
        self,
        stream: str,
        shard_id: ShardId,
        position: Position,
        *,
        client: KinesisClient,
        clock: Clock,
        idle_seconds: float = IDLE_SECONDS,
        page_records: int = PAGE_RECORDS,
    ) -> None:
        self._stream = stream
        self._shard_id = shard_id
        self._position = position
        self._client = client
        self._clock = clock
        self._idle_seconds = max(idle_seconds, MIN_INTERVAL_SECONDS)
        self._page_records = page_records
        self._iterator: str | None = None
        self._ended = False
        self._next_call = clock.monotonic()

    async def read(self) -> Page:
        """See `ShardReader.read`."""
        throttled = failed = 0
        while not self._ended:
            await self._wait_for_turn()
            try:
                return self._page(await self._fetch())
            except ThrottledError as error:
                throttled += 1
                await self._back_off(throttled, error, self._called)
            except UnavailableError as error:
                called = self._called
                if isinstance(error, wire.ExpiredIteratorError):
                    self._iterator = None
                failed += 1
                if failed == ATTEMPTS:
                    raise
                await self._back_off(failed, error, called)
        return Page(records=(), behind_seconds=0.0, ended=True)

    async def _wait_for_turn(self) -> None:
        wait = self._next_call - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)
        self._next_call = self._clock.monotonic() + MIN_INTERVAL_SECONDS

    async def _fetch(self) -> wire.GetRecordsAnswer:
        if self._iterator is None:
            self._iterator = await self._open_iterator()
        body = wire.encode_get_records(self._iterator, self._page_records)
        return wire.decode_get_records(await self._client.call(Operation.GET_RECORDS, body))

    async def _open_iterator(self) -> str:
        asked_at = self._clock.now()
        body = wire.encode_get_shard_iterator(self._stream, self._shard_id, self._position)
        try:
            answer = await self._client.call(Operation.GET_SHARD_ITERATOR, body)
        except RequestError as error:
            if isinstance(self._position, AtSequence | AfterSequence):
                raise NotFoundError(f"{self._shard_id} cannot be read on from {self._position}: {error}") from error
            raise
        iterator = wire.decode_shard_iterator(answer)
        if isinstance(self._position, Latest):
            self._position = AtTimestamp(asked_at)
        return iterator

    def _page(self, answer: wire.GetRecordsAnswer) -> Page:
        """Move on past an answer. Nothing is awaited here, so a page is either returned or read again."""
        records: Sequence[Record] = answer.records
        behind_seconds = (answer.millis_behind_latest or 0) / 1000
        if records:
            self._position = AfterSequence(SequenceNumber(records[-1].sequence_number))
        self._iterator = answer.next_shard_iterator
        self._ended = self._iterator is None
        if behind_seconds == 0:
            self._next_call += self._idle_seconds - MIN_INTERVAL_SECONDS
        return Page(records=records, behind_seconds=behind_seconds, ended=self._ended)

    @property
    def _called(self) -> Operation:
        """The call that has just failed."""
        return Operation.GET_SHARD_ITERATOR if self._iterator is None else Operation.GET_RECORDS

    async def _back_off(self, attempt: int, error: Exception, operation: Operation) -> None:
        self._client.count_repeat(operation)
        wait = full_jitter(attempt, random.random())  # noqa: S311 - jitter, no cryptography
        get_logger().info("stream.read_again", shard=self._shard_id, seconds=round(wait, 3), error=str(error))
        await self._clock.sleep(wait)
