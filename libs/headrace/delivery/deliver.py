"""One batch: stage, intent, apply, announce, commit. The order of the durable steps is written here and nowhere else.

The numbers are those of docs/delivery.md. Every step may be repeated, by this worker or by the next owner of the
shard, and a later one never runs before an earlier one is durable.
"""

from dataclasses import asdict
from functools import partial

from headrace.alerts import Report, unheard
from headrace.clock import Clock
from headrace.counters.ports import CounterWriter, Deltas
from headrace.delivery.apply import ObjectConflictError, UploadGoneError, make_visible
from headrace.delivery.manifest import Manifest, encode, intent_of, manifest_key, manifest_of
from headrace.delivery.plan import BatchPlan
from headrace.delivery.stage import stage
from headrace.errors import HaltedError, LeaseLostError
from headrace.lake.ports import ObjectStore
from headrace.leases.model import Lease
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import ShardId
from headrace.telemetry.log import get_logger
from headrace.telemetry.metrics import Metrics


class Delivery:
    """Makes batches durable, one of a shard at a time. Shared by all shards of a process."""

    def __init__(
        self,
        store: ObjectStore,
        counters: CounterWriter,
        leases: LeaseStore,
        *,
        lineage: str,
        metrics: Metrics,
        clock: Clock,
        report: Report = unheard,
    ) -> None:
        self.store = store
        self._counters = counters
        self._leases = leases
        self.lineage = lineage
        self._metrics = metrics
        self._clock = clock
        self._report = report
        self._pending_since: dict[str, float] = {}
        """Monotonic seconds, by shard."""

    def attempt(self, plan: BatchPlan, lease: Lease) -> "Attempt":
        """A plan on its way to being committed under `lease`."""
        return Attempt(self, plan, lease)

    async def stage(self, plan: BatchPlan, lease: Lease) -> Manifest:
        """3. The objects are in the store and nobody sees them."""
        with self._metrics.batch_stage_seconds.labels("stage").time():
            staged = await stage(self.store, plan.objects)
        return manifest_of(plan, staged, lease, lineage=self.lineage)

    async def declare(self, manifest: Manifest, lease: Lease) -> Lease:
        """4. The decision: before it nothing happened, after it everything will.

        Raises `LeaseLostError` when it is not ours to take, `RetryableError` when nobody answered.
        """
        with self._metrics.batch_stage_seconds.labels("intent").time():
            body = encode(manifest)
            await self.store.put(manifest_key(manifest), body)
            return await self._leases.declare(lease, intent_of(manifest, body))

    async def finish(
        self, manifest: Manifest, lease: Lease, *, caught_up_at: float | None, counts: Deltas | None = None
    ) -> Lease:
        """5 to 7. What was decided is applied, announced and committed; returns the lease as committed.

        `counts`: the manifest's deltas, from whoever has them as a mapping already.

        Raises `LeaseLostError` when another worker owns the shard, `HaltedError` when going on would do harm,
        `RetryableError` when a place is out of reach: then call it again.
        """
        self._note_pending(manifest.shard)
        try:
            await self.apply(manifest, counts)
        except (UploadGoneError, ObjectConflictError) as error:
            await self._explain(error, manifest, lease)
            raise
        self._announce(manifest)
        with self._metrics.batch_stage_seconds.labels("commit").time():
            committed = await self._leases.commit(
                lease,
                checkpoint=manifest.end,
                ledger=manifest.totals,
                complete_through=manifest.last_arrival,
                caught_up_at=caught_up_at,
            )
        self._pending_since.pop(manifest.shard, None)
        self._account(manifest)
        return committed

    async def apply(self, manifest: Manifest, counts: Deltas | None = None) -> None:
        """5. The objects become visible, then the counts, each conditional on the batch number."""
        with self._metrics.batch_stage_seconds.labels("apply").time():
            await make_visible(self.store, (each.staged for each in manifest.objects))
        with self._metrics.batch_stage_seconds.labels("counters").time():
            await self._counters.apply(
                f"{manifest.lineage}-{manifest.shard}",
                manifest.batch_no,
                dict(manifest.deltas) if counts is None else counts,
                now=manifest.planned_at,
                ledger=asdict(manifest.ledger),
            )

    async def end(self, lease: Lease, *, caught_up_at: float | None) -> Lease:
        """The shard ended and all of it is committed."""
        return await self._leases.end(lease, caught_up_at=caught_up_at)

    async def _explain(self, error: HaltedError, manifest: Manifest, lease: Lease) -> None:
        """Whether an object that is not as decided is harm. Raises `LeaseLostError` when it is not.

        To one who is late it is none: others finished the batch, and what came after that is not its to judge.
        """
        row = await self._leases.get(lease.key)
        pending = row.intent.batch_no if row is not None and row.intent is not None else None
        if row is None or (row.owner, row.epoch, pending) != (lease.owner, lease.epoch, manifest.batch_no):
            raise LeaseLostError(f"{lease.key} went on without us: {error}") from error
        if isinstance(error, ObjectConflictError):
            self._metrics.object_conflict.inc()

    def let_go(self, shard_id: ShardId) -> None:
        """The shard is not ours any more: what is pending there is pending with somebody else."""
        self._pending_since.pop(shard_id, None)

    def _note_pending(self, shard_id: str) -> None:
        if shard_id not in self._pending_since:
            self._pending_since[shard_id] = self._clock.monotonic()
            self._metrics.intent_pending.labels(shard_id).set_function(partial(self._pending_seconds, shard_id))

    def _pending_seconds(self, shard_id: str) -> float:
        since = self._pending_since.get(shard_id)
        return 0.0 if since is None else self._clock.monotonic() - since

    def _announce(self, manifest: Manifest) -> None:
        """6. Hints for people; nothing depends on them, and the next owner may repeat them."""
        for reason, count in manifest.reasons.items():
            self._report(reason, count, manifest.dead_letter_key)

    def _account(self, manifest: Manifest) -> None:
        ledger = manifest.ledger
        self._metrics.rows_committed.labels(manifest.shard).inc(ledger.committed)
        self._metrics.records_deduplicated.labels(manifest.shard).inc(ledger.duplicates)
        self._metrics.records_foreign.labels(manifest.shard).inc(ledger.foreign)
        for reason, count in manifest.reasons.items():
            self._metrics.records_dead_lettered.labels(reason).inc(count)
        for each in manifest.objects:
            self._metrics.object_bytes.observe(each.size)
        self._metrics.batch_rows.observe(ledger.committed)
        self._metrics.event_to_visible.observe(max(0.0, self._clock.now() - manifest.first_arrival))
        get_logger().info(
            "batch.committed",
            shard=manifest.shard,
            epoch=manifest.epoch,
            batch_no=manifest.batch_no,
            rows=ledger.committed,
            objects=len(manifest.objects),
            dead_letters=ledger.dead_lettered,
            duplicates=ledger.duplicates,
        )


class Attempt:
    """One plan under one lease. `run` goes on at the step that failed: what is staged is never staged again.

    The next owner may cut the batch elsewhere, but under one epoch a batch number has one plan, so that a write that
    was given up for lost and lands late still says the same.
    """

    def __init__(self, delivery: Delivery, plan: BatchPlan, lease: Lease) -> None:
        self._delivery = delivery
        self._plan = plan
        self._lease = lease
        self._manifest: Manifest | None = None

    async def run(self, *, caught_up_at: float | None) -> Lease:
        """Deliver the plan and return the lease as committed. Errors are those of `Delivery.finish`."""
        if self._manifest is None:
            self._manifest = await self._delivery.stage(self._plan, self._lease)
        if self._lease.intent is None:
            self._lease = await self._delivery.declare(self._manifest, self._lease)
        return await self._delivery.finish(
            self._manifest, self._lease, caught_up_at=caught_up_at, counts=self._plan.deltas
        )
