"""The de-duplication window as the manifests have it: a shard's own, and those of the shards that it came from.

A producer that lost an answer sends again, and when the stream was resharded in between, the repeat meets a child of
the shard that has the first. A child begins when the ends of all its parents are committed, so their last manifests
stand in their rows and are final: what a child remembers at its start is the union of what they remembered. Of a parent
that was split it remembers the other half, too; nobody asks it for those.
"""

from collections import deque
from dataclasses import dataclass

import pyarrow as pa

from headrace.delivery.manifest import decode_ids
from headrace.delivery.manifests import ManifestReader
from headrace.delivery.window import DedupWindow, from_bytes
from headrace.errors import NotFoundError
from headrace.lake.ports import ObjectStore
from headrace.leases.model import Lease
from headrace.leases.ports import LeaseStore

AHEAD = 8
"""Manifests of a window fetched at once: one of a large batch takes some megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """Where to go on looking: at a shard's last batch, with what is known from later ones."""

    row: Lease
    latest: float
    """The last arrival in the line of its children; 0 while there is none."""
    ids: int
    """Ids that came later, in this shard and in the line of its children."""


async def rebuild(store: ObjectStore, leases: LeaseStore, *, lineage: str, lease: Lease, seconds: float) -> DedupWindow:
    """The window of the batches up to `lease`, read from the chains of their manifests.

    A chain ends where its batches are too old, where a lifecycle rule removed them (they are older still), and where
    somebody moved the checkpoint: what is read again was asked for. Only one that goes back to the shard's first batch
    goes on with its parents. Raises what the ports raise, and `HaltedError` for what is no manifest.
    """
    window = DedupWindow(seconds)
    if seconds <= 0:
        return window
    found: list[tuple[float, pa.UInt64Array]] = []
    ahead = deque([_Walk(row=lease, latest=0.0, ids=0)])
    met = {lease.key}
    while ahead:
        walk = ahead.popleft()
        reader = ManifestReader(store, lineage, walk.row.shard_id, ahead=AHEAD)
        batches, begun = await _walk(reader, walk, window)
        found += batches
        if not begun:
            continue
        latest = walk.latest or max((arrived for arrived, _ in batches), default=0.0)
        ids = walk.ids + sum(len(hashes) for _, hashes in batches)
        for key in walk.row.parent_keys:
            if key in met:  # two halves of a shard were merged again
                continue
            met.add(key)
            if (parent := await leases.get(key)) is not None:
                ahead.append(_Walk(row=parent, latest=latest, ids=ids))
    for arrived, hashes in sorted(found, key=lambda batch: batch[0]):
        window.remember(hashes, arrived)
    return window


async def _walk(
    reader: ManifestReader, walk: _Walk, window: DedupWindow
) -> tuple[list[tuple[float, pa.UInt64Array]], bool]:
    """A shard's batches within the window, and whether they go back to its first."""
    batches: list[tuple[float, pa.UInt64Array]] = []
    key, latest, ids = walk.row.manifest, walk.latest, walk.ids
    while key:
        try:
            found = decode_ids(key, await reader.body(key))
        except NotFoundError:
            return batches, False
        latest = latest or found.last_arrival
        if found.reset or not window.holds(ids, found.last_arrival, latest):
            return batches, False
        hashes = from_bytes(found.event_ids)
        batches.append((found.last_arrival, hashes))
        ids += len(hashes)
        key = found.previous
    return batches, True
