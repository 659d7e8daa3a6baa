"""Putting records into a stream in memory: whole calls, and again what failed of them."""

from collections.abc import Callable, Sequence

from headrace.aws.retry import full_jitter
from headrace.clock import Clock
from headrace.errors import RetryableError, ThrottledError, UnavailableError
from headrace.stream import batcher
from headrace.stream.memory.service import MemoryKinesis, PutFault
from headrace.stream.ports import Entry

ATTEMPTS = 10
"""Calls in a row without a single record acknowledged before a put gives up."""


class MemoryProducer:
    """`Producer` in memory, with the order that Kinesis keeps.

    The batches of one put go one after the other. What of a batch failed is sent again, and lands behind its neighbours
    of the same batch.
    """

    def __init__(self, kinesis: MemoryKinesis, *, clock: Clock, roll: Callable[[], float]) -> None:
        self._kinesis = kinesis
        self._clock = clock
        self._roll = roll

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Producer.put`. Always lets other tasks run."""
        for batch in batcher.cut(entries):
            await self._put_batch(batch)
        await self._clock.sleep(0.0)

    async def _put_batch(self, pending: Sequence[Entry]) -> None:
        attempt = 0
        while True:
            left, error = self._send(pending)
            if error is None:
                return
            attempt = attempt + 1 if len(left) == len(pending) else 1
            if attempt == ATTEMPTS:
                raise error
            pending = left
            await self._clock.sleep(full_jitter(attempt, self._roll()))

    def _send(self, entries: Sequence[Entry]) -> tuple[Sequence[Entry], RetryableError | None]:
        """One call → what has to be sent again, in order, and why."""
        try:
            results = self._kinesis.put_records(entries)
        except UnavailableError as error:
            return entries, error
        failed = [(entry, fault) for entry, fault in zip(entries, results, strict=True) if fault is not None]
        if not failed:
            return (), None
        kind = ThrottledError if failed[0][1] is PutFault.THROTTLED else UnavailableError
        return [entry for entry, _ in failed], kind(f"{failed[0][1]} for {len(failed)} of {len(entries)} records")
