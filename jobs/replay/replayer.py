"""One lot through the delivery protocol: take its lease, finish what was begun, deliver the rest, end.

TAKEN ──pending intent finished──▶ SETTLED ──a batch committed──▶ SETTLED ──no line left──▶ SHARD_END

Whatever ends a replay, the next one goes on from its last durable step. A lot that has ended is never read again.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from headrace.aws.retry import retry
from headrace.clock import Clock
from headrace.delivery.batch import Batch, BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import BatchPlan, Planner, Transform
from headrace.delivery.recover import Recovery
from headrace.delivery.window import DedupWindow
from headrace.errors import AccessError, ConflictError, LeaseLostError, RetryableError
from headrace.leases.model import Lease, Ledger
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import Record
from headrace.telemetry.log import get_logger
from jobs.replay.lots import Lot
from jobs.replay.mend import MendedTransform, Mending

RENEWALS_PER_FAILOVER = 3
LOOKS_PER_FAILOVER = 10
"""At a lease that somebody else has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a lot: lines = rows + dead letters + duplicates + already replayed."""

    lines: int
    rows: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    already: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Of the dead letters of batches that this run planned."""


class _Tally:
    """What one run adds to a lot's ledger, over all the times that it held the lease."""

    def __init__(self) -> None:
        self.rows = self.dead_letters = self.duplicates = 0
        self.reasons: Counter[str] = Counter()

    def add(self, before: Ledger, after: Ledger) -> None:
        self.rows += after.committed - before.committed
        self.dead_letters += after.dead_lettered - before.dead_lettered
        self.duplicates += after.duplicates - before.duplicates

    def outcome(self, lines: int) -> Outcome:
        return Outcome(
            lines=lines,
            rows=self.rows,
            dead_letters=self.dead_letters,
            duplicates=self.duplicates,
            already=lines - self.rows - self.dead_letters - self.duplicates,
            reasons=self.reasons,
        )


class Replayer:
    """Replays lots. Safe for concurrent calls, here and in other processes, also on the same lot.

    `owner` is unique to this process; `failover` and `dedup_seconds` are in seconds, as for the transformer.
    """

    def __init__(
        self,
        transform: Transform,
        mending: Mending,
        delivery: Delivery,
        recovery: Recovery,
        leases: LeaseStore,
        *,
        policy: BatchPolicy,
        owner: str,
        failover: float,
        dedup_seconds: float,
        clock: Clock,
    ) -> None:
        self._transform = transform
        self._mending = mending
        self._delivery = delivery
        self._recovery = recovery
        self._leases = leases
        self._policy = policy
        self._owner = owner
        self._failover = failover
        self._dedup_seconds = dedup_seconds
        self._clock = clock
        self._one_plan = asyncio.Lock()
        """A batch that becomes columns takes a multiple of its bytes."""

    async def replay(self, lot: Lot) -> Outcome:
        """Return once every line of the lot is a row, a counted repeat or a dead letter.

        Raises `HaltedError` when going on would do harm, `RetryableError` when a place stays out of reach.
        """
        tally = _Tally()
        while (lease := await self._take(lot)) is not None:
            try:
                async with self._held(lease):
                    await self._work(lot, lease, tally)
            except LeaseLostError as error:
                get_logger().warning("replay.overtaken", object=lot.key, error=str(error))
        return tally.outcome(len(lot.records))

    async def _take(self, lot: Lot) -> Lease | None:
        """The lot's lease, or None when all of it is done. Waits while another replay holds it and lives."""
        seen, since, told = await self._row(lot), self._clock.monotonic(), False
        while not seen.ended:
            if seen.owner is None or self._clock.monotonic() - since >= self._failover:
                with contextlib.suppress(ConflictError):
                    return await self._leases.take(seen, self._owner)
            else:
                if not told:
                    get_logger().warning("replay.waiting", object=lot.key, holder=seen.owner)
                    told = True
                await self._clock.sleep(self._failover / LOOKS_PER_FAILOVER)
            row = await self._row(lot)
            if (row.owner, row.counter) != (seen.owner, seen.counter):
                since = self._clock.monotonic()
            seen = row
        return None

    async def _row(self, lot: Lot) -> Lease:
        row = await self._leases.get(lot.lease_key)
        if row is None:
            await self._leases.create([Lease(key=lot.lease_key)])
            row = await self._leases.get(lot.lease_key)
        assert row is not None, "rows are never deleted"
        return row

    @contextlib.asynccontextmanager
    async def _held(self, lease: Lease) -> AsyncIterator[None]:
        """Renew the lease while the block runs, then give it up, so that nobody has to wait for its end."""
        renewing = asyncio.create_task(self._renew(lease))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
            try:
                await self._leases.release(lease)
            except (RetryableError, AccessError) as error:
                get_logger().warning("lease.release_failed", shard=lease.shard_id, error=str(error))

    async def _renew(self, lease: Lease) -> None:
        """Until cancelled, or lost; the next conditional write will tell."""
        while True:
            await self._clock.sleep(self._failover / RENEWALS_PER_FAILOVER)
            try:
                lease = await self._leases.renew(lease)
            except LeaseLostError:
                return
            except (RetryableError, AccessError) as error:
                get_logger().warning("lease.renewal_failed", shard=lease.shard_id, error=str(error))

    async def _work(self, lot: Lot, lease: Lease, tally: _Tally) -> None:
        if lease.ended:  # between the last look and the take
            return
        planner = Planner(
            MendedTransform(self._transform, lot, self._mending, now=self._clock.now()),
            self._policy,
            lineage=self._delivery.lineage,
            letter=lot.letter,
        )
        settled = await retry(partial(self._recovery.settle, lease))
        if settled.generation == lease.generation:  # else the row was lost, and this is what earlier runs did
            tally.add(lease.ledger, settled.ledger)
        lease = settled
        window = await retry(partial(self._recovery.window, lease, self._dedup_seconds))
        batch = Batch(self._policy)
        batch.add(lot.after(lease.checkpoint), self._clock.monotonic())
        while batch:
            plan = await self._plan(planner, batch.head(), lease, window)
            attempt = self._delivery.attempt(plan, lease)
            committed = await retry(partial(attempt.run, caught_up_at=None))
            tally.add(lease.ledger, committed.ledger)
            tally.reasons.update(plan.reasons)
            lease = committed
            batch.drop(plan.records)
            window.remember(plan.event_ids, plan.last_arrival)
        await retry(partial(self._delivery.end, lease, caught_up_at=None))

    async def _plan(self, planner: Planner, records: Sequence[Record], lease: Lease, window: DedupWindow) -> BatchPlan:
        async with self._one_plan:
            return await asyncio.to_thread(planner.plan, records, lease, now=self._clock.now(), window=window)
