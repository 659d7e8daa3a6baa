"""One shard: settle, then read, gather, plan, deliver, again; until told to stop, the shard ends or its lease is lost.

SETTLING ──pending intent finished──▶ READING ──due, memory full, ended or stop──▶ FLUSHING ──committed──▶ READING
                                         │                                            │                     │ ended
                                         │ stop and nothing gathered                  │ lease lost          ▼
                                         └──────────▶ (return)                        └──▶ LeaseLostError  SHARD_END

A shard that the stream has forgotten meanwhile is flushed and ended, too: nothing more can be read of it.
An outage or a refusal does not change the state: the shard stands still at its place and tries again. What cannot go on
without harm (`HaltedError`) stands still until the process ends; the other shards do not notice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from headrace.clock import Clock
from headrace.delivery.batch import Batch, BatchPolicy
from headrace.delivery.budget import BufferBudget, Share
from headrace.delivery.deliver import Delivery
from headrace.delivery.gap import Gap, tell_gap
from headrace.delivery.patience import Patience
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.reading import Reading
from headrace.delivery.recover import Recovery
from headrace.delivery.resume import start_position
from headrace.delivery.tripwire import Tripwire
from headrace.delivery.window import DedupWindow
from headrace.errors import AccessError, HaltedError, NotFoundError, RequestError
from headrace.leases.model import Lease
from headrace.runtime import Shutdown
from headrace.stream.ports import (
    EVERY_KEY,
    HashRange,
    Page,
    Position,
    ShardId,
    ShardReader,
    StreamInfo,
    TrimHorizon,
)
from headrace.telemetry.health import Health
from headrace.telemetry.log import get_logger, unit_of_work
from headrace.telemetry.metrics import Metrics

T = TypeVar("T")


class InThread(Protocol):
    """Runs a function that takes CPU beside the event loop, as `asyncio.to_thread` does."""

    async def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """The result of the function."""
        ...


async def every_key(_: ShardId) -> HashRange:
    """The hash range of the only shard of a stream."""
    return EVERY_KEY


async def never(_: ShardId) -> bool:
    """Whether a shard is gone, of a stream that forgets none."""
    return False


class ShardWorker:
    """Delivers one shard while its lease lasts."""

    def __init__(
        self,
        lease: Lease,
        open_reader: Callable[[ShardId, Position], ShardReader],
        planner: Planner,
        delivery: Delivery,
        recovery: Recovery,
        *,
        info: StreamInfo,
        before_end: Callable[[], Awaitable[None]],
        policy: BatchPolicy,
        budget: BufferBudget,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        dedup_seconds: float = 0.0,
        trip_after: int = 0,
        in_thread: InThread = asyncio.to_thread,
        hash_range: Callable[[ShardId], Awaitable[HashRange]] = every_key,
        is_gone: Callable[[ShardId], Awaitable[bool]] = never,
        start_time: float | None = None,
    ) -> None:
        self._lease = lease
        self._open_reader = open_reader
        self._planner = planner
        self._delivery = delivery
        self._recovery = recovery
        self._info = info
        self._before_end = before_end
        self._batch = Batch(policy)
        self._budget = budget
        self._share = Share()
        self._clock = clock
        self._metrics = metrics
        self._dedup_seconds = dedup_seconds
        self._window = DedupWindow(dedup_seconds)
        self._tripwire = Tripwire(trip_after)
        self._in_thread = in_thread
        self._ask_hash_range = hash_range
        self._hash_range = EVERY_KEY
        self._ask_gone = is_gone
        self._start_time = start_time
        self._settled = self._abandoned = False
        self._gap: Gap | None = None
        self._patience = Patience(clock, health)
        self._tip_at: float | None = None
        """When the last page was asked for, if it reached the tip."""
        self._caught_up_at: float | None = None

    @property
    def caught_up_at(self) -> float | None:
        """When the shard was last read to its tip with nothing left in memory (seconds since 1970 UTC)."""
        return self._caught_up_at

    @property
    def refusal(self) -> AccessError | HaltedError | RequestError | None:
        """Why this shard stands still: somebody does not let us in, or has to look. None while it moves."""
        return self._patience.refusal

    async def run(self, shutdown: Shutdown) -> None:
        """Work until `shutdown` is requested or the shard ends; what is gathered by then is delivered first.

        Raises `LeaseLostError` when another worker took over, and `StopError` when going on would do harm to all.
        """
        stopped = asyncio.create_task(shutdown.wait())
        try:
            await self._live(shutdown, stopped)
        except (HaltedError, RequestError) as error:
            # A request that is refused as malformed is a defect of ours, and of this batch as far as anyone knows.
            get_logger().error("shard.halted", batch_no=self._lease.batch_no, error=str(error))
            self._leave()
            with self._metrics.shards_halted.track_inprogress():
                await self._patience.stand_still(error, stopped)
        finally:
            stopped.cancel()
            self._delivery.let_go(self._lease.shard_id)
            self._leave()

    def _leave(self) -> None:
        """What is still gathered will be read again by somebody else."""
        self._batch.drop(len(self._batch.records))
        self._budget.leave(self._share)

    async def _live(self, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> None:
        try:
            reader = await self._patience.unless(stopped, self._settle(shutdown))
            if reader is not None:
                await self._work(reader, shutdown, stopped)
        except NotFoundError:
            if not self._settled or not await self._patience.unless(stopped, self._is_gone(shutdown)):
                raise
            await self._bury(shutdown)

    async def _settle(self, shutdown: Shutdown) -> ShardReader | None:
        """What an earlier owner began is finished and known; None when nothing is left to do, or no time to do it.

        Every step can be broken off: the next owner begins again.
        """
        settled = await self._patience.insist("settle", partial(self._recovery.settle, self._lease), shutdown)
        if settled is None or settled.ended:  # its last owner ended it while we took it
            return None
        self._lease = settled
        self._settled = True
        self._gap = tell_gap(settled, self._info, clock=self._clock, metrics=self._metrics)
        window = await self._patience.insist(
            "window", partial(self._recovery.window, settled, self._dedup_seconds), shutdown
        )
        if window is None:
            return None
        self._window = window
        hash_range = await self._patience.insist("shard", partial(self._ask_hash_range, settled.shard_id), shutdown)
        if hash_range is None:
            return None
        self._hash_range = hash_range
        return self._open_reader(settled.shard_id, start_position(settled, self._start_time))

    async def _work(self, reader: ShardReader, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> None:
        """Read and flush in turn. A read that is under way when the batch is due goes on beside the flush."""
        reading = Reading(reader, self._patience, self._clock)
        self._budget.join(self._share)
        try:
            while not shutdown.requested:
                if self._budget.must_deliver(self._share):
                    await self._flush(shutdown, everything=True)
                    continue
                page = await self._next_page(reading, shutdown, stopped)
                if page is not None:
                    self._gather(page, reading.asked_at)
                ended = page is not None and page.ended
                if ended or self._batch.due(self._clock.monotonic()):
                    await self._flush(shutdown, everything=ended)
                if ended:
                    await self._end(shutdown)
                    return
        finally:
            await reading.stop()
        await self._flush(shutdown, everything=True)

    async def _next_page(self, reading: Reading, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> Page | None:
        """What comes next of the shard; None when there is something to deliver first, or no room for it yet."""
        fetching = reading.under_way or self._budget.may_fetch(self._share)
        if fetching and not reading.under_way:
            self._budget.fetch(self._share)
        pages = [reading.begin(shutdown)] if fetching else []
        with self._budget.turn(self._share, fetching=fetching) as turn:
            await self._patience.first(*pages, turn, stopped, until=self._batch.due_at)
        return reading.take()

    def _gather(self, page: Page, asked_at: float) -> None:
        held = self._batch.footprint
        self._batch.add(page.records, self._clock.monotonic())
        self._budget.gather(self._share, self._batch.footprint - held, behind=page.behind_seconds > 0)
        self._metrics.records_received.labels(self._lease.shard_id).inc(len(page.records))
        self._metrics.buffer_bytes.labels(self._lease.shard_id).set(self._batch.bytes)
        self._metrics.consumer_lag.labels(self._lease.shard_id).set(page.behind_seconds)
        self._tip_at = asked_at if page.behind_seconds == 0 else None
        if self._tip_at is not None and not self._batch:
            self._caught_up_at = asked_at
            self._metrics.complete_through.labels(self._lease.shard_id).set(asked_at)

    async def _flush(self, shutdown: Shutdown, *, everything: bool) -> None:
        """Deliver what is due, or everything."""
        with self._budget.delivery(self._share):
            while self._batch and not self._abandoned and (everything or self._batch.due(self._clock.monotonic())):
                with unit_of_work(batch_no=self._lease.batch_no):
                    await self._deliver(shutdown)

    async def _deliver(self, shutdown: Shutdown) -> None:
        """The front of what is gathered. Once told to stop it may be abandoned, and then nothing is delivered any more.

        Its manifest may be decided on, and a second plan under this epoch would take its place: the next owner repeats
        the batch, or finishes it.
        """
        plan = await self._plan()
        self._tripwire.check(plan)
        last = plan.records == len(self._batch.records)
        caught_up_at = self._tip_at if last and self._tip_at is not None else self._caught_up_at
        attempt = self._delivery.attempt(plan, self._lease)
        committed = await self._patience.insist("deliver", partial(attempt.run, caught_up_at=caught_up_at), shutdown)
        if committed is None:
            self._abandoned = True
            return
        self._lease = committed
        self._caught_up_at = caught_up_at
        self._metrics.complete_through.labels(self._lease.shard_id).set(caught_up_at or plan.last_arrival)
        held = self._batch.footprint
        self._batch.drop(plan.records)
        self._budget.give_back(self._share, held - self._batch.footprint)
        self._metrics.buffer_bytes.labels(self._lease.shard_id).set(self._batch.bytes)
        self._window.remember(plan.event_ids, plan.last_arrival)

    async def _plan(self) -> BatchPlan:
        records = self._batch.head()
        now = self._clock.now()
        async with self._budget.planning:
            with self._metrics.batch_stage_seconds.labels("transform").time():
                return await self._in_thread(
                    self._planner.plan,
                    records,
                    self._lease,
                    now=now,
                    window=self._window,
                    hash_range=self._hash_range,
                )

    async def _is_gone(self, shutdown: Shutdown) -> bool:
        """Whether the stream has forgotten the shard: it is not there to be read, nor listed, for a while."""
        shard_id = self._lease.shard_id
        try:
            await self._patience.insist("probe", self._open_reader(shard_id, TrimHorizon()).read, shutdown)
        except NotFoundError:
            return bool(await self._patience.insist("gone", partial(self._ask_gone, shard_id), shutdown))
        return False

    async def _bury(self, shutdown: Shutdown) -> None:
        """Deliver what was read of a shard that is gone, tell what was not, and end it, so that its children go on."""
        await self._flush(shutdown, everything=True)
        if self._batch:
            return
        if self._gap is None:
            seen = replace(self._lease, caught_up_at=self._caught_up_at or self._lease.caught_up_at)
            tell_gap(seen, self._info, clock=self._clock, metrics=self._metrics, gone=True)
        get_logger().warning("shard.gone", checkpoint=self._lease.checkpoint)
        await self._end(shutdown)

    async def _end(self, shutdown: Shutdown) -> None:
        if self._batch:
            return  # abandoned: the end is not ours to commit
        ended = await self._patience.insist("end", self._commit_end, shutdown)
        if ended is not None:
            self._lease = ended
            get_logger().info("shard.ended")

    async def _commit_end(self) -> Lease:
        await self._before_end()  # the children's rows, so that no one can miss them
        return await self._delivery.end(self._lease, caught_up_at=self._caught_up_at)
