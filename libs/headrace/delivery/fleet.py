"""All shards that this process holds: a worker for each lease gained, none for a lease lost or handed over."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from headrace.delivery.shard import ShardWorker
from headrace.errors import LeaseLostError, NotFoundError
from headrace.leases.holding import CaughtUp
from headrace.leases.keeper import LeaseKeeper, Round
from headrace.leases.model import Lease, LeaseKey
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from headrace.telemetry.log import bind_task, get_logger
from headrace.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    worker: ShardWorker
    stop: Shutdown
    """This shard's own: it may be told to stop while the others go on."""
    task: asyncio.Task[None]


class Fleet:
    """Runs shard workers by what the lease keeper gains and loses. Shards do not know of each other."""

    def __init__(
        self,
        make_keeper: Callable[[CaughtUp], LeaseKeeper],
        make_worker: Callable[[Lease], ShardWorker],
        *,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._keeper = make_keeper(self._caught_up)
        self._make_worker = make_worker
        self._metrics = metrics
        self._health = health
        self._running: dict[LeaseKey, _Running] = {}
        self._draining = False

    async def run(self, shutdown: Shutdown) -> None:
        """Work until `shutdown` is requested, hand over to whoever is there, then drain what is left by the deadline.

        Raises the `StopError` of the first shard that cannot go on.
        """
        drained = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:

                def follow(change: Round) -> None:
                    self._follow(change, group, shutdown)

                group.create_task(self._keeper.run(follow, shutdown=shutdown, drained=drained))
                await shutdown.wait()
                await self._keeper.offer(follow, shutdown)
                await self._drain(shutdown)
                drained.set()
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None

    async def check(self) -> None:
        """Raise the `AccessError` or `HaltedError` for which a shard stands still, if there is one."""
        for running in self._running.values():
            if running.worker.refusal is not None:
                raise running.worker.refusal

    async def _drain(self, shutdown: Shutdown) -> None:
        self._draining = True
        tasks = [running.task for running in self._running.values()]
        for running in self._running.values():
            running.stop.request()
        if tasks:
            await asyncio.wait(tasks, timeout=shutdown.deadline.remaining)
        for task in tasks:
            task.cancel()

    def _caught_up(self, key: LeaseKey) -> float | None:
        running = self._running.get(key)
        return running.worker.caught_up_at if running is not None else None

    def _follow(self, change: Round, group: asyncio.TaskGroup, shutdown: Shutdown) -> None:
        if not self._running:
            self._health.beat()  # nothing to do is no standstill; else the workers tell
        for key in change.lost:
            if key in self._running:
                self._running[key].task.cancel()
        for key in change.claimed:
            if key in self._running:
                self._running[key].stop.request()
        for lease in change.gained:
            if lease.key in self._running:  # of an earlier epoch: whatever it decides on is refused
                self._running[lease.key].task.cancel()
            worker, stop = self._make_worker(lease), shutdown.part()
            if self._draining:
                stop.request()
            task = group.create_task(self._work(lease, worker, stop))
            self._running[lease.key] = _Running(worker=worker, stop=stop, task=task)

    async def _work(self, lease: Lease, worker: ShardWorker, stop: Shutdown) -> None:
        bind_task(shard=lease.shard_id, epoch=lease.epoch)
        log = get_logger()
        try:
            await worker.run(stop)
        except LeaseLostError as error:
            self._metrics.lease_lost.labels(cause="commit").inc()
            log.warning("shard.dropped", error=str(error))
        except NotFoundError as error:
            log.error("shard.unreadable", error=str(error))  # noqa: TRY400 - the reason is all there is to say
        finally:
            if (running := self._running.get(lease.key)) is not None and running.worker is worker:
                del self._running[lease.key]
                if not self._draining:  # else the last scrape may still come
                    self._metrics.forget_shard(lease.shard_id)
        await self._keeper.release(lease)
