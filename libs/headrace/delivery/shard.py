"""One shard: read, gather, plan, deliver, again; until told to stop, the shard ends or its lease is lost.

READING ──due, memory full, ended or stop──▶ FLUSHING ──committed──▶ READING
   │                                            │                      │ ended and all committed
   │ stop and nothing gathered                  │ lease lost           ▼
   └──────────▶ (return)                        └──▶ LeaseLostError   SHARD_END committed, (return)

An outage or a refusal does not change the state: the shard stands still at its place and tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from headrace.alerts import Report, unheard
from headrace.clock import Clock
from headrace.delivery.batch import Batch, BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.window import DedupWindow
from headrace.errors import AccessError, RetryableError
from headrace.leases.model import LATEST, SHARD_END, TRIM_HORIZON, Lease
from headrace.leases.ports import LeaseStore
from headrace.runtime import Shutdown
from headrace.stream.ports import AfterSequence, Latest, Page, Position, SequenceNumber, ShardReader, TrimHorizon
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

T = TypeVar("T")

RETRY_SECONDS = 0.5
RETRY_MAX_SECONDS = 5.0
"""Between two tries in an outage: also the most that is added to it when it ends."""
BEAT_SECONDS = 10.0
"""Between two signs of life while something outside keeps us waiting."""


def start_position(lease: Lease) -> Position:
    """Where reading begins for a lease as it was taken."""
    if lease.checkpoint == TRIM_HORIZON:
        return TrimHorizon()
    if lease.checkpoint == LATEST:
        return Latest()
    return AfterSequence(SequenceNumber(lease.checkpoint))


class ShardWorker:
    """Delivers one shard while its lease lasts."""

    def __init__(
        self,
        lease: Lease,
        reader: ShardReader,
        planner: Planner,
        delivery: Delivery,
        leases: LeaseStore,
        *,
        before_end: Callable[[], Awaitable[None]],
        policy: BatchPolicy,
        window: DedupWindow,
        budget: BufferBudget,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        report: Report = unheard,
    ) -> None:
        self._lease = lease
        self._reader = reader
        self._planner = planner
        self._delivery = delivery
        self._leases = leases
        self._before_end = before_end
        self._batch = Batch(policy)
        self._window = window
        self._budget = budget
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._report = report
        self._tip_at: float | None = None
        """When the last page was asked for, if it reached the tip."""
        self._caught_up_at: float | None = None
        self._refusal: AccessError | None = None
        self._log = get_logger().bind(shard=lease.shard_id, epoch=lease.epoch)

    @property
    def caught_up_at(self) -> float | None:
        """When the shard was last read to its tip with nothing left in memory (seconds since 1970 UTC)."""
        return self._caught_up_at

    @property
    def refusal(self) -> AccessError | None:
        """Why this shard stands still: somebody does not let us in. None while it moves."""
        return self._refusal

    async def run(self, shutdown: Shutdown) -> None:
        """Work until `shutdown` is requested or the shard ends; what is gathered by then is delivered first.

        Raises `LeaseLostError` when another worker took over, and `StopError` when going on would do harm.
        """
        stopped = asyncio.create_task(shutdown.wait())
        try:
            while not shutdown.requested:
                if self._budget.full:
                    await self._make_room(shutdown, stopped)
                    continue
                page = await self._read(shutdown, stopped)
                if page is None:
                    break
                if self._batch.due(self._clock.monotonic()) or page.ended:
                    await self._flush(shutdown, everything=page.ended)
                if page.ended:
                    await self._end(shutdown)
                    return
            await self._flush(shutdown, everything=True)
        finally:
            stopped.cancel()
            self._budget.give_back(self._batch.footprint)

    async def _make_room(self, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> None:
        """The process holds all it may: deliver our part of it, however young; else wait for the other shards."""
        if self._batch:
            await self._flush(shutdown, everything=True)
        else:
            await self._unless(stopped, self._budget.room())

    async def _read(self, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> Page | None:
        """The next page, gathered; None when told to stop first."""
        asked_at = self._clock.now()
        # An outage is waited out here, since the reader keeps its position.
        page = await self._unless(stopped, self._persist("read", self._reader.read, shutdown))
        if page is None:
            return None
        held = self._batch.footprint
        self._batch.add(page.records, self._clock.monotonic())
        self._budget.take(self._batch.footprint - held)
        self._metrics.records_received.labels(self._lease.shard_id).inc(len(page.records))
        self._metrics.buffer_bytes.labels(self._lease.shard_id).set(self._batch.bytes)
        self._metrics.consumer_lag.labels(self._lease.shard_id).set(page.behind_seconds)
        self._tip_at = asked_at if page.behind_seconds == 0 else None
        if self._tip_at is not None and not self._batch:
            self._caught_up_at = asked_at
            self._metrics.complete_through.labels(self._lease.shard_id).set(asked_at)
        return page

    async def _unless(self, stopped: asyncio.Task[bool], work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`; None, and `work` cancelled, when told to stop first."""
        task = asyncio.create_task(work)
        try:
            while not task.done() and not stopped.done():
                self._health.beat()
                await asyncio.wait({task, stopped}, timeout=BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _persist(self, step: str, call: Callable[[], Awaitable[T]], shutdown: Shutdown) -> T | None:
        """What `call` returns, however long it takes; None when the drain's deadline passes first.

        An outage passes by itself. A refusal does not, but what is refused is not ours to skip: the shard stays where
        it is, `refusal` says so, and goes on once it is let in.
        """
        wait = RETRY_SECONDS
        while True:
            self._health.beat()
            try:
                result = await call()
            except (RetryableError, AccessError) as error:
                self._refusal = error if isinstance(error, AccessError) else None
                if shutdown.requested and shutdown.deadline.remaining < wait:
                    self._log.warning("shard.abandoned", step=step, batch_no=self._lease.batch_no, error=str(error))
                    return None
                self._log.warning("shard.delayed", step=step, error=str(error), retry_in=wait)
                await self._clock.sleep(wait)
                wait = min(wait * 2, RETRY_MAX_SECONDS)
            else:
                self._refusal = None
                return result

    async def _flush(self, shutdown: Shutdown, *, everything: bool) -> None:
        """Deliver what is due, or everything."""
        while self._batch and (everything or self._batch.due(self._clock.monotonic())):
            records = self._batch.head()
            now = self._clock.now()
            async with self._budget.planning:
                with self._metrics.batch_stage_seconds.labels("transform").time():
                    plan = await asyncio.to_thread(
                        self._planner.plan, records, self._lease, now=now, repeats=self._window.repeats
                    )
            last = plan.records == len(self._batch.records)
            caught_up_at = self._tip_at if last and self._tip_at is not None else self._caught_up_at
            if not await self._deliver(plan, shutdown, caught_up_at=caught_up_at):
                return
            held = self._batch.footprint
            self._batch.drop(plan.records)
            self._budget.give_back(held - self._batch.footprint)
            self._metrics.buffer_bytes.labels(self._lease.shard_id).set(self._batch.bytes)
            self._window.remember(plan.event_ids, self._clock.monotonic())

    async def _deliver(self, plan: BatchPlan, shutdown: Shutdown, *, caught_up_at: float | None) -> bool:
        """Deliver until it is done; False when the drain's deadline passes first (the next owner repeats the batch)."""
        deliver = partial(self._delivery.deliver, plan, self._lease, caught_up_at=caught_up_at)
        committed = await self._persist("deliver", deliver, shutdown)
        if committed is None:
            return False
        self._lease = committed
        self._caught_up_at = caught_up_at
        self._account(plan)
        return True

    async def _end(self, shutdown: Shutdown) -> None:
        if self._batch:
            return  # abandoned: the end is not ours to commit
        ended = await self._persist("end", self._commit_end, shutdown)
        if ended is not None:
            self._lease = ended
            self._log.info("shard.ended")

    async def _commit_end(self) -> Lease:
        await self._before_end()  # the children's rows, so that no one can miss them
        return await self._leases.commit(
            self._lease,
            checkpoint=SHARD_END,
            ledger=self._lease.ledger,
            complete_through=self._lease.complete_through,
            caught_up_at=self._caught_up_at,
        )

    def _account(self, plan: BatchPlan) -> None:
        shard = self._lease.shard_id
        ledger = plan.ledger
        self._metrics.rows_committed.labels(shard).inc(ledger.committed)
        self._metrics.records_deduplicated.labels(shard).inc(ledger.duplicates)
        for reason, count in plan.reasons.items():
            self._metrics.records_dead_lettered.labels(reason).inc(count)
            self._report(reason, count, plan.dead_letter_key)
        self._metrics.batch_rows.observe(ledger.committed)
        self._metrics.event_to_visible.observe(max(0.0, self._clock.now() - plan.oldest_arrival))
        self._metrics.complete_through.labels(shard).set(self._caught_up_at or plan.complete_through)
        self._log.info(
            "batch.committed",
            batch_no=plan.batch_no,
            rows=ledger.committed,
            objects=len(plan.objects),
            dead_letters=ledger.dead_lettered,
            duplicates=ledger.duplicates,
        )
