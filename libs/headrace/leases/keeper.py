"""Keeps a worker's share of the leases: renews what it holds, looks for what it lacks, hands over what others claim.

Losing a lease is an everyday event: that shard is dropped, the worker goes on. Nothing here makes delivery safe; the
conditional commit does. Only the monotonic clock decides.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from headrace.clock import Clock
from headrace.errors import AccessError, RetryableError
from headrace.leases.acquire import Acquirer
from headrace.leases.holding import CaughtUp, Holding
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.ports import LeaseStore
from headrace.leases.sync import ShardSync
from headrace.runtime import Shutdown
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

RENEWALS_PER_FAILOVER = 3
LOOKS_PER_FAILOVER = 6
"""A dead worker's last renewal is seen by the next look: its leases are free to us a failover and a look later."""
IDLE_LOOKS_PER_FAILOVER = 10
"""Of a worker that holds nothing: nobody may know of it and hand it anything, so it has to see what is free."""
EAGER_SECONDS = 0.5
"""Between looks at what we claim, and after a look that took something: there may be more. At most a look's pause."""
QUIET_LOOKS = 3
"""Looks of a worker that is leaving without a new claim, before it waits for none any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What changed; `lost` comes first. A lease that is gained carries the only state to start from."""

    lost: tuple[LeaseKey, ...] = ()
    gained: tuple[Lease, ...] = ()
    claimed: tuple[LeaseKey, ...] = ()
    """Held, and asked for by another worker: finish, and `release`. Told again until that is done."""


Tell = Callable[[Round], None]


class LeaseKeeper:
    """One worker's leases on one stream. `run` it beside the shard workers.

    `owner` is unique to this process; `failover` is in seconds and the same for all workers. Shard workers commit with
    the row they were given: renewals do not get in their way. Renewing, looking at the leases and looking at the
    stream's shards are loops of their own: none of them delays another.
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
        self._sync = sync
        self._failover = failover
        self._clock = clock
        self._call_seconds = failover / RENEWALS_PER_FAILOVER
        self._look_seconds = failover / LOOKS_PER_FAILOVER
        self._eager_seconds = min(EAGER_SECONDS, self._look_seconds)
        self._acquirer = Acquirer(store, owner=owner, failover=failover, clock=clock, metrics=metrics)
        self._holding = Holding(
            store, owner=owner, call_seconds=self._call_seconds, caught_up=caught_up, clock=clock, metrics=metrics
        )
        self._look_at = clock.monotonic()
        self._in_step = asyncio.Event()
        """Set once the stream's shards were looked at, or could not be."""
        self._out_of_reach = False
        """Whether most of the last renewals were not answered: then they come first."""
        self._leaving = False

    @property
    def held(self) -> Mapping[LeaseKey, Lease]:
        """The leases held, as of their last renewal."""
        return self._holding.leases

    async def run(self, tell: Tell, *, shutdown: Shutdown, drained: asyncio.Event) -> None:
        """Keep a share of the leases until `shutdown` is requested, and what is held until `drained`; then release all.

        Raises the `StopError` or `NotFoundError` that ends the service.
        """
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._keep_renewing(tell, drained))
                looking = [loops.create_task(loop) for loop in (self._keep_in_step(), self._keep_looking(tell))]
                await shutdown.wait()
                for loop in looking:
                    loop.cancel()
                await self._give_back(await self._acquirer.finish(self._failover))
                await drained.wait()
            await self.release_all()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self._acquirer.give_up()

    async def offer(self, tell: Tell, shutdown: Shutdown) -> None:
        """Let the others claim what is held, which is worked on meanwhile. To be called when told to stop.

        Returns when nothing is held any more, nobody is there or asks for more, or half of the drain's time is over.
        """
        self._leaving = True  # with the next renewals, also while all is drained
        enough = shutdown.deadline.remaining / 2
        if not self.held or self._acquirer.is_alone():
            return
        get_logger().info("leases.offered", count=len(self.held))
        tell(await self.renew())
        quiet, claimed = 0, set(self._holding.asked)
        while quiet < QUIET_LOOKS and shutdown.deadline.remaining > enough:
            if await _set_within(self._holding.emptied, self._look_seconds):
                return
            tell(await self.look(take=False))
            if self._acquirer.is_alone():
                return
            quiet = 0 if self._holding.asked.keys() - claimed else quiet + 1
            claimed.update(self._holding.asked)

    async def release(self, lease: Lease) -> None:
        """Give a lease up as it was gained: its shard ended, its worker failed or has finished for another one."""
        await self._holding.release(lease)

    async def release_all(self) -> None:
        """Give everything up, so that other workers, or the next start of this one, need not wait."""
        await self._holding.release_all(self._failover)  # what is not released after that has expired

    async def renew(self) -> Round:
        """Renew all that is held."""
        renewed = await self._holding.renew(leaving=self._leaving)
        self._out_of_reach = renewed.unanswered > len(renewed.rows) + len(renewed.lost)
        return Round(lost=renewed.lost, claimed=self._holding.notice(renewed.rows))

    async def sync(self) -> None:
        """See to it from time to time that there are rows for all shards. Who cannot goes on with those there are."""
        async with self._patience(self._failover):
            await self._sync.run_if_due()

    async def look(self, *, take: bool = True) -> Round:
        """Look at all rows, and take or claim what is due to us. A store that does not answer changes nothing."""
        began = self._clock.monotonic()
        rows: Sequence[Lease] = ()
        async with self._patience(self._call_seconds):
            rows = await self._acquirer.look(self._sync.prefix, self._holding.ours, take=take)
        gained = await self._gained() if take else ()
        pause = self._look_seconds if self.held else self._failover / IDLE_LOOKS_PER_FAILOVER
        eager = gained or self._acquirer.refused
        self._look_at = min(began + (self._eager_seconds if eager else pause), self._acquirer.next_expiry)
        return Round(gained=gained, claimed=self._holding.notice(rows))

    async def ask_again(self) -> Round:
        """Look at the leases that we claim only."""
        self._acquirer.ask_again()
        return Round(gained=await self._gained())

    async def _gained(self) -> tuple[Lease, ...]:
        gained = await self._acquirer.gained(self._eager_seconds)
        self._holding.add(gained)
        return gained

    async def _give_back(self, taken: Sequence[Lease]) -> None:
        """Release what we took and do not want any more."""
        self._holding.add(taken)
        await asyncio.gather(*map(self.release, taken))

    async def _keep_renewing(self, tell: Tell, drained: asyncio.Event) -> None:
        while not drained.is_set():
            due = self._clock.monotonic() + self._call_seconds
            tell(await self.renew())
            await _set_within(drained, max(0.0, due - self._clock.monotonic()))

    async def _keep_in_step(self) -> None:
        while True:
            await self.sync()
            self._in_step.set()
            await asyncio.sleep(self._call_seconds)

    async def _keep_looking(self, tell: Tell) -> None:
        await self._in_step.wait()
        while True:
            if self._out_of_reach:
                await asyncio.sleep(self._call_seconds)
            elif self._clock.monotonic() >= self._look_at:
                tell(await self.look())
            else:
                tell(await self.ask_again())
            left = max(0.0, self._look_at - self._clock.monotonic())
            await asyncio.sleep(min(left, self._eager_seconds) if self._acquirer.busy else left)

    @contextlib.asynccontextmanager
    async def _patience(self, seconds: float) -> AsyncIterator[None]:
        """What is not answered within so many seconds, or refused, is left to the next time."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except (RetryableError, AccessError, TimeoutError) as error:
            get_logger().warning("leases.unavailable", error=f"{type(error).__name__}: {error}")


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
