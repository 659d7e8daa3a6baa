"""Objects against manifests: each that was decided is there, and nothing else is."""

import gzip
import zlib
from collections.abc import Iterable, Sequence

from headrace.delivery.manifest import ManifestObject
from headrace.lake.layout import EVENTS, HourPartition, named_by, partition_of
from headrace.lake.parquet import footer_bytes, row_count
from headrace.lake.ports import Tail
from headrace.leases.model import Lease
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.places import Bucket
from jobs.reconcile.shard import ShardView, undecided

TAIL_BYTES = 64 * 1024
"""Enough for the footer of a micro-batch, and for most dead-letter objects as a whole: one request an object."""

UNREADABLE = "unreadable"


async def check_object(bucket: Bucket, decided: ManifestObject, audit: Audit) -> None:
    """An object of a committed batch: it is there, it is the one, and it holds as many rows or lines."""
    tail = await bucket.tail(decided.key, TAIL_BYTES)
    audit.compare(
        Check.OBJECT,
        decided.key,
        expected={"sha256": decided.sha256, "size": decided.size},
        found=None if tail is None else {"sha256": tail.info.sha256, "size": tail.info.size},
    )
    if tail is not None:
        found = {"rows": await _rows(bucket, tail)}
        audit.compare(Check.ROWS, decided.key, expected={"rows": decided.rows}, found=found)


async def _rows(bucket: Bucket, tail: Tail) -> int | str:
    """Rows by the footer of Parquet, lines of anything else."""
    key, size = tail.info.key, tail.info.size
    try:
        if key.endswith(".parquet"):
            enough = min(footer_bytes(tail.body), size) <= len(tail.body)
            return row_count(tail.body if enough else await bucket.get(key))
        body = tail.body if size == len(tail.body) else await bucket.get(key)
        return gzip.decompress(body).count(b"\n")
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error):
        return UNREADABLE


def folders(views: Iterable[ShardView]) -> list[HourPartition]:
    """The partitions that the committed batches of the hours looked at have objects in."""
    keys = (each.key for view in views for manifest in view.committed for each in manifest.objects)
    return sorted({partition for key in keys if (partition := partition_of(key)) is not None})


async def list_folder(bucket: Bucket, partition: HourPartition, lineage: str) -> list[str]:
    """The keys of a lineage's objects in a partition."""
    return [found.key async for found in bucket.list(f"{EVENTS}/{partition.path}/{lineage}-")]


def check_folders(keys: Sequence[str], views: Iterable[ShardView], rows: Iterable[Lease], audit: Audit) -> None:
    """Every object is named by a manifest, or belongs to a batch outside of what was looked at.

    `rows` are the lineage's rows as they were read after the listing: what was visible then is decided in them.
    """
    view_of: dict[str, ShardView] = {view.lease.shard_id: view for view in views}
    bound: dict[str, int] = {lease.shard_id: undecided(lease) for lease in rows}
    named = {each.key for view in view_of.values() for manifest in view.decided for each in manifest.objects}
    for key in keys:
        name = named_by(key)
        if name is not None and name.batch_no < bound.get(name.shard_id, 0):
            view = view_of.get(name.shard_id)
            if view is None or not view.covers(name.batch_no):
                continue
        audit.compare(
            Check.FOLDER,
            key,
            expected={"manifests that name it": 1},
            found={"manifests that name it": int(key in named)},
        )
