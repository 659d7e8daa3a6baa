"""The poller: fetch → map and validate → put and quarantine → move the cursor.

While one page is made durable the next one is fetched. The cursor moves only behind what is durable, in order; what a
crash leaves in between is polled again and gets the same event ids.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from headrace.clock import Clock
from headrace.errors import RetryableError, StopError
from headrace.events.ingest import id_prefix
from headrace.lake.layout import Quarantine, quarantine_object
from headrace.lake.ports import ObjectStore
from headrace.quarantine import Envelope, to_jsonl_gz
from headrace.runtime import Shutdown
from headrace.state.ports import StateStore
from headrace.stream.ports import Producer
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics
from services.api_consumer.cursor import Cursor, Totals
from services.api_consumer.intake import Intake, Taken
from services.api_consumer.ports import Page, Pages, Source

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""Between two rounds of an adapter's own retries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinePolicy:
    """When rejected events are written. Until then the cursor waits."""

    size: int = 100
    """As soon as there are so many."""
    seconds: float = 10.0
    """As soon as the oldest has waited for so long."""

    def due(self, pending: "Pending", now: float) -> bool:
        """Whether the cursor may not wait any longer. `now` is monotonic."""
        waiting = len(pending.rejected) + len(pending.extra)
        return not waiting or pending.exhausted or waiting >= self.size or now - pending.since >= self.seconds


@dataclass(slots=True, kw_only=True)
class Pending:
    """What was put and waits for the cursor to move behind it."""

    position: Any
    exhausted: bool
    totals: Totals = field(default_factory=Totals)
    rejected: list[Envelope] = field(default_factory=list)
    extra: list[Envelope] = field(default_factory=list)
    since: float = 0.0
    """When the first envelope came, monotonic."""

    def add(self, page: Page, taken: Taken, now: float) -> None:
        """One page more."""
        if not self.rejected and not self.extra:
            self.since = now
        self.rejected += taken.rejected
        self.extra += taken.extra
        self.totals = self.totals.plus(taken.totals)
        self.position, self.exhausted = page.after, page.exhausted


class Poller:
    """Takes sources to their end, one after the other."""

    def __init__(
        self,
        *,
        intake: Intake,
        producer: Producer,
        store: ObjectStore,
        state: StateStore,
        quarantine: QuarantinePolicy,
        metrics: Metrics,
        health: Health,
        shutdown: Shutdown,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._producer = producer
        self._store = store
        self._state = state
        self._quarantine = quarantine
        self._metrics = metrics
        self._health = health
        self._shutdown = shutdown
        self._clock = clock

    async def run(self, sources: Sequence[Source]) -> None:
        """Poll until every source ends or a drain is asked for; then the page in flight is finished by the deadline.

        Every source has its cursor document before the first page is fetched. Raises `ConflictError` when another
        poller works on the same source, and what `Source.pages` raises.
        """
        try:
            async with self._until_deadline():
                cursors = [await self._insist(Cursor.load, self._state, source.source_id) for source in sources]
                for source, cursor in zip(sources, cursors, strict=True):
                    if not self._shutdown.requested:
                        await self._poll(source, cursor)
        except TimeoutError:
            get_logger().warning("poll.abandoned", reason="the deadline of the drain has passed")

    async def _poll(self, source: Source, cursor: Cursor) -> None:
        get_logger().info("poll.started", source=source.source_id, position=cursor.position)
        moved_at = self._clock.monotonic()
        pending = Pending(position=cursor.position, exhausted=cursor.exhausted)
        failure = None
        try:
            async with contextlib.aclosing(self._ahead(source.pages(cursor.position))) as pages:
                async for page in pages:
                    self._health.beat()
                    await self._take(source, page, pending)
                    if self._quarantine.due(pending, self._clock.monotonic()):
                        if await self._commit(source, cursor, pending):
                            moved_at = self._clock.monotonic()
                        pending = Pending(position=cursor.position, exhausted=cursor.exhausted)
                    self._metrics.poll_cursor_age.set(self._clock.monotonic() - moved_at)
        except StopError as error:
            failure = error  # what came before it is kept
        await self._commit(source, cursor, pending)
        get_logger().info("poll.stopped", source=source.source_id, exhausted=cursor.exhausted, **asdict(cursor.totals))
        if failure is not None:
            raise failure

    async def _ahead(self, pages: Pages) -> Pages:
        """The same pages, each fetched while the one before it is worked on. Ends early when a drain is asked for."""
        stop = asyncio.create_task(self._shutdown.wait())
        ahead = asyncio.create_task(_next(pages))
        try:
            while True:
                await asyncio.wait({ahead, stop}, return_when=asyncio.FIRST_COMPLETED)
                if self._shutdown.requested or (page := await ahead) is None:
                    return
                ahead = asyncio.create_task(_next(pages))
                yield page
        finally:
            for task in (ahead, stop):
                task.cancel()
            await asyncio.gather(ahead, stop, return_exceptions=True)
            await pages.aclose()

    async def _take(self, source: Source, page: Page, pending: Pending) -> None:
        now = self._clock.now()
        taken = self._intake.take(page, source_id=source.source_id, source_name=source.name, now=now)
        self._count(taken)
        if taken.entries:
            await self._insist(self._producer.put, taken.entries)
        pending.add(page, taken, self._clock.monotonic())

    async def _commit(self, source: Source, cursor: Cursor, pending: Pending) -> bool:
        """Make the rest durable and move the cursor; False when it is there already."""
        if (pending.position, pending.exhausted) == (cursor.position, cursor.exhausted) and not pending.totals.polled:
            return False
        # 1. Valid events are in the stream: `_take` put them.
        # 2. Rejected ones into objects named by the place where the cursor stands, so that a repeat replaces them.
        now = self._clock.now()
        name = id_prefix(source.source_id, repr(cursor.position))
        for prefix, envelopes in ((Quarantine.FAILED, pending.rejected), (Quarantine.EXTRA_COLUMNS, pending.extra)):
            if envelopes:
                key = quarantine_object(prefix, now, name)
                await self._insist(self._store.put, key, to_jsonl_gz(envelopes))
                get_logger().warning("quarantine.written", key=key, events=len(envelopes))
        # 3. Only now the cursor.
        await self._insist(cursor.advance, pending.position, pending.totals, exhausted=pending.exhausted)
        return True

    async def _insist(self, step: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        """Repeat an idempotent step until it succeeds: while the other side is down, the poller waits."""
        while True:
            try:
                return await step(*args, **kwargs)
            except RetryableError as error:
                get_logger().warning("poll.waiting", error=str(error))
                self._health.beat()
                await self._clock.sleep(RETRY_SECONDS)

    @contextlib.asynccontextmanager
    async def _until_deadline(self) -> AsyncIterator[None]:
        """Raise `TimeoutError` when the drain's deadline passes inside the block."""

        async def watch(limit: asyncio.Timeout) -> None:
            await self._shutdown.wait()
            limit.reschedule(asyncio.get_running_loop().time() + self._shutdown.deadline.remaining)

        async with asyncio.timeout(None) as limit:
            watcher = asyncio.create_task(watch(limit))
            try:
                yield
            finally:
                watcher.cancel()

    def _count(self, taken: Taken) -> None:
        totals, metrics = taken.totals, self._metrics
        metrics.records_polled.inc(totals.polled)
        metrics.records_accepted.labels("false").inc(totals.accepted - totals.extra_columns)
        metrics.records_accepted.labels("true").inc(totals.extra_columns)
        for reason, count in Counter(envelope.reason for envelope in taken.rejected).items():
            metrics.records_rejected.labels(reason).inc(count)


async def _next(pages: Pages) -> Page | None:
    return await anext(pages, None)
