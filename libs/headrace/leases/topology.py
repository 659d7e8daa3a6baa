"""What the stream's shards ask of the rows: decisions as values, without a clock, a network or a store.

A list of shards may be a moment old, and one that is older than the rows lacks shards that exist. What would do harm
then is only decided by a list that is whole, and by whoever calls only when it holds for a while (`persisting`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import TypeVar

from headrace.leases.model import AT_TIMESTAMP, LATEST, TRIM_HORIZON, Lease, lease_key
from headrace.stream.ports import HASH_KEYS, HashRange, Shard, ShardId, StreamInfo

T = TypeVar("T")


def plan_rows(stream: StreamInfo, shards: Sequence[Shard], rows: Sequence[Lease], start: str) -> list[Lease]:
    """The rows that are missing for `shards`, parents before children.

    `start` (TRIM_HORIZON, LATEST or AT_TIMESTAMP) holds for shards that no reshard made, and for all while there are
    no rows at all; the rest starts at TRIM_HORIZON. AT_TIMESTAMP holds for all, as in KCL: a time means the same in
    each shard. Ancestors of shards that have a row are done with, or were never wanted; the first time at LATEST,
    closed shards are not wanted.

    Rows must be added in this order: whoever finds only some of them then adds the same ones.
    """
    known = {row.shard_id for row in rows}
    wanted = {shard.shard_id: shard for shard in shards if known or start != LATEST or not shard.closed}
    done_with = known | _ancestors(known, shards, rows)
    order = TopologicalSorter({shard.shard_id: shard.parents for shard in wanted.values()}).static_order()
    return [
        Lease(
            key=lease_key(stream, shard_id),
            parents=tuple(sorted(wanted[shard_id].parents)),
            checkpoint=(start if not known or start == AT_TIMESTAMP or not wanted[shard_id].parents else TRIM_HORIZON),
        )
        for shard_id in order
        if shard_id in wanted and shard_id not in done_with
    ]


def plan_removals(shards: Sequence[Shard], rows: Sequence[Lease], *, apart: float) -> list[Lease]:
    """The rows that nothing needs any more: ended, and the stream has forgotten their shard; oldest ones first.

    A row stays while it has an intent, while one of its children is without a row, and while one of its parents has
    a row or is listed: so rows go generation by generation, and what is left always tells which shards are done with.
    It also stays until what comes behind it is complete through a time `apart` seconds later than it is itself: until
    then it leads its children to the event ids that they remember.
    """
    if not is_whole(shards) or all(row.ended for row in rows):
        return []
    listed = {shard.shard_id for shard in shards}
    known = {row.shard_id for row in rows}
    awaited = {parent for shard in shards if shard.shard_id not in known for parent in shard.parents}
    children: defaultdict[ShardId, list[Lease]] = defaultdict(list)
    for row in rows:
        for parent in row.parents:
            children[parent].append(row)

    def is_past(row: Lease, moment: float) -> bool:
        return all(
            child.complete_through >= moment or (child.ended and is_past(child, moment))
            for child in children[row.shard_id]
        )

    return [
        row
        for row in rows
        if row.ended
        and row.intent is None
        and row.shard_id not in listed | awaited
        and (known | listed).isdisjoint(row.parents)
        and is_past(row, row.complete_through + apart)
    ]


def plan_goodbyes(shards: Sequence[Shard], rows: Sequence[Lease]) -> list[ShardId]:
    """The shards whose rows have not ended, though the stream has them no more.

    A list from before a reshard lacks the children: it shows an ancestor open that the row says is closed.
    """
    if not is_whole(shards):
        return []
    listed = {shard.shard_id for shard in shards}
    still_open = {shard.shard_id for shard in shards if not shard.closed}
    return [
        row.shard_id
        for row in rows
        if not row.ended
        and row.shard_id not in listed
        and still_open.isdisjoint(_ancestors({row.shard_id}, shards, rows))
    ]


def plan_audit(shards: Sequence[Shard], rows: Sequence[Lease]) -> list[HashRange]:
    """The hash keys that no unfinished row answers for: what is written to them is read by nobody.

    A row whose shard is not listed yet stands for the keys of its ancestors.
    """
    ranges = {shard.shard_id: shard.hash_range for shard in shards}
    unfinished = {row.shard_id for row in rows if not row.ended}
    unlisted = unfinished.difference(ranges)
    answering = unfinished | (_ancestors(unlisted, shards, rows) if unlisted else set())
    return hash_holes(ranges[shard_id] for shard_id in answering if shard_id in ranges)


def is_whole(shards: Iterable[Shard]) -> bool:
    """Whether the open shards take every hash key, as those of a stream always do."""
    return not hash_holes(shard.hash_range for shard in shards if not shard.closed)


def hash_holes(ranges: Iterable[HashRange]) -> list[HashRange]:
    """The hash keys that no range has, as ranges in order. Ranges may overlap."""
    holes = []
    free = 0
    for first, last in sorted(ranges):
        if first > free:
            holes.append((free, first - 1))
        free = max(free, last + 1)
    return [*holes, (free, HASH_KEYS - 1)] if free < HASH_KEYS else holes


def persisting(found: Iterable[T], before: Mapping[T, float], now: float) -> dict[T, float]:
    """Since when each has been found in every look; `before` is what the look before this one came to."""
    return {one: before.get(one, now) for one in found}


def _ancestors(known: Collection[ShardId], shards: Sequence[Shard], rows: Sequence[Lease]) -> set[ShardId]:
    parents: dict[ShardId, tuple[ShardId, ...]] = {row.shard_id: row.parents for row in rows}
    parents |= {shard.shard_id: shard.parents for shard in shards}
    found: set[ShardId] = set()
    ahead = [parent for shard_id in known for parent in parents.get(shard_id, ())]
    while ahead:
        shard_id = ahead.pop()
        if shard_id not in found:
            found.add(shard_id)
            ahead.extend(parents.get(shard_id, ()))
    return found
