"""The poller: fetch → map and validate → put and quarantine → move the cursor.

While one page is made durable the next one is fetched. The cursor moves only behind what is durable, in order; what a
crash leaves in between is polled again and gets the same event ids.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict

from headrace.alerts import Report
from headrace.clock import Clock
from headrace.errors import StopError
from headrace.lake.ports import ObjectStore
from headrace.runtime import Shutdown
from headrace.state.ports import StateStore
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger, unit_of_work
from headrace.telemetry.metrics import Metrics
from services.api_consumer.cursor import Cursor
from services.api_consumer.insist import RETRY_SECONDS, Insist
from services.api_consumer.intake import Intake, Taken
from services.api_consumer.outlet import Outlet
from services.api_consumer.pending import HoldPolicy, KeptObject, Pending
from services.api_consumer.ports import Page, Pages, Source


class Poller:
    """Takes sources to their end, one after the other."""

    def __init__(
        self,
        *,
        intake: Intake,
        outlet: Outlet,
        store: ObjectStore,
        state: StateStore,
        hold: HoldPolicy,
        insist: Insist,
        report: Report,
        metrics: Metrics,
        health: Health,
        shutdown: Shutdown,
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._outlet = outlet
        self._store = store
        self._state = state
        self._hold = hold
        self._insist = insist
        self._report = report
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
                self._health.started()
                for source, cursor in zip(sources, cursors, strict=True):
                    if not self._shutdown.requested:
                        await self._poll(source, cursor)
        except TimeoutError:
            get_logger().warning("poll.abandoned", reason="the deadline of the drain has passed")

    async def _poll(self, source: Source, cursor: Cursor) -> None:
        get_logger().info("poll.started", source=source.source_id, position=cursor.position)
        moved_at = self._clock.monotonic()
        pending = Pending(position=cursor.position, exhausted=cursor.exhausted)
        failures: list[StopError] = []
        async with contextlib.aclosing(self._ahead(source.pages(cursor.position), failures)) as pages:
            async for trace_id, page in pages:
                with unit_of_work(trace_id):
                    self._health.beat()
                    await self._outlet.drain(cursor)
                    await self._take(source, cursor, page, pending)
                    if self._hold.due(pending, self._clock.monotonic()):
                        if await self._commit(source, cursor, pending):
                            moved_at = self._clock.monotonic()
                        pending = Pending(position=cursor.position, exhausted=cursor.exhausted)
                    self._metrics.poll_cursor_age.set(self._clock.monotonic() - moved_at)
        await self._commit(source, cursor, pending)
        await self._outlet.drain(cursor)
        if not failures:
            await self._empty_spool(cursor)
        get_logger().info("poll.stopped", source=source.source_id, exhausted=cursor.exhausted, **asdict(cursor.totals))
        for failure in failures:  # the source's own: what came before it is kept
            raise failure

    async def _ahead(self, pages: Pages, failures: list[StopError]) -> AsyncGenerator[tuple[str, Page], None]:
        """The same pages, each fetched while the one before it is worked on, and its trace id.

        Ends early when a drain is asked for, and when the source breaks: `failures` has the reason then.
        """
        stop = asyncio.create_task(self._shutdown.wait())
        ahead = asyncio.create_task(_next(pages))
        try:
            while True:
                await asyncio.wait({ahead, stop}, return_when=asyncio.FIRST_COMPLETED)
                if self._shutdown.requested or (fetched := await ahead) is None:
                    return
                ahead = asyncio.create_task(_next(pages))
                yield fetched
        except StopError as error:
            failures.append(error)
        finally:
            for task in (ahead, stop):
                task.cancel()
            await asyncio.gather(ahead, stop, return_exceptions=True)
            await pages.aclose()

    async def _take(self, source: Source, cursor: Cursor, page: Page, pending: Pending) -> None:
        now = self._clock.now()
        taken = self._intake.take(page, source_id=source.source_id, source_name=source.name, now=now)
        self._count(taken)
        spooled = bool(taken.entries) and await self._outlet.send(
            cursor, taken.entries, position=f"{source.name}:{page.place}"
        )
        pending.add(page, taken, self._clock.monotonic(), spooled=spooled)

    async def _commit(self, source: Source, cursor: Cursor, pending: Pending) -> bool:
        """Make the rest durable and move the cursor; False when it is there already."""
        if (pending.position, pending.exhausted) == (cursor.position, cursor.exhausted) and not pending.totals.polled:
            return False
        # 1. Valid events are in the stream or in the spool: `_take` saw to it.
        # 2. What is kept in objects. The moment that names them is written down first, so that a repeat, even after
        #    midnight, replaces them.
        written: list[KeptObject] = []
        if pending.kept:
            at = await self._insist(cursor.pin, self._clock.now())
            for kept in pending.objects(source.source_id, cursor.position, at):
                await self._insist(self._store.put, kept.key, kept.body)
                written.append(kept)
        # 3. Only now the cursor.
        await self._insist(
            cursor.advance,
            pending.position,
            pending.totals,
            exhausted=pending.exhausted,
            now=self._clock.now(),
            spooled_pages=pending.spooled_pages,
        )
        # 4. Whoever wants to know.
        self._tell(written)
        return True

    async def _empty_spool(self, cursor: Cursor) -> None:
        """A source is not done before its spool is empty. While the stream is down, a drain does not wait for it."""
        while cursor.spooled and not self._shutdown.requested:
            self._health.beat()
            await self._clock.sleep(RETRY_SECONDS)
            await self._outlet.drain(cursor)

    def _tell(self, written: Sequence[KeptObject]) -> None:
        for kept in written:
            get_logger().info("poll.kept", key=kept.key, events=kept.events, **kept.reasons)
            for reason, count in kept.reasons.items():
                self._report(reason, count, kept.key)

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


async def _next(pages: Pages) -> tuple[str, Page] | None:
    """The next page. The work on it begins here, with its fetch, and goes on under the same trace id."""
    with unit_of_work() as trace_id:
        page = await anext(pages, None)
    return None if page is None else (trace_id, page)
