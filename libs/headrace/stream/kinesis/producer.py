"""Putting records into Kinesis."""

import asyncio
import random
from collections.abc import Sequence

from headrace.aws.faults import classify
from headrace.aws.retry import full_jitter
from headrace.clock import Clock
from headrace.errors import RetryableError, UnavailableError
from headrace.stream import batcher
from headrace.stream.kinesis import wire
from headrace.stream.kinesis.client import KinesisClient, Operation
from headrace.stream.ports import Entry, ShardId
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

ATTEMPTS = 10
"""Calls in a row without a single record acknowledged before `put` gives up: about 10 s."""
CONCURRENT_CALLS = 8


class KinesisProducer:
    """`Placer` for one stream, given by name or ARN.

    Order: the batches of one `put` go one after the other, each durable before the next, so records of one partition
    key keep their order. One exception is Kinesis' own: when part of a batch fails, what is sent again lands behind
    its neighbours of the *same* batch. Concurrent `put`s have no order between them.
    """

    def __init__(
        self,
        stream: str,
        *,
        client: KinesisClient,
        metrics: Metrics,
        clock: Clock,
        attempts: int = ATTEMPTS,
        concurrent_calls: int = CONCURRENT_CALLS,
    ) -> None:
        self._stream = stream
        self._client = client
        self._metrics = metrics
        self._clock = clock
        self._attempts = attempts
        self._calls = asyncio.Semaphore(concurrent_calls)

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Producer.put`. Gives up after `attempts` calls in a row that got nothing through."""
        await self.place(entries)

    async def place(self, entries: Sequence[Entry]) -> Sequence[ShardId]:
        """See `Placer.place`, and `put`."""
        return [shard_id for batch in batcher.cut(entries) for shard_id in await self._place_batch(batch)]

    async def _place_batch(self, batch: Sequence[Entry]) -> Sequence[ShardId]:
        places = [ShardId("")] * len(batch)
        pending: Sequence[int] = range(len(batch))
        attempt = 0
        while True:
            left, error = await self._send(batch, pending, places)
            self._metrics.records_put.inc(len(pending) - len(left))
            if error is None:
                return places
            attempt = attempt + 1 if len(left) == len(pending) else 1
            if attempt == self._attempts:
                raise error
            pending = left
            self._client.count_repeat(Operation.PUT_RECORDS)
            wait = full_jitter(attempt, random.random())  # noqa: S311 - jitter, no cryptography
            get_logger().info("stream.put_again", records=len(left), seconds=round(wait, 3), error=str(error))
            await self._clock.sleep(wait)

    async def _send(
        self, batch: Sequence[Entry], pending: Sequence[int], places: list[ShardId]
    ) -> tuple[Sequence[int], RetryableError | None]:
        """One call with what is pending of a batch → what has to be sent again, in order, and why."""
        try:
            async with self._calls:
                body = wire.encode_put_records(self._stream, [batch[at] for at in pending])
                results = wire.decode_put_records(await self._client.call(Operation.PUT_RECORDS, body))
        except RetryableError as error:
            return pending, error
        if len(results) != len(pending):
            return pending, UnavailableError(f"{len(results)} results for {len(pending)} records")
        failed = []
        for at, result in zip(pending, results, strict=True):
            if result.error_code:
                failed.append((at, result))
            elif result.shard_id is not None:
                places[at] = result.shard_id
        if not failed:
            return (), None
        return [at for at, _ in failed], _retryable(failed[0][1])


def _retryable(result: wire.PutResult) -> RetryableError:
    """Why an entry failed, to be raised when it goes on failing. Raises at once what no retry can mend."""
    error = classify(result.error_code or "", 500, result.error_message or "")
    if isinstance(error, RetryableError):
        return error
    raise error
