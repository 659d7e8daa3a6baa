"""All shards that this process holds: a worker for each lease gained, none for a lease lost."""

import asyncio
from collections.abc import Callable

from headrace.delivery.shard import ShardWorker
from headrace.errors import LeaseLostError, NotFoundError
from headrace.leases.keeper import CaughtUp, LeaseKeeper, Round
from headrace.leases.model import Lease, LeaseKey
from headrace.runtime import Shutdown
from headrace.telemetry.health import Health
from headrace.telemetry.log import bind_task, get_logger
from headrace.telemetry.metrics import Metrics


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
        self._workers: dict[LeaseKey, ShardWorker] = {}
        self._tasks: dict[LeaseKey, asyncio.Task[None]] = {}

    async def run(self, shutdown: Shutdown) -> None:
        """Work until `shutdown` is requested; then drain every shard by its deadline and release the leases.

        Raises the `StopError` of the first shard that cannot go on.
        """
        drained = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(
                    self._keeper.run(
                        lambda change: self._follow(change, group, shutdown), shutdown=shutdown, drained=drained
                    )
                )
                await shutdown.wait()
                if self._tasks:
                    await asyncio.wait(set(self._tasks.values()), timeout=shutdown.deadline.remaining)
                for task in self._tasks.values():
                    task.cancel()
                drained.set()
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None

    async def check(self) -> None:
        """Raise the `AccessError` or `HaltedError` for which a shard stands still, if there is one."""
        for worker in self._workers.values():
            if worker.refusal is not None:
                raise worker.refusal

    def _caught_up(self, key: LeaseKey) -> float | None:
        worker = self._workers.get(key)
        return worker.caught_up_at if worker is not None else None

    def _follow(self, change: Round, group: asyncio.TaskGroup, shutdown: Shutdown) -> None:
        if not self._tasks:
            self._health.beat()  # nothing to do is no standstill; else the workers tell
        for key in change.lost:
            if key in self._tasks:
                self._tasks[key].cancel()
        for lease in change.gained:
            worker = self._workers[lease.key] = self._make_worker(lease)
            self._tasks[lease.key] = group.create_task(self._work(lease, worker, shutdown))

    async def _work(self, lease: Lease, worker: ShardWorker, shutdown: Shutdown) -> None:
        bind_task(shard=lease.shard_id, epoch=lease.epoch)
        log = get_logger()
        try:
            await worker.run(shutdown)
        except LeaseLostError as error:
            self._metrics.lease_lost.labels(cause="commit").inc()
            log.warning("shard.dropped", error=str(error))
        except NotFoundError as error:
            log.error("shard.unreadable", error=str(error))  # noqa: TRY400 - the reason is all there is to say
        finally:
            if self._workers.get(lease.key) is worker:
                del self._workers[lease.key], self._tasks[lease.key]
        await self._keeper.release(lease.key)
