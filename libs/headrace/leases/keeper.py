"""Keeps a worker's share of the leases: adds rows, renews what is held, takes what is free, gives up at the end.

Losing a lease is an everyday event: that shard is dropped, the worker goes on. Nothing here makes delivery safe; the
conditional commit does. Only the monotonic clock decides.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.clock import Clock
from headrace.errors import AccessError, ConflictError, LeaseLostError, RetryableError
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.plan import Observation, observe, plan_take
from headrace.leases.ports import LeaseStore
from headrace.leases.sync import ShardSync
from headrace.runtime import Shutdown
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

ROUNDS_PER_FAILOVER = 3
EAGER_SECONDS = 0.5
"""Pause after a round that took something: there may be more."""

CaughtUp = Callable[[LeaseKey], float | None]
"""When the shard was last read to its tip with nothing left in memory (seconds since 1970 UTC), if ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What changed; `lost` comes first. A lease that is gained carries the only state to start from."""

    gained: tuple[Lease, ...]
    lost: tuple[LeaseKey, ...]


class LeaseKeeper:
    """One worker's leases on one stream. `run` it beside the shard workers.

    `owner` is unique to this process; `failover` is in seconds and the same for all workers. Shard workers commit with
    the row they were given: renewals do not get in their way.
    """

    def __init__(
        self,
        store: LeaseStore,
        sync: ShardSync,
        *,
        owner: str,
        failover: float,
        caught_up: CaughtUp,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._sync = sync
        self._owner = owner
        self._failover = failover
        self._caught_up = caught_up
        self._clock = clock
        self._metrics = metrics
        self._interval = failover / ROUNDS_PER_FAILOVER
        self._held: dict[LeaseKey, Lease] = {}
        self._observed: dict[LeaseKey, Observation] = {}

    @property
    def held(self) -> Mapping[LeaseKey, Lease]:
        """The leases held, as of their last renewal."""
        return dict(self._held)

    async def run(self, on_round: Callable[[Round], None], *, shutdown: Shutdown, drained: asyncio.Event) -> None:
        """A round every third of the failover time until `drained` is set, then release all.

        Once `shutdown` is requested nothing is taken any more, but what is held is renewed until the shard workers
        are done. Raises the `StopError` or `NotFoundError` that ends the service.
        """
        while not drained.is_set():
            due = self._clock.monotonic() + self._interval
            changes = await self.round(take=not shutdown.requested)
            on_round(changes)
            pause = EAGER_SECONDS if changes.gained else due - self._clock.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(pause, self._interval))):
                    await drained.wait()
        await self.release_all()

    async def round(self, *, take: bool = True) -> Round:
        """Renew all that is held, then take what is due.

        A store or stream that does not answer, or does not let us in, changes nothing: the next round tries again, and
        leases stay held until another worker is seen to have them.
        """
        renewed = await asyncio.gather(*map(self._renew, self.held.values()))
        gained: list[Lease] = []
        if take:
            try:
                async with asyncio.timeout(self._interval):
                    await self._take(gained)
            except (RetryableError, AccessError, TimeoutError) as error:
                get_logger().warning("leases.unavailable", error=f"{type(error).__name__}: {error}")
        self._metrics.leases_held.set(len(self._held))
        return Round(gained=tuple(gained), lost=tuple(key for key in renewed if key is not None))

    async def release(self, key: LeaseKey) -> None:
        """Give one lease up: its shard ended, its worker failed, or it is lost already."""
        held = self._held.pop(key, None)
        if held is None:
            return
        self._metrics.leases_held.set(len(self._held))
        try:
            await self._store.release(held)
        except (RetryableError, AccessError) as error:
            get_logger().warning("lease.release_failed", shard=held.shard_id, error=str(error))
        else:
            get_logger().info("lease.released", shard=held.shard_id, epoch=held.epoch)

    async def release_all(self) -> None:
        """Give everything up, so that other workers, or the next start of this one, need not wait."""
        await asyncio.gather(*map(self.release, self.held))

    async def _renew(self, lease: Lease) -> LeaseKey | None:
        """Renew one lease. Returns its key when it is lost."""
        try:
            async with asyncio.timeout(self._interval):
                renewed = await self._store.renew(lease, caught_up_at=self._caught_up(lease.key))
        except LeaseLostError as error:
            if self._held.pop(lease.key, None) is None:
                return None  # released meanwhile
            self._metrics.lease_lost.labels(cause="renewal").inc()
            get_logger().warning("lease.lost", shard=lease.shard_id, epoch=lease.epoch, error=str(error))
            return lease.key
        except (RetryableError, AccessError, TimeoutError) as error:
            get_logger().warning("lease.renewal_failed", shard=lease.shard_id, error=f"{type(error).__name__}: {error}")
            return None
        if lease.key in self._held:
            self._held[lease.key] = renewed
        return None

    async def _take(self, gained: list[Lease]) -> None:
        await self._sync.run_if_due()
        # From the end of one reading to the start of another: a lease is never thought older than it is.
        asked = self._clock.monotonic()
        leases = await self._store.list(self._sync.prefix)
        self._observed = observe(
            leases, self._observed, self._clock.monotonic(), me=self._owner, held=self._held.keys()
        )
        for lease in plan_take(leases, self._owner, self._observed, asked, self._failover):
            if lease.key in self._held:
                continue  # lost and free again; the next renewal will tell
            try:
                taken = await self._store.take(lease, self._owner)
            except ConflictError:
                self._metrics.cas_conflicts.labels(op="take").inc()
                continue
            self._held[taken.key] = taken
            gained.append(taken)
            get_logger().info("lease.taken", shard=taken.shard_id, epoch=taken.epoch, checkpoint=taken.checkpoint)
