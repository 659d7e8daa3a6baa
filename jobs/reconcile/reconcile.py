"""The whole reconciliation: the way in, every shard, every object, every folder."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from headrace.concurrency import for_each
from headrace.delivery.manifest import ManifestObject
from headrace.lake.layout import INTENTS, HourPartition, manifest_prefix
from headrace.leases.model import Lease, lease_prefix, lineage
from headrace.stream.ports import ShardId, StreamInfo
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.objects import check_folders, check_object, folders, list_folder
from jobs.reconcile.places import Places
from jobs.reconcile.retired import ShardsOf, retired
from jobs.reconcile.shard import Hours, ShardView, look
from jobs.reconcile.sources import check_sources

CONCURRENT_SHARDS = 4
CONCURRENT_OBJECTS = 16

ProgressOf = Callable[[str, int | None], AbstractContextManager[Callable[[int], object]]]
"""Shows progress while a block runs: what is counted, and how many there are."""


async def reconcile(
    places: Places,
    application: str,
    streams: Mapping[StreamInfo, ShardsOf | None],
    hours: Hours,
    progress: ProgressOf,
) -> Audit:
    """Compare all that is kept of the application's use of the streams. Reads only, while everything goes on.

    Each stream comes with what lists its shards; None for one that forgets none.
    """
    audit = Audit()
    await check_sources(places.state, hours, audit)
    for stream, listed in streams.items():
        origin = lineage(application, stream)
        await reconcile_stream(places, lease_prefix(stream), origin, hours, audit, progress, listed)
    return audit


async def reconcile_stream(
    places: Places,
    prefix: str,
    origin: str,
    hours: Hours,
    audit: Audit,
    progress: ProgressOf,
    listed: ShardsOf | None = None,
) -> None:
    """Compare the shards whose lease keys start with `prefix`, and the objects of their lineage `origin`."""
    views: list[ShardView] = []
    keys: list[str] = []

    async def one_shard(row: Lease) -> None:
        views.append(await look(places, row, origin, hours, audit))
        advance(1)

    async def one_object(decided: ManifestObject) -> None:
        await check_object(places.store, decided, audit)
        advance(1)

    async def one_folder(partition: HourPartition) -> None:
        keys.extend(await list_folder(places.store, partition, origin))
        advance(1)

    written = [folder async for folder in places.store.prefixes(f"{INTENTS}/{origin}/")]
    rows = await places.leases.list(prefix)
    known = {manifest_prefix(origin, row.shard_id) for row in rows}
    without = [ShardId(folder.split("/")[-2]) for folder in written if folder not in known]
    removed = await retired(places.store, prefix, origin, without, listed, audit)
    known |= {manifest_prefix(origin, row.shard_id) for row in removed}
    for folder in written:  # before the rows were: whoever wrote a manifest had a row
        audit.compare(
            Check.CONTROL, folder, expected={"row": "there"}, found={"row": "there"} if folder in known else None
        )
    rows += removed
    with progress("shards", len(rows)) as advance:
        await for_each(rows, one_shard, limit=CONCURRENT_SHARDS)
    objects = [each for view in views for manifest in view.committed for each in manifest.objects]
    with progress("objects", len(objects)) as advance:
        await for_each(objects, one_object, limit=CONCURRENT_OBJECTS)
    touched = folders(views)
    with progress("folders", len(touched)) as advance:
        await for_each(touched, one_folder, limit=CONCURRENT_OBJECTS)
    check_folders(sorted(keys), views, [*await places.leases.list(prefix), *removed], audit)
