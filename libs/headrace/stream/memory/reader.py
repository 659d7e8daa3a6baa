"""Reading a shard in memory: iterators and their end, throttling, positions; what a reader of Kinesis has to mind."""

from collections.abc import Callable

from headrace.aws.retry import full_jitter
from headrace.clock import Clock
from headrace.errors import NotFoundError, RequestError, ThrottledError
from headrace.stream.memory.service import Answer, ExpiredIteratorError, MemoryKinesis, ShardIterator
from headrace.stream.ports import AfterSequence, AtTimestamp, Latest, Page, Position, SequenceNumber, ShardId


class MemoryShardReader:
    """`ShardReader` for one shard. A `read` may be cancelled: the next one returns the same page.

    At the tip a read first sleeps `idle_seconds`. A sequence number of another shard raises `NotFoundError`. `Latest`
    means from the first `read` on; until a record was returned, an expired iterator is replaced by one for that moment.
    """

    def __init__(
        self,
        kinesis: MemoryKinesis,
        shard_id: ShardId,
        position: Position,
        *,
        clock: Clock,
        idle_seconds: float,
        page_records: int,
        roll: Callable[[], float],
    ) -> None:
        self._kinesis = kinesis
        self._shard_id = shard_id
        self._position = position
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._page_records = page_records
        self._roll = roll
        self._iterator: ShardIterator | None = None
        self._at_tip = self._ended = False

    async def read(self) -> Page:
        """See `ShardReader.read`. Always lets other tasks run."""
        await self._clock.sleep(self._idle_seconds if self._at_tip else 0.0)
        throttled = 0
        while not self._ended:
            try:
                return self._page(self._fetch())
            except ExpiredIteratorError:
                self._iterator = None
            except ThrottledError:
                throttled += 1
                await self._clock.sleep(full_jitter(throttled, self._roll()))
        return Page(records=(), behind_seconds=0.0, ended=True)

    def _fetch(self) -> Answer:
        if self._iterator is None:
            self._iterator = self._open_iterator()
        return self._kinesis.get_records(self._iterator, self._page_records)

    def _open_iterator(self) -> ShardIterator:
        try:
            iterator = self._kinesis.get_shard_iterator(self._shard_id, self._position)
        except RequestError as error:
            raise NotFoundError(f"{self._shard_id} cannot be read on from {self._position}: {error}") from error
        if isinstance(self._position, Latest):
            self._position = AtTimestamp(self._clock.now())
        return iterator

    def _page(self, answer: Answer) -> Page:
        """Move on past an answer. Nothing is awaited here, so a page is either returned or read again."""
        if answer.records:
            self._position = AfterSequence(SequenceNumber(answer.records[-1].sequence_number))
        self._iterator = answer.following
        self._ended = answer.following is None
        self._at_tip = answer.behind_seconds == 0
        return Page(records=answer.records, behind_seconds=answer.behind_seconds, ended=self._ended)
