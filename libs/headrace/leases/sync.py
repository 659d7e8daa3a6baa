"""Keeps the rows of a stream in step with its shards: those that come, those that vanish, those long done."""

import asyncio
import random
from collections.abc import Callable

from headrace.clock import Clock
from headrace.errors import AccessError, ConflictError, NotFoundError, RetryableError
from headrace.leases.model import Lease, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.leases.topology import persisting, plan_audit, plan_goodbyes, plan_removals, plan_rows
from headrace.stream.ports import HashRange, ShardId, StreamInfo, StreamReader
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics

SYNC_SECONDS = 30.0
"""Between two looks at the stream's list of shards; up to a fifth less, so that workers spread out."""
CONFIRM_SECONDS = 20.0
"""Between the first and the last of the looks that have to agree before a row is removed, or a shard taken for gone."""


class ShardSync:
    """Looks at the stream's shards from time to time. Any number of workers may do so at once.

    `start` is where shards without a checkpoint begin: TRIM_HORIZON, LATEST or AT_TIMESTAMP. A look costs one
    DescribeStreamSummary, a ListShards for each thousand shards, and a listing of the rows.
    """

    def __init__(
        self,
        store: LeaseStore,
        reader: StreamReader,
        stream: StreamInfo,
        *,
        start: str,
        clock: Clock,
        metrics: Metrics,
        roll: Callable[[], float] = random.random,
        confirm_seconds: float = CONFIRM_SECONDS,
    ) -> None:
        self.prefix = lease_prefix(stream)
        """Of the keys of all rows of the stream."""
        self._store = store
        self._reader = reader
        self._stream = stream
        self._start = start
        self._clock = clock
        self._metrics = metrics
        self._roll = roll
        self._confirm_seconds = confirm_seconds
        self._due_at = clock.monotonic()
        self._one_at_a_time = asyncio.Lock()
        self._begun = self._done = 0
        """Looks, by number: the last one that began, and the last one that came to its end."""
        self._gone: dict[ShardId, float] = {}
        self._removable: dict[Lease, float] = {}
        self._holes: dict[HashRange, float] = {}
        """What looks found to be so, and since when all of them did (monotonic seconds)."""

    async def run_if_due(self) -> None:
        """`run`, unless that was done a short while ago."""
        if self._clock.monotonic() >= self._due_at:
            await self.run()

    async def run(self) -> None:
        """Look at all shards and rows: add rows for shards that have none, remove those of shards long gone.

        To be called before SHARD_END is committed, so that no child is missed. Who asks while a look is under way
        waits for the next one, which then serves all who wait.

        Raises `RetryableError` when the stream or the store does not answer, `NotFoundError` when the stream is gone
        or was made anew: then the rows stay as they are.
        """
        wanted = self._begun + 1
        async with self._one_at_a_time:
            if self._done < wanted:
                self._begun += 1
                await self._look()
                self._done = self._begun

    async def is_gone(self, shard_id: ShardId) -> bool:
        """Whether the stream has the shard of an unfinished row no more. It takes a while to be sure.

        Raises as `run`.
        """
        await self.run()
        while (since := self._gone.get(shard_id)) is not None:
            left = since + self._confirm_seconds - self._clock.monotonic()
            if left <= 0:
                return True
            await self._clock.sleep(left)
            await self.run()
        return False

    async def _look(self) -> None:
        now = self._clock.monotonic()
        info = await self._reader.info()
        if lease_prefix(info) != self.prefix:
            raise NotFoundError(f"{self._stream.name} was made anew: begin again with the new one")
        shards = await self._reader.shards()
        rows = await self._store.list(self.prefix)
        missing = plan_rows(self._stream, shards, rows, self._start)
        if missing:
            await self._store.create(missing)
            get_logger().info("leases.created", shards=[row.shard_id for row in missing])
        rows += missing
        self._gone = persisting(plan_goodbyes(shards, rows), self._gone, now)
        self._holes = persisting(plan_audit(shards, rows), self._holes, now)
        self._tell_holes(now)
        removable = plan_removals(shards, rows, apart=info.retention_seconds / 2)
        self._removable = persisting(removable, self._removable, now)
        self._due_at = self._clock.monotonic() + SYNC_SECONDS * (1 - self._roll() / 5)
        await self._remove(now)

    def _tell_holes(self, now: float) -> None:
        holes = [found for found, since in self._holes.items() if self._is_sure(since, now)]
        self._metrics.shard_hash_range_holes.set(len(holes))
        if holes:
            get_logger().error("shards.hole", ranges=[[str(first), str(last)] for first, last in holes])

    async def _remove(self, now: float) -> None:
        for row, since in self._removable.items():
            if not self._is_sure(since, now):
                continue
            try:
                await self._store.remove(row, now=self._clock.now())
            except ConflictError:
                continue  # somebody touched it: another look has to find it again
            except (RetryableError, AccessError) as error:  # rows too many do no harm: nothing has to wait for it
                get_logger().warning("lease.removal_failed", shard=row.shard_id, error=str(error))
                return
            get_logger().info("lease.removed", shard=row.shard_id, batch_no=row.batch_no)

    def _is_sure(self, since: float, now: float) -> bool:
        return now - since >= self._confirm_seconds
