"""Keeps the rows of a stream in step with its shards."""

from headrace.clock import Clock
from headrace.leases.model import lease_prefix
from headrace.leases.plan import plan_rows
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import StreamInfo, StreamReader
from headrace.telemetry.log import get_logger

SYNC_SECONDS = 30.0
"""Between two looks at the stream's list of shards."""


class ShardSync:
    """Looks at the stream's shards from time to time. Any number of workers may do so at once.

    `start` is where shards without a checkpoint begin, TRIM_HORIZON or LATEST.
    """

    def __init__(
        self, store: LeaseStore, reader: StreamReader, stream: StreamInfo, *, start: str, clock: Clock
    ) -> None:
        self.prefix = lease_prefix(stream)
        """Of the keys of all rows of the stream."""
        self._store = store
        self._reader = reader
        self._stream = stream
        self._start = start
        self._clock = clock
        self._due_at = clock.monotonic()

    async def run_if_due(self) -> None:
        """`run`, unless that was done a short while ago."""
        if self._clock.monotonic() >= self._due_at:
            await self.run()

    async def run(self) -> None:
        """Add rows for shards that have none. To be called before SHARD_END is committed, so that no child is missed.

        Raises `RetryableError` when the stream or the store does not answer.
        """
        shards = await self._reader.shards()
        rows = await self._store.list(self.prefix)
        missing = plan_rows(self._stream, shards, rows, self._start)
        if missing:
            await self._store.create(missing)
            get_logger().info("leases.created", shards=[row.shard_id for row in missing])
        self._due_at = self._clock.monotonic() + SYNC_SECONDS
