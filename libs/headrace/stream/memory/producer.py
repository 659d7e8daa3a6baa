"""Putting records into a stream in memory: whole calls, and again what failed of them."""

from collections.abc import Callable, Sequence

from headrace.aws.retry import full_jitter
from headrace.clock import Clock
from headrace.errors import RetryableError, ThrottledError, UnavailableError
from headrace.stream import batcher
from headrace.stream.memory.service import MemoryKinesis, PutFault
from headrace.stream.ports import Entry, ShardId

ATTEMPTS = 10
"""Calls in a row without a single record acknowledged before a put gives up."""


class MemoryProducer:
    """`Placer` in memory, with the order that Kinesis keeps.

    The batches of one put go one after the other. What of a batch failed is sent again, and lands behind its neighbours
    of the same batch.
    """

    def __init__(self, kinesis: MemoryKinesis, *, clock: Clock, roll: Callable[[], float]) -> None:
        self._kinesis = kinesis
        self._clock = clock
        self._roll = roll

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Producer.put`. Always lets other tasks run."""
        await self.place(entries)

    async def place(self, entries: Sequence[Entry]) -> Sequence[ShardId]:
        """See `Placer.place`, and `put`."""
        places = [shard_id for batch in batcher.cut(entries) for shard_id in await self._place_batch(batch)]
        await self._clock.sleep(0.0)
        return places

    async def _place_batch(self, batch: Sequence[Entry]) -> Sequence[ShardId]:
        places = [ShardId("")] * len(batch)
        pending: Sequence[int] = range(len(batch))
        attempt = 0
        while True:
            left, error = self._send(batch, pending, places)
            if error is None:
                return places
            attempt = attempt + 1 if len(left) == len(pending) else 1
            if attempt == ATTEMPTS:
                raise error
            pending = left
            await self._clock.sleep(full_jitter(attempt, self._roll()))

    def _send(
        self, batch: Sequence[Entry], pending: Sequence[int], places: list[ShardId]
    ) -> tuple[Sequence[int], RetryableError | None]:
        """One call with what is pending of a batch → what has to be sent again, in order, and why."""
        try:
            results = self._kinesis.place_records([batch[at] for at in pending])
        except UnavailableError as error:
            return pending, error
        failed: list[tuple[int, PutFault]] = []
        for at, result in zip(pending, results, strict=True):
            if isinstance(result, PutFault):
                failed.append((at, result))
            else:
                places[at] = result
        if not failed:
            return (), None
        kind = ThrottledError if failed[0][1] is PutFault.THROTTLED else UnavailableError
        return [at for at, _ in failed], kind(f"{failed[0][1]} for {len(failed)} of {len(pending)} records")
