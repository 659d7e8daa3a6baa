"""Gets a worker its share of the leases: looks at all rows, takes what nobody holds, asks the owners for the rest.

What was sent to the store may land whatever we do, so takes and claims are never broken off: one that is not answered
in time goes on, and is found by a later call, or by `finish` before the worker gives everything up.
"""

import asyncio
from collections.abc import Collection, Coroutine, Sequence

from headrace.clock import Clock
from headrace.errors import AccessError, ConflictError, RetryableError
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.plan import Claim, Observation, Standing, next_expiry, observe, plan_share, standing
from headrace.leases.ports import LeaseStore
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

CALLS_AT_ONCE = 16


class Acquirer:
    """Belongs to one lease keeper. `owner` is the worker's name, `failover` in seconds.

    Methods raise the `StopError` that ends the service. A store that does not answer, or does not let us in, changes
    nothing.
    """

    def __init__(self, store: LeaseStore, *, owner: str, failover: float, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._owner = owner
        self._failover = failover
        self._clock = clock
        self._metrics = metrics
        self._observed: dict[LeaseKey, Observation] = {}
        self._claims: dict[LeaseKey, Claim] = {}
        self._under_way: dict[LeaseKey, asyncio.Task[Lease | None]] = {}
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)
        self._alone = True
        self._asked_at = clock.monotonic()
        self.refused = False
        """Whether another worker was faster in something that the last look wanted: there may be more of it."""

    def is_alone(self) -> bool:
        """Whether the last look showed no other worker that stays."""
        return self._alone

    @property
    def busy(self) -> bool:
        """Whether a claim waits for its owner, or a call for its answer."""
        return bool(self._claims or self._under_way)

    @property
    def next_expiry(self) -> float:
        """When a lease of another worker expires, unless it is renewed (monotonic seconds).

        In the past for one that expired while the last look's rows were on their way: that look had to pass it over.
        """
        return next_expiry(self._observed, self._owner, self._asked_at, self._failover)

    async def look(self, prefix: str, held: Collection[LeaseKey], *, take: bool) -> Sequence[Lease]:
        """Read all rows, and begin to take and to claim what is due to us.

        Returns the rows. Raises `RetryableError` and `AccessError` when they could not be read.
        """
        # From the end of one reading to the start of another: a lease is never thought older than it is.
        asked = self._asked_at = self._clock.monotonic()
        self.refused = False
        rows = await self._store.list(prefix)
        ours = {*held, *self._under_way}
        self._observed = observe(rows, self._observed, self._clock.monotonic(), me=self._owner, held=ours)
        plan = plan_share(rows, self._owner, self._observed, asked, self._failover)
        self._alone = plan.alone
        if take:
            self._remember_claims(rows)
            for lease in plan.take:
                if lease.key not in held:  # else it is lost and free again; the next renewal will tell
                    self._begin(lease.key, self._take(lease))
            for lease in plan.claim:
                self._begin(lease.key, self._claim(lease))
        return rows

    def ask_again(self) -> None:
        """Look at the rows that we claim: each is taken as soon as it is free."""
        for claim in list(self._claims.values()):
            self._begin(claim.key, self._follow(claim))

    async def gained(self, within: float) -> tuple[Lease, ...]:
        """What was taken, waiting so many seconds for what is under way."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=within)
        done = [key for key, task in self._under_way.items() if task.done()]
        results = [self._under_way.pop(key).result() for key in done]
        return tuple(lease for lease in results if lease is not None)

    async def finish(self, within: float) -> tuple[Lease, ...]:
        """The same for the last time: what is not answered by then is given up."""
        self._claims.clear()
        try:
            return await self.gained(within)
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Break off what is under way."""
        for task in self._under_way.values():
            task.cancel()
        self._under_way.clear()

    def _begin(self, key: LeaseKey, work: Coroutine[None, None, Lease | None]) -> None:
        if key in self._under_way:
            work.close()
            return
        self._under_way[key] = asyncio.create_task(self._patiently(work))

    async def _patiently(self, work: Coroutine[None, None, Lease | None]) -> Lease | None:
        async with self._places:
            try:
                return await work
            except (RetryableError, AccessError) as error:
                get_logger().warning("leases.unavailable", error=f"{type(error).__name__}: {error}")
                return None

    async def _take(self, seen: Lease) -> Lease | None:
        try:
            taken = await self._store.take(seen, self._owner)
        except ConflictError:
            self._metrics.cas_conflicts.labels(op="take").inc()
            self.refused = True
            return None
        self._claims.pop(taken.key, None)
        get_logger().info(
            "lease.taken", shard=taken.shard_id, epoch=taken.epoch, checkpoint=taken.checkpoint, before=seen.owner
        )
        return taken

    async def _claim(self, seen: Lease) -> None:
        try:
            claimed = await self._store.claim(seen, self._owner)
        except ConflictError:
            self._metrics.cas_conflicts.labels(op="claim").inc()
            self.refused = True
            return
        self._remember_claims([claimed])
        get_logger().info("lease.claimed", shard=claimed.shard_id, epoch=claimed.epoch, owner=claimed.owner)

    async def _follow(self, claim: Claim) -> Lease | None:
        row = await self._store.get(claim.key)
        match standing(row, claim, self._owner, self._clock.monotonic()):
            case Standing.OPEN:
                return None
            case Standing.OVERDUE:
                get_logger().warning("lease.overdue", shard=claim.lease.shard_id, owner=claim.lease.owner)
            case Standing.GONE:
                self._claims.pop(claim.key, None)
                return None
            case Standing.FREE:
                pass
        assert row is not None
        return await self._take(row)

    def _remember_claims(self, rows: Sequence[Lease]) -> None:
        """Those that have our name on them, also when the answer that said so was lost."""
        now = self._clock.monotonic()
        for row in rows:
            if row.claim == self._owner and row.owner not in {None, self._owner}:
                self._claims.setdefault(row.key, Claim(lease=row, until=now + self._failover))
