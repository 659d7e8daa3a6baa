"""Which rows to add and which leases to take: decisions as values, without a clock, a network or a store."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from headrace.leases.model import LATEST, TRIM_HORIZON, Lease, LeaseKey, lease_key
from headrace.stream.ports import Shard, ShardId, StreamInfo

TAKE_AT_ONCE = 2
"""Free leases taken per round, so that workers that start together share them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one worker saw of a lease, and since when it has not changed."""

    counter: int
    owner: str | None
    since: float
    """On the observer's monotonic clock."""


def observe(
    leases: Iterable[Lease],
    before: Mapping[LeaseKey, Observation],
    now: float,
    *,
    me: str,
    held: Collection[LeaseKey],
) -> dict[LeaseKey, Observation]:
    """What worker `me` knows after reading `leases` at `now`: a lease that moved is as fresh as this reading.

    Its own leases need no watching: those it holds are fresh. One with its name on it that it does not hold comes from
    a take or a release whose answer was lost; nobody renews it, so it has expired already.
    """

    def look(lease: Lease) -> Observation:
        seen = Observation(counter=lease.counter, owner=lease.owner, since=now)
        if lease.owner == me:
            return seen if lease.key in held else replace(seen, since=-math.inf)
        known = before.get(lease.key, seen)
        return known if (known.counter, known.owner) == (seen.counter, seen.owner) else seen

    return {lease.key: look(lease) for lease in leases}


def plan_take(
    leases: Sequence[Lease], me: str, observed: Mapping[LeaseKey, Observation], now: float, failover: float
) -> list[Lease]:
    """The leases that worker `me` should try to take now; `leases` is all there is of the stream.

    A worker wants ⌈leases / live workers⌉. It takes up to `TAKE_AT_ONCE` that nobody holds; when there are none, it
    steals one from the most loaded, if that one stays at least as loaded as `me` becomes. Only leases that can be
    worked on count: not those that ended, nor children whose parents have not.
    """
    workable = sorted(_workable(leases), key=lambda lease: _preference(me, lease))
    free = [lease for lease in workable if _is_free(lease, observed, now, failover)]
    load = Counter({me: 0})
    load.update(lease.owner for lease in workable if lease.owner and not _is_free(lease, observed, now, failover))
    if free:
        wanted = math.ceil(len(workable) / len(load)) - load[me]
        return free[: max(0, min(wanted, TAKE_AT_ONCE))]
    richest = max(load, key=lambda worker: (load[worker], worker))
    if load[richest] < load[me] + 2:
        return []
    return [next(lease for lease in workable if lease.owner == richest)]


def plan_rows(stream: StreamInfo, shards: Sequence[Shard], rows: Sequence[Lease], start: str) -> list[Lease]:
    """The rows that are missing for `shards`, parents before children.

    `start` (TRIM_HORIZON or LATEST) holds for shards that no reshard made, and for all while there are no rows at
    all; the rest starts at TRIM_HORIZON. Ancestors of shards that have a row are done with, or were never wanted; the
    first time at LATEST, closed shards are not wanted.

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
            checkpoint=start if not known or not wanted[shard_id].parents else TRIM_HORIZON,
        )
        for shard_id in order
        if shard_id in wanted and shard_id not in done_with
    ]


def _workable(leases: Sequence[Lease]) -> list[Lease]:
    unfinished = {lease.shard_id for lease in leases if not lease.ended}
    return [lease for lease in leases if not lease.ended and unfinished.isdisjoint(lease.parents)]


def _is_free(lease: Lease, observed: Mapping[LeaseKey, Observation], now: float, failover: float) -> bool:
    seen = observed.get(lease.key)
    return lease.owner is None or (seen is not None and now - seen.since >= failover)


def _preference(worker: str, lease: Lease) -> bytes:
    """Each worker goes through the leases in an order of its own, so that two rarely reach for the same one."""
    return hashlib.sha256(f"{worker} {lease.key}".encode()).digest()


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
