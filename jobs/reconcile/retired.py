"""Shards whose row was removed once the stream had forgotten them: their manifests still prove what they delivered."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from headrace.delivery.manifest import Manifest, decode, manifest_key
from headrace.errors import HaltedError, NotFoundError
from headrace.lake.layout import manifest_prefix, numbers_of_manifest
from headrace.leases.model import SHARD_END, Lease, LeaseKey
from headrace.stream.ports import Shard, ShardId
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.chain import slim
from jobs.reconcile.places import Bucket

ShardsOf = Callable[[], Awaitable[Sequence[Shard]]]
"""Lists the shards that a stream has."""


async def retired(
    bucket: Bucket, prefix: str, lineage: str, shards: Collection[ShardId], listed: ShardsOf | None, audit: Audit
) -> list[Lease]:
    """The rows as they were removed, of those of `shards` (they have manifests, and no row) that the stream forgot.

    A shard that the stream still has must have a row; so must every shard of what is no stream (`listed` is None).
    """
    if listed is None or not shards:
        return []
    there = {shard.shard_id for shard in await listed()}
    gone = [shard_id for shard_id in shards if shard_id not in there]
    return [await _last_seen(bucket, prefix, lineage, shard_id, audit) for shard_id in gone]


async def _last_seen(bucket: Bucket, prefix: str, lineage: str, shard_id: ShardId, audit: Audit) -> Lease:
    """The row of a shard as its end left it, by the newest manifest that was decided."""
    ended = Lease(key=LeaseKey(prefix + shard_id), checkpoint=SHARD_END)
    newest = await _newest(bucket, manifest_prefix(lineage, shard_id), audit)
    if newest is None:
        return ended
    return replace(
        ended,
        epoch=newest.epoch,
        batch_no=newest.batch_no + 1,
        manifest=manifest_key(newest),
        ledger=newest.totals,
        complete_through=newest.last_arrival,
    )


async def _newest(bucket: Bucket, folder: str, audit: Audit) -> Manifest | None:
    """The last decided manifest in a folder: the last one, unless none of its objects can be seen.

    Then its planner lost the shard before it could decide, and what came next was gone: the one before it is the last.
    """
    names: defaultdict[int, list[str]] = defaultdict(list)
    async for each in bucket.list(folder):
        if (numbers := numbers_of_manifest(each.key)) is not None:
            names[numbers[0]].append(each.key)
    if not names:
        return None
    candidates = [found for name in names[max(names)] if (found := await _read(bucket, name, audit)) is not None]
    for manifest in candidates:
        if not manifest.objects or await _is_visible(bucket, manifest):
            return manifest
    previous = next((manifest.previous for manifest in candidates), "")
    return await _read(bucket, previous, audit) if previous else None


async def _read(bucket: Bucket, key: str, audit: Audit) -> Manifest | None:
    try:
        return slim(decode(key, await bucket.get(key)))
    except NotFoundError:  # removed by a lifecycle rule since it was listed, or with its follower left
        return None
    except HaltedError as error:
        audit.unreadable(Check.MANIFEST, key, error)
        return None


async def _is_visible(bucket: Bucket, manifest: Manifest) -> bool:
    for each in manifest.objects:
        found = await bucket.head(each.key)
        if found is not None and found.sha256 == each.sha256:
            return True
    return False
