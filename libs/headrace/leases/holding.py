"""The leases that a worker holds: renewed, handed over to who claims them, given up."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from headrace.clock import Clock
from headrace.errors import AccessError, LeaseLostError, RetryableError
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.ports import LeaseStore
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

CaughtUp = Callable[[LeaseKey], float | None]
"""When the shard was last read to its tip with nothing left in memory (seconds since 1970 UTC), if ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A claim on what we hold."""

    by: str
    at: float
    """When we saw it (monotonic seconds)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """What a round of renewals came to."""

    lost: tuple[LeaseKey, ...]
    rows: tuple[Lease, ...]
    unanswered: int


class Holding:
    """Belongs to one lease keeper. A call that takes longer than `call_seconds` is given up, `owner` is our name.

    What the store does not answer, or refuses, stays held until another worker is seen to have it, and is released
    later if that was the wish.
    """

    def __init__(
        self,
        store: LeaseStore,
        *,
        owner: str,
        call_seconds: float,
        caught_up: CaughtUp,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._owner = owner
        self._call_seconds = call_seconds
        self._caught_up = caught_up
        self._clock = clock
        self._metrics = metrics
        self._held: dict[LeaseKey, Lease] = {}
        self._letting_go: dict[LeaseKey, Lease] = {}
        """Held no longer, but the store has not confirmed it."""
        self._unreleased: dict[LeaseKey, Lease] = {}
        """Those of them whose release failed."""
        self._asked: dict[LeaseKey, Asked] = {}
        self.emptied = asyncio.Event()
        """Set while nothing is held."""
        self.emptied.set()

    @property
    def leases(self) -> Mapping[LeaseKey, Lease]:
        """The leases held, as of their last renewal."""
        return dict(self._held)

    @property
    def ours(self) -> set[LeaseKey]:
        """All that nobody else should have: held, or on the way to being released."""
        return {*self._held, *self._letting_go}

    @property
    def asked(self) -> Mapping[LeaseKey, Asked]:
        """What others claim of it."""
        return dict(self._asked)

    def add(self, gained: Iterable[Lease]) -> None:
        """Hold these, too."""
        self._held.update((lease.key, lease) for lease in gained)
        self._count()

    def holds(self, row: Lease) -> bool:
        """Whether this is a row of ours, and not of an earlier or later owner."""
        held = self._held.get(row.key)
        return held is not None and (held.owner, held.epoch) == (row.owner, row.epoch)

    def notice(self, rows: Iterable[Lease]) -> tuple[LeaseKey, ...]:
        """The keys of those of `rows` that we hold and another worker claims."""
        claimed = []
        for row in rows:
            if self.holds(row) and row.claim is not None and row.claim != self._owner:
                self._asked.setdefault(row.key, Asked(by=row.claim, at=self._clock.monotonic()))
                claimed.append(row.key)
        return tuple(claimed)

    async def renew(self, *, leaving: bool) -> Renewed:
        """Renew all that is held, and try again to release what could not be released."""
        outcomes = await asyncio.gather(*(self._renew(lease, leaving=leaving) for lease in self._held.values()))
        await self._release_again(self._call_seconds)
        return Renewed(
            lost=tuple(outcome for outcome in outcomes if isinstance(outcome, str)),
            rows=tuple(outcome for outcome in outcomes if isinstance(outcome, Lease)),
            unanswered=outcomes.count(None),
        )

    async def release(self, lease: Lease) -> None:
        """Give a lease up as it was gained; nothing happens when it is held no longer."""
        if self.holds(lease):
            held = self._letting_go[lease.key] = self._held.pop(lease.key)
            self._count()
            await self._release(held, self._call_seconds)

    async def release_all(self, within: float) -> None:
        """Give everything up. What failed is tried once more, for so many seconds."""
        await asyncio.gather(*map(self.release, self.leases.values()))
        await self._release_again(within)

    async def _renew(self, lease: Lease, *, leaving: bool) -> Lease | LeaseKey | None:
        """Renew one lease. Returns its row, its key when it is lost, None when nobody answers."""
        try:
            async with asyncio.timeout(self._call_seconds):
                renewed = await self._store.renew(lease, caught_up_at=self._caught_up(lease.key), leaving=leaving)
        except LeaseLostError as error:
            if not self.holds(lease):
                return lease  # released meanwhile
            del self._held[lease.key]
            self._asked.pop(lease.key, None)
            self._count()
            self._metrics.lease_lost.labels(cause="renewal").inc()
            get_logger().warning("lease.lost", shard=lease.shard_id, epoch=lease.epoch, error=str(error))
            return lease.key
        except (RetryableError, AccessError, TimeoutError) as error:
            get_logger().warning("lease.renewal_failed", shard=lease.shard_id, error=f"{type(error).__name__}: {error}")
            return None
        if self.holds(renewed):
            self._held[lease.key] = renewed
        return renewed

    async def _release(self, held: Lease, within: float) -> None:
        log = get_logger().bind(shard=held.shard_id, epoch=held.epoch)
        try:
            async with asyncio.timeout(within):
                await self._store.release(held)
        except (RetryableError, AccessError, TimeoutError) as error:
            self._unreleased[held.key] = held
            log.warning("lease.release_failed", error=f"{type(error).__name__}: {error}")
            return
        self._letting_go.pop(held.key, None)
        if (asked := self._asked.pop(held.key, None)) is None:
            log.info("lease.released")
        else:
            seconds = self._clock.monotonic() - asked.at
            self._metrics.lease_handoff_seconds.observe(seconds)
            log.info("lease.handed_over", to=asked.by, seconds=round(seconds, 3))

    async def _release_again(self, within: float) -> None:
        failed, self._unreleased = self._unreleased, {}
        await asyncio.gather(*(self._release(held, within) for held in failed.values()))

    def _count(self) -> None:
        self._metrics.leases_held.set(len(self._held))
        if self._held:
            self.emptied.clear()
        else:
            self.emptied.set()
