"""Where collected events wait while the stream is down: in the bucket, an object for each put, until they are put back.

A visitor's browser seldom sends twice, so "not now" would be "lost". Order is nothing that `/v1/collect` promises.
Nothing is deleted: an object is done once a mark beside it says so. What a process left behind when it ended, another
one finds and puts back; two that do so at the same time make repeats with the same event ids, which the transformer's
window drops.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from headrace.clock import Clock
from headrace.concurrency import for_each
from headrace.errors import HaltedError, HeadraceError, NotFoundError, RetryableError, UnavailableError
from headrace.lake.layout import Quarantine, put_back_mark, quarantine_folder, quarantine_object
from headrace.lake.ports import ObjectStore
from headrace.spool import from_body, to_body
from headrace.stream.ports import Entry, Producer
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

STAGE = "stats_api"
PREFIX = "collect-"
"""Of the objects' names: those of the poller begin with the id of a source."""

PATIENCE_SECONDS = 3.0
"""For the stream to take a request's events."""
PROBE_SECONDS = 5.0
"""After a put in vain: so long everything goes to the bucket at once, and nothing is put back."""
LOOK_SECONDS = 60.0
"""Between two searches for what others left behind: what was there at both is nobody's."""
LOOK_BACK = timedelta(days=14)
MOST_WAITING = 10_000
"""Objects, for one process to have in mind."""
PUT_BACK_AT_ONCE = 8


class SpoolingProducer:
    """`Producer` that keeps in the bucket what the stream does not take, and puts it back while `run` runs."""

    def __init__(self, producer: Producer, store: ObjectStore, *, metrics: Metrics, clock: Clock) -> None:
        self._producer = producer
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._name = uuid.uuid4().hex[:12]
        self._kept = 0
        self._waiting: set[str] = set()
        self._left: set[str] = set()
        self._down_until = float("-inf")
        self._look_at = float("-inf")

    async def put(self, entries: Sequence[Entry]) -> None:
        """Return once all entries are durable, in the stream or in the bucket.

        Raises `RetryableError` when they are in neither, and `AccessError` when the stream lets nobody in: that is no
        outage, and for somebody to mend.
        """
        if self._clock.monotonic() >= self._down_until:
            with contextlib.suppress(RetryableError):
                await self._send(entries)
                return
        if len(self._waiting) >= MOST_WAITING:
            raise UnavailableError(f"{len(self._waiting)} objects wait for the stream already")
        now = self._clock.now()
        self._kept += 1
        name = f"{PREFIX}{self._name}-{now:015.3f}-{self._kept:010}"
        key = quarantine_object(Quarantine.KINESIS_FAILURES, now, name)
        await self._store.put(key, to_body(entries, stage=STAGE, position=name, now=now))
        self._await(key)

    async def run(self) -> None:
        """Put back what waits, as soon as the stream answers; until cancelled."""
        while True:
            await self.put_back()
            await self._clock.sleep(PROBE_SECONDS)

    async def put_back(self) -> None:
        """One try, unless the stream is known to be down: whose objects are whose is clear only after that.

        What waits is this process's own, and what was there, without a mark, at the last two looks.
        """
        if self._clock.monotonic() < self._down_until:
            return
        try:
            if self._clock.monotonic() >= self._look_at:
                await self._look()
            if self._waiting:
                # In no order, so that two processes seldom have the same object in hand.
                keys = random.sample(sorted(self._waiting), len(self._waiting))
                await for_each(keys, self._put_one_back, limit=PUT_BACK_AT_ONCE)
                get_logger().info("spool.drained", objects=len(keys))
        except HeadraceError as error:
            get_logger().warning("spool.waiting", objects=len(self._waiting), error=f"{type(error).__name__}: {error}")

    async def _send(self, entries: Sequence[Entry]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._producer.put(entries)
        except (RetryableError, TimeoutError) as error:
            self._down_until = self._clock.monotonic() + PROBE_SECONDS
            get_logger().warning("spool.open", error=f"{type(error).__name__}: {error}")
            raise UnavailableError(f"the stream does not take it: {error}") from error

    async def _put_one_back(self, key: str) -> None:
        mark = put_back_mark(key)
        if await self._store.head(mark) is None:
            try:
                entries = from_body(await self._store.get(key))
            except (NotFoundError, HaltedError) as error:
                get_logger().error("spool.unreadable", key=key, error=f"{type(error).__name__}: {error}")
            else:
                await self._send(entries)
                await self._store.put(mark, b"")
        self._waiting.discard(key)
        self._metrics.spooled_pages.set(len(self._waiting))

    async def _look(self) -> None:
        folder = quarantine_folder(
            Quarantine.KINESIS_FAILURES, (datetime.fromtimestamp(self._clock.now(), UTC) - LOOK_BACK).date()
        )
        keys = [each.key async for each in self._store.list(f"{Quarantine.KINESIS_FAILURES}/", after=folder)]
        ours = {key for key in keys if key.rpartition("/")[2].startswith(PREFIX)}
        left = {key for key in ours if put_back_mark(key) != key and put_back_mark(key) not in ours}
        for key in sorted(left & self._left)[: max(0, MOST_WAITING - len(self._waiting))]:
            self._await(key)
        self._left = left
        self._look_at = self._clock.monotonic() + LOOK_SECONDS

    def _await(self, key: str) -> None:
        self._waiting.add(key)
        self._metrics.spooled_pages.set(len(self._waiting))
