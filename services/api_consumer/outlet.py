"""The way out: into the stream, and while that is down into the spool, from which pages go back in order.

STREAMING ──no answer for `spool_after`──▶ SPOOLING ──every spooled page is put back──▶ STREAMING

While anything is spooled, everything is: a page never overtakes an earlier one of its source. Which pages wait is
written in the cursor's document, in the same write as the position, so a crash neither loses nor forgets one.
"""

from collections.abc import Sequence

from headrace.alerts import Report
from headrace.clock import Clock
from headrace.errors import RetryableError
from headrace.lake.layout import Quarantine, quarantine_object
from headrace.lake.ports import ObjectStore
from headrace.spool import REASON, from_body, to_body
from headrace.stream.ports import Entry, Producer
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics
from services.api_consumer.cursor import Cursor, Spool
from services.api_consumer.insist import Insist
from services.api_consumer.intake import STAGE

PROBE_SECONDS = 5.0
"""Between two attempts to put spooled pages back; longer when an attempt itself takes longer."""


def spool_key(source_id: str, spool: Spool, n: int) -> str:
    """`kinesis_failures/year=/month=/day=/{source}-{since}-{n}.jsonl.gz`, all of one outage in the day it began.

    In order of key is in order of page.
    """
    return quarantine_object(Quarantine.KINESIS_FAILURES, spool.since, f"{source_id}-{spool.since:015.3f}-{n:010}")


class Outlet:
    """Sends the pages of a source."""

    def __init__(
        self,
        *,
        producer: Producer,
        store: ObjectStore,
        insist: Insist,
        spool_after: float,
        report: Report,
        metrics: Metrics,
        health: Health,
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._store = store
        self._insist = insist
        self._spool_after = spool_after
        self._report = report
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._probe_at = 0.0

    async def send(self, cursor: Cursor, entries: Sequence[Entry], *, position: str) -> bool:
        """Make the entries durable. True: in the spool, as the next page; the cursor must now move behind it."""
        if cursor.spool is None:
            try:
                await self._insist(self._producer.put, entries, patience=self._spool_after)
            except RetryableError as error:
                get_logger().warning("spool.opened", source=cursor.source_id, error=str(error))
                await self._insist(cursor.open_spool, self._clock.now())
                self._probe_at = self._clock.monotonic() + PROBE_SECONDS
            else:
                return False
        assert cursor.spool is not None
        key = spool_key(cursor.source_id, cursor.spool, cursor.spool.written)
        body = to_body(entries, stage=STAGE, position=position, now=self._clock.now())
        await self._insist(self._store.put, key, body)
        self._report(REASON, len(entries), key)
        return True

    async def drain(self, cursor: Cursor) -> None:
        """Put spooled pages back, the oldest first, until none is left or the stream does not answer."""
        while (spool := cursor.spool) is not None and cursor.spooled:
            self._metrics.spooled_pages.set(cursor.spooled)
            if self._clock.monotonic() < self._probe_at or not await self._put_back(cursor, spool):
                return
            self._health.beat()
        self._metrics.spooled_pages.set(0)

    async def _put_back(self, cursor: Cursor, spool: Spool) -> bool:
        """The oldest page into the stream; False when the stream does not answer."""
        entries = from_body(await self._insist(self._store.get, spool_key(cursor.source_id, spool, spool.drained)))
        began = self._clock.monotonic()
        try:
            await self._insist(self._producer.put, entries, patience=0.0)
        except RetryableError as error:
            now = self._clock.monotonic()
            self._probe_at = now + max(PROBE_SECONDS, now - began)
            get_logger().warning("spool.waiting", source=cursor.source_id, pages=cursor.spooled, error=str(error))
            return False
        await self._insist(cursor.drained, len(entries), now=self._clock.now())
        if cursor.spool is None:
            get_logger().info("spool.drained", source=cursor.source_id, pages=spool.written)
        return True
