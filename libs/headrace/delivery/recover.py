"""What a worker does with a lease before it reads the first record: finish, compare, remember."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from headrace.delivery.deliver import Delivery
from headrace.delivery.manifest import Manifest, decode, manifest_key
from headrace.delivery.remember import rebuild
from headrace.delivery.window import DedupWindow
from headrace.errors import HaltedError, LeaseLostError, NotFoundError
from headrace.lake.layout import manifest_prefix, numbers_of_manifest
from headrace.lake.ports import ObjectStore
from headrace.leases.model import Intent, Lease
from headrace.leases.ports import LeaseStore
from headrace.telemetry.log import get_logger


class Recovery:
    """Brings a shard to where it can go on. Every step may be repeated."""

    def __init__(self, delivery: Delivery, leases: LeaseStore) -> None:
        self._delivery = delivery
        self._store: ObjectStore = delivery.store
        self._leases = leases

    async def settle(self, lease: Lease) -> Lease:
        """A lease as it was taken → the same without unfinished business.

        A pending intent is finished (5 to 7), a row that is older than the bucket's manifests is brought up to them.
        Raises `LeaseLostError`, `HaltedError`, `RetryableError`.
        """
        if lease.intent is not None:
            lease = await self._finish(lease, lease.intent)
        newer = await self._newer(lease)
        return lease if newer is None else await self._adopt(lease, *newer)

    async def window(self, lease: Lease, seconds: float) -> DedupWindow:
        """The de-duplication window of the batches up to `lease`, those of its parents included."""
        return await rebuild(self._store, self._leases, lineage=self._delivery.lineage, lease=lease, seconds=seconds)

    async def _finish(self, lease: Lease, intent: Intent) -> Lease:
        manifest = decode(intent.manifest, await self._undamaged(intent))
        if manifest.start != lease.checkpoint:
            raise HaltedError(f"{intent.manifest} begins at {manifest.start}, but the checkpoint is {lease.checkpoint}")
        get_logger().info("intent.resumed", shard=lease.shard_id, epoch=lease.epoch, batch_no=intent.batch_no)
        return await self._delivery.finish(manifest, lease, caught_up_at=None)

    async def _undamaged(self, intent: Intent) -> bytes:
        """The manifest's bytes as they were decided on; what was damaged on its way is read once more."""
        for _ in range(2):
            try:
                body = await self._store.get(intent.manifest)
            except NotFoundError as error:
                raise HaltedError(f"the pending intent's manifest is gone: {error}") from error
            if hashlib.sha256(body).hexdigest() == intent.sha256:
                return body
        raise HaltedError(f"{intent.manifest} is not what was decided on")

    async def _newer(self, lease: Lease) -> tuple[Manifest | None, int] | None:
        """The last batch that took effect, if there is one, and the highest batch number met; None as a rule.

        A batch is only planned once the one before is committed, so a manifest past the row's next batch, or effects
        of that next batch, say that the row was restored from an older state, or made anew.
        """
        prefix = manifest_prefix(self._delivery.lineage, lease.shard_id)
        found: dict[int, list[str]] = defaultdict(list)
        async for each in self._store.list(prefix, after=f"{prefix}{lease.batch_no:010}"):
            if (numbers := numbers_of_manifest(each.key)) is not None:  # anybody may lay something beside them
                found[numbers[0]].append(each.key)
        if not found:
            return None
        last = max(found)
        candidates = [await self._load(key) for key in found[last]]
        decided = await self._decided(candidates)
        if decided is None and last == lease.batch_no and not any(each.reset for each in candidates):
            return None  # planned by an earlier owner, never decided
        # Undecided ones all follow the same batch.
        previous = candidates[0].previous
        return decided or (await self._load(previous) if previous else None), last

    async def _decided(self, candidates: Sequence[Manifest]) -> Manifest | None:
        """The one of a batch's manifests that was decided, as far as its effects show it.

        Only a decided batch makes objects visible. Another owner's plan may have some in common with it, so the one
        with the most counts, the latest of equals. Nothing shows whether a batch of nothing but repeats was decided: to
        decide it now comes to the same, and its number, which the ledger may have, is not used twice. Not so a reset,
        which moves the checkpoint: one that may have been refused is not made good, but its number is passed over.
        """
        visible = [(await self._visible(manifest), manifest.epoch, manifest) for manifest in candidates]
        seen, _, manifest = max(visible, key=lambda each: each[:2])
        if seen > 0:
            return manifest
        return next((each for each in candidates if not each.objects and not each.reset), None)

    async def _visible(self, manifest: Manifest) -> int:
        """How many of its objects can be seen; -1 when one of its keys holds other bytes."""
        count = 0
        for each in manifest.objects:
            found = await self._store.head(each.key)
            if found is not None and found.sha256 != each.sha256:
                return -1
            count += found is not None
        return count

    async def _adopt(self, lease: Lease, newest: Manifest | None, last: int) -> Lease:
        await self._still_ours(lease)
        found = replace(lease, batch_no=last + 1)
        if newest is not None:
            await self._delivery.apply(newest)
            found = replace(
                found,
                checkpoint=newest.end,
                manifest=manifest_key(newest),
                ledger=newest.totals,
                complete_through=newest.last_arrival,
            )
        adopted = await self._leases.adopt(lease, found)
        get_logger().warning("control.adopted", shard=lease.shard_id, row=lease.batch_no, batch_no=adopted.batch_no)
        return adopted

    async def _still_ours(self, lease: Lease) -> None:
        """Raise `LeaseLostError` for a lease that is another's by now.

        The answer to a take may come so late that the next owner has committed since: then its row is as old as a
        restored one, but what is missing in it is not ours to make good.
        """
        row = await self._leases.get(lease.key)
        if row is None or (row.owner, row.epoch) != (lease.owner, lease.epoch):
            raise LeaseLostError(f"{lease.key} has changed while it was taken: {row}")

    async def _load(self, key: str) -> Manifest:
        return decode(key, await self._store.get(key))
