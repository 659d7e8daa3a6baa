"""A shard that has delivered batches, on memory adapters, and what a reconciliation says of it."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from headrace.counters.ports import LedgerReader
from headrace.delivery.manifest import Manifest, decode, encode
from headrace.leases.model import Lease
from headrace.leases.ports import LeaseStore
from headrace.state.memory import MemoryStateStore
from headrace.stream.ports import Record
from jobs.reconcile.audit import Audit
from jobs.reconcile.places import Places
from jobs.reconcile.reconcile import reconcile_stream
from jobs.reconcile.retired import ShardsOf
from jobs.reconcile.shard import Hours
from tests.unit.delivery.batches import KEY, LINEAGE, NOW, Shard, broken, record

HOUR = 3600.0
PREFIX = KEY.rpartition(":")[0] + ":"


@contextlib.contextmanager
def unseen(_what: str, _total: int | None) -> Iterator[Callable[[int], object]]:
    """Progress that nobody watches."""
    yield lambda _: None


async def deliver_at(shard: Shard, records: Sequence[Record], lease: Lease, at: float) -> Lease:
    """A whole batch, planned at some time."""
    plan = replace(shard.plan(records, lease), planned_at=at)
    return await shard.delivery.attempt(plan, lease).run(caught_up_at=None)


async def delivered() -> tuple[Shard, Lease]:
    """Three batches: one of the hour before, two of this one. Eight rows in four objects, two dead letters."""
    shard = Shard()
    lease = await deliver_at(shard, [record(1), record(2), broken(3)], await shard.take(), NOW - HOUR)
    lease = await deliver_at(shard, [record(4), record(6)], lease, NOW)
    return shard, await deliver_at(shard, [record(8), record(10), record(12), broken(13), record(14)], lease, NOW)


async def audit_of(
    shard: Shard,
    *,
    leases: LeaseStore | None = None,
    ledger: LedgerReader | None = None,
    hours: int = 24,
    listed: ShardsOf | None = None,
) -> Audit:
    """The reconciliation of a shard, with other leases, another ledger or a list of shards if they are given."""
    places = Places(
        store=shard.store,
        leases=leases or shard.leases,
        ledger=ledger or shard.counters,
        state=MemoryStateStore(),
    )
    audit = Audit()
    await reconcile_stream(places, PREFIX, LINEAGE, Hours.back(hours, now=NOW), audit, unseen, listed)
    return audit


def told(audit: Audit) -> list[tuple[str, str, str, str]]:
    """The mismatches as (what, where, expected, found)."""
    return [(str(it.check), it.where, it.expected, it.found) for it in audit.mismatches]


async def read_manifest(shard: Shard, key: str) -> Manifest:
    return decode(key, await shard.store.get(key))


async def change_manifest(shard: Shard, key: str, manifest: Manifest) -> None:
    await shard.store.put(key, encode(manifest))
