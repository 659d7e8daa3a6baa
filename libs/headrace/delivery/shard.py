"""One shard: settle, then read, gather, plan, deliver, again; until told to stop, the shard ends or its lease is lost.

SETTLING ──pending intent finished──▶ READING ──due, memory full, ended or stop──▶ FLUSHING ──committed──▶ READING
                                         │                                            │                     │ ended
                                         │ stop and nothing gathered                  │ lease lost          ▼
                                         └──────────▶ (return)                        └──▶ LeaseLostError  SHARD_END

An outage or a refusal does not change the state: the shard stands still at its place and tries again. What cannot go on
without harm (`HaltedError`) stands still until the process ends; the other shards do not notice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from headrace.clock import Clock
from headrace.delivery.batch import Batch, BatchPolicy
from headrace.delivery.budget import BufferBudget
from headrace.delivery.deliver import Delivery
from headrace.delivery.gap import tell_gap
from headrace.delivery.patience import Patience
from headrace.delivery.plan import BatchPlan, Planner
from headrace.delivery.reading import Reading
from headrace.delivery.recover import Recovery
from headrace.delivery.resume import start_position
from headrace.delivery.window import DedupWindow
from headrace.errors import AccessError, HaltedError, RequestError
from headrace.leases.model import Lease
from headrace.runtime import Shutdown
from headrace.stream.ports import EVERY_KEY, HashRange, Page, Position, ShardId, ShardReader, StreamInfo
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
        self._clock = clock
        self._metrics = metrics
        self._dedup_seconds = dedup_seconds
        self._window = DedupWindow(dedup_seconds)
        self._trip_after = trip_after
        self._poison = 0
        """Dead letters since the last row."""
        self._in_thread = in_thread
        self._ask_hash_range = hash_range
        self._hash_range = EVERY_KEY
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
            reader = await self._patience.unless(stopped, self._settle(shutdown))
            if reader is not None:
                await self._work(reader, shutdown, stopped)
        except (HaltedError, RequestError) as error:
            # A request that is refused as malformed is a defect of ours, and of this batch as far as anyone knows.
            get_logger().error("shard.halted", batch_no=self._lease.batch_no, error=str(error))
            with self._metrics.shards_halted.track_inprogress():
                await self._patience.stand_still(error, stopped)
        finally:
            stopped.cancel()
            self._delivery.let_go(self._lease.shard_id)
            self._budget.give_back(self._batch.footprint)

    async def _settle(self, shutdown: Shutdown) -> ShardReader | None:
        """What an earlier owner began is finished and known; None when nothing is left to do, or no time to do it.

        Every step can be broken off: the next owner begins again.
        """
        settled = await self._patience.insist("settle", partial(self._recovery.settle, self._lease), shutdown)
        if settled is None or settled.ended:  # its last owner ended it while we took it
            return None
        self._lease = settled
        tell_gap(settled, self._info, clock=self._clock, metrics=self._metrics)
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
        return self._open_reader(settled.shard_id, start_position(settled))

    async def _work(self, reader: ShardReader, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> None:
        """Read and flush in turn. A read that is under way when the batch is due goes on beside the flush."""
        reading = Reading(reader, self._patience, self._clock)
        try:
            while not shutdown.requested:
                if self._budget.full:
                    await self._make_room(shutdown, stopped)
                    continue
                await self._patience.first(reading.begin(shutdown), stopped, until=self._batch.due_at)
                page = reading.take()
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

    async def _make_room(self, shutdown: Shutdown, stopped: asyncio.Task[bool]) -> None:
        """The process holds all it may: deliver our part of it, however young; else wait for the other shards."""
        if self._batch:
            await self._flush(shutdown, everything=True)
        else:
            await self._patience.unless(stopped, self._budget.room())

    def _gather(self, page: Page, asked_at: float) -> None:
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

    async def _flush(self, shutdown: Shutdown, *, everything: bool) -> None:
        """Deliver what is due, or everything."""
        while self._batch and (everything or self._batch.due(self._clock.monotonic())):
            with unit_of_work(batch_no=self._lease.batch_no):
                if not await self._deliver(shutdown):
                    return

    async def _deliver(self, shutdown: Shutdown) -> bool:
        """The front of what is gathered; False when the drain's deadline passes first."""
        plan = await self._plan()
        self._trip(plan)
        last = plan.records == len(self._batch.records)
        caught_up_at = self._tip_at if last and self._tip_at is not None else self._caught_up_at
        attempt = self._delivery.attempt(plan, self._lease)
        committed = await self._patience.insist("deliver", partial(attempt.run, caught_up_at=caught_up_at), shutdown)
        if committed is None:
            return False  # the next owner repeats the batch, or finishes it
        self._lease = committed
        self._caught_up_at = caught_up_at
        self._metrics.complete_through.labels(self._lease.shard_id).set(caught_up_at or plan.last_arrival)
        held = self._batch.footprint
        self._batch.drop(plan.records)
        self._budget.give_back(held - self._batch.footprint)
        self._metrics.buffer_bytes.labels(self._lease.shard_id).set(self._batch.bytes)
        self._window.remember(plan.event_ids, plan.last_arrival)
        return True

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

    def _trip(self, plan: BatchPlan) -> None:
        """Raise `HaltedError` before a stream of nothing but dead letters is shovelled aside."""
        if plan.ledger.committed or not plan.ledger.dead_lettered:
            self._poison = 0
            return
        self._poison += plan.ledger.dead_lettered
        if self._trip_after and self._poison > self._trip_after:
            reason = max(plan.reasons, key=lambda name: plan.reasons[name])
            raise HaltedError(
                f"{self._poison} records in a row are dead letters, most for {reason}: mend their producer, "
                "or set HEADRACE_TRIP_AFTER=0 to let them pass"
            )

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
