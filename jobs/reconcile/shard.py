"""One shard: its row, its manifests and its ledger, as they are at one moment of a shard that goes on."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Self

from headrace.clock import HOUR_SECONDS, hour_of
from headrace.counters.ports import HourLedger
from headrace.delivery.manifest import Manifest, decode
from headrace.delivery.manifests import ManifestReader
from headrace.errors import HaltedError, NotFoundError
from headrace.lake.ports import ObjectStore
from headrace.leases.model import Intent, Lease, Ledger
from jobs.reconcile.audit import Audit, Check
from jobs.reconcile.chain import AHEAD, Chain, check_manifests, follow, slim
from jobs.reconcile.places import Places

SLACK_HOURS = 1
"""Workers' clocks may differ: a batch can be planned, by its worker's clock, before the batch before it."""

AHEAD_HOURS = 24
"""And they may be ahead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """The hours that are looked at, both included, since 1970 UTC."""

    first: int
    last: int

    @classmethod
    def back(cls, count: int, *, now: float) -> Self:
        """The last `count` full hours, the current one, and what clocks ahead of `now` make of it."""
        return cls(first=hour_of(now) - count, last=hour_of(now) + AHEAD_HOURS)

    def __contains__(self, hour: int) -> bool:
        return self.first <= hour <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardView:
    """What is known of a shard."""

    lease: Lease
    """As it was read last, before the manifests."""
    chain: Chain
    pending: Manifest | None
    """The batch that is decided and not committed yet."""
    hours: Hours

    @property
    def decided(self) -> list[Manifest]:
        """All decided batches that are known, newest first."""
        return [*([] if self.pending is None else [self.pending]), *self.chain.manifests]

    @property
    def committed(self) -> list[Manifest]:
        """The batches of the hours that are looked at whose objects have to be there."""
        return [manifest for manifest in self.chain.manifests if hour_of(manifest.planned_at) in self.hours]

    def covers(self, batch_no: int) -> bool:
        """Whether the manifest of this batch is known, if there is one."""
        oldest = min((manifest.batch_no for manifest in self.decided), default=math.inf)
        return oldest <= batch_no < undecided(self.lease)


def undecided(lease: Lease) -> int:
    """The first batch number that was not decided when this row was read."""
    return lease.batch_no + (lease.intent is not None)


async def look(places: Places, seen: Lease, lineage: str, hours: Hours, audit: Audit) -> ShardView:
    """Compare a shard's row, manifests and ledger.

    `seen` is the row, read before now. The ledger is read after it and before the row is read again: what was committed
    in `seen` is in the ledger for certain, and what is in the ledger is decided in the later row for certain. Every
    hour's item says up to which batch it counts, so both sides are sums of the same batches, exactly, and no shard has
    to stand still for it.
    """
    origin = f"{lineage}-{seen.shard_id}"
    items = await places.ledger.hours(origin, hours.first, hours.last)
    lease = await places.leases.get(seen.key)
    if lease is None:
        if not seen.ended:  # else it was removed: the stream has forgotten the shard
            audit.compare(Check.CONTROL, seen.key, expected={"row": "there"}, found=None)
        lease = seen
    pending = None if lease.intent is None else await _pending(places.store, lease.intent, audit)
    reader = ManifestReader(places.store, lineage, lease.shard_id, ahead=AHEAD)
    chain = await follow(reader, lease.manifest, since=hours.first - SLACK_HOURS, audit=audit)
    view = ShardView(lease=lease, chain=chain, pending=pending, hours=hours)
    check_manifests(view.decided, audit)
    _check_row(view, audit)
    _check_ledger(view, seen, items, origin, audit)
    return view


async def _pending(store: ObjectStore, intent: Intent, audit: Audit) -> Manifest | None:
    audit.in_flight.append(intent.manifest)
    try:
        body = await store.get(intent.manifest)
        manifest = slim(decode(intent.manifest, body))
    except NotFoundError:
        audit.compare(Check.CONTROL, intent.manifest, expected={"manifest": "there"}, found=None)
        return None
    except HaltedError as error:
        audit.unreadable(Check.CONTROL, intent.manifest, error)
        return None
    audit.compare(
        Check.CONTROL,
        intent.manifest,
        expected={"sha256": intent.sha256},
        found={"sha256": hashlib.sha256(body).hexdigest()},
    )
    return manifest


def _check_row(view: ShardView, audit: Audit) -> None:
    """A row without any manifest has nothing to be compared with."""
    lease = view.lease
    if not view.chain.manifests:
        return
    newest = view.chain.manifests[0]
    end = lease.checkpoint if lease.ended else newest.end
    audit.compare(
        Check.CONTROL,
        lease.key,
        expected={"checkpoint": end, **asdict(newest.totals)},
        found={"checkpoint": lease.checkpoint, **asdict(lease.ledger)},
    )


def _check_ledger(view: ShardView, seen: Lease, items: Mapping[int, HourLedger], origin: str, audit: Audit) -> None:
    batches: defaultdict[int, list[Manifest]] = defaultdict(list)
    for manifest in view.decided:
        batches[hour_of(manifest.planned_at)].append(manifest)
    known_after = -math.inf
    if view.chain.broken:  # to which hours the batches before the missing manifest belong is not known
        known_after = max((hour_of(manifest.planned_at) for manifest in view.chain.manifests[-1:]), default=math.inf)
    for hour in sorted(hour for hour in {*batches, *items} if hour in view.hours and hour > known_after):
        item = items.get(hour)
        counted = [
            manifest
            for manifest in batches[hour]
            if manifest.batch_no < seen.batch_no or (item is not None and manifest.batch_no <= item.last)
        ]
        if not counted and item is None:
            continue  # decided after the ledger was read
        expected = Ledger()
        for manifest in counted:
            expected = expected.plus(manifest.ledger)
        where = f"{origin} {hour_text(hour)}"
        found = None if item is None else {"foreign": 0, **item.numbers}  # older items do not name it
        audit.compare(Check.LEDGER, where, expected=asdict(expected), found=found)


def hour_text(hour: int) -> str:
    """`2026-04-09T12Z`."""
    return f"{datetime.fromtimestamp(hour * HOUR_SECONDS, UTC):%Y-%m-%dT%HZ}"
