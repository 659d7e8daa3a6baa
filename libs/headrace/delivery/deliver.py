"""Executes a plan. The order of the durable steps is written here and nowhere else."""

from headrace.clock import Clock
from headrace.concurrency import for_each
from headrace.counters.ports import CounterWriter
from headrace.delivery.plan import BatchPlan, PlannedObject
from headrace.lake.ports import ObjectStore
from headrace.leases.model import Lease
from headrace.leases.ports import LeaseStore
from headrace.telemetry.metrics import Metrics

CONCURRENT_PUTS = 8


class Delivery:
    """Makes plans durable, one batch of a shard at a time.

    Each step may be repeated, and a later one never runs before an earlier one is durable. A crash between the steps
    repeats the batch from the checkpoint: nothing is lost, but a batch that is cut elsewhere the second time can leave
    rows twice. docs/delivery.md says what that means.
    """

    def __init__(
        self,
        store: ObjectStore,
        counters: CounterWriter,
        leases: LeaseStore,
        *,
        lineage: str,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._store = store
        self._counters = counters
        self._leases = leases
        self._lineage = lineage
        self._metrics = metrics
        self._clock = clock

    async def deliver(self, plan: BatchPlan, lease: Lease, *, caught_up_at: float | None) -> Lease:
        """Execute the plan and return the lease as committed.

        Raises `LeaseLostError` when another worker owns the shard, `RetryableError` when a place is out of reach; the
        same plan may be delivered again after it.
        """
        # 1. The objects: rows, dead letters and events with extra columns alike.
        with self._metrics.batch_stage_seconds.labels("objects").time():
            await for_each(plan.objects, self._write, limit=CONCURRENT_PUTS)
        # 2. The counts, each conditional on the batch number.
        with self._metrics.batch_stage_seconds.labels("counters").time():
            origin = f"{self._lineage}-{lease.shard_id}"
            await self._counters.apply(origin, plan.batch_no, plan.deltas, now=self._clock.now())
        # 3. The checkpoint: from here on the batch counts as done.
        with self._metrics.batch_stage_seconds.labels("commit").time():
            return await self._leases.commit(
                lease,
                checkpoint=plan.checkpoint,
                ledger=lease.ledger.plus(plan.ledger),
                complete_through=plan.complete_through,
                caught_up_at=caught_up_at,
            )

    async def _write(self, planned: PlannedObject) -> None:
        await self._store.put(planned.key, planned.body)
        self._metrics.object_bytes.observe(len(planned.body))
