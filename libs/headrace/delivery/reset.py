"""Moving a shard's checkpoint by hand: a batch of no records whose end is elsewhere.

It goes the way of every batch (intent, apply, commit). So it is decided once, whoever takes the shard next finishes it,
reconciliation meets it as a link of the chain, and since it uses up a batch number no recovery takes the row for an
older state; a table that is restored to a state before it is brought up to it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from headrace.aws.retry import retry
from headrace.clock import Clock
from headrace.delivery.deliver import Delivery
from headrace.delivery.manifest import Manifest, decode
from headrace.delivery.manifests import ManifestReader
from headrace.delivery.recover import Recovery
from headrace.errors import ConflictError, NotFoundError
from headrace.lake.ports import ObjectStore
from headrace.leases.model import LATEST, TRIM_HORIZON, Lease, Ledger
from headrace.leases.ports import LeaseStore
from headrace.leases.rows import is_sequence

WORDS = (TRIM_HORIZON, LATEST)
"""Targets that are no sequence numbers."""
AHEAD = 16
"""Manifests fetched at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What moving a shard's checkpoint would do."""

    lease: Lease
    target: str
    batches: int
    """Landed already, and to be landed again as far as the stream still has them."""
    records: int
    """In those batches."""
    whole: bool
    """Whether all of them could be counted: the manifests of older ones may be gone."""

    @property
    def goes_back(self) -> bool:
        """Whether records that were dealt with are read again."""
        return place(self.target) < place(self.lease.checkpoint)

    @property
    def skips(self) -> bool:
        """Whether records that nobody has read may be passed over."""
        return place(self.lease.checkpoint) < place(self.target) and not self.lease.ended


def place(checkpoint: str) -> float | int:
    """Where in a shard a checkpoint is, to be compared with another one of it: words before and behind all numbers."""
    if is_sequence(checkpoint):
        return int(checkpoint)
    return {TRIM_HORIZON: -1.0}.get(checkpoint, float("inf"))


def refusal(lease: Lease) -> str | None:
    """Why a lease cannot be moved as it is now; None when it can."""
    if lease.intent is not None:
        return (
            f"batch {lease.intent.batch_no} is decided and not finished: let a transformer take the shard and finish it"
        )
    if lease.owner is not None:
        return f"{lease.owner} owns it: stop the transformers, or release it first"
    return None


async def consider(store: ObjectStore, lineage: str, lease: Lease, target: str, *, kept_from: float) -> Move:
    """What moving `lease` to `target` would do. Raises `HaltedError` for manifests that cannot be read.

    The stream has nothing more of what arrived before `kept_from` (seconds since 1970 UTC).
    """
    batches = records = 0
    whole = True
    chain = _chain(ManifestReader(store, lineage, lease.shard_id, ahead=AHEAD), lease.manifest)
    try:
        async for manifest in chain:
            if manifest.reset:
                continue
            if place(manifest.end) <= place(target) or manifest.last_arrival < kept_from:
                break
            batches += 1
            records += manifest.ledger.received
    except NotFoundError:
        whole = False
    return Move(lease=lease, target=target, batches=batches, records=records, whole=whole)


async def _chain(reader: ManifestReader, key: str) -> AsyncIterator[Manifest]:
    while key:
        manifest = decode(key, await reader.body(key))
        yield manifest
        key = manifest.previous


class Resetter:
    """Carries moves out. `owner` is unique to this process: it holds the lease for the moment that a move takes."""

    def __init__(self, delivery: Delivery, leases: LeaseStore, *, owner: str, clock: Clock) -> None:
        self._delivery = delivery
        self._recovery = Recovery(delivery, leases)
        self._leases = leases
        self._owner = owner
        self._clock = clock

    async def carry_out(self, move: Move) -> Lease:
        """The row with its checkpoint moved, owned by nobody.

        Raises `ConflictError` when the row is not as it was considered any more, also when it was older than the
        bucket's batches (then it has been brought up to them), and `RetryableError` when a place stays out of reach:
        from the decision on, the shard's next owner finishes the move.
        """
        if (why := refusal(move.lease)) is not None:
            raise ConflictError(f"{move.lease.key}: {why}")
        held = await retry(partial(self._leases.take, move.lease, self._owner))
        try:
            held = await retry(partial(self._recovery.settle, held))
            if (held.checkpoint, held.batch_no) != (move.lease.checkpoint, move.lease.batch_no):
                raise ConflictError(f"{held.shard_id} was not where its row said, but at {held.checkpoint}: look again")
            manifest = link(held, move.target, lineage=self._delivery.lineage, now=self._clock.now())
            held = await retry(partial(self._delivery.declare, manifest, held))
            return await retry(partial(self._delivery.finish, manifest, held, caught_up_at=None))
        finally:
            await retry(partial(self._leases.release, held))


def link(held: Lease, target: str, *, lineage: str, now: float) -> Manifest:
    """The manifest that moves `held` to `target`."""
    return Manifest(
        lineage=lineage,
        shard=held.shard_id,
        batch_no=held.batch_no,
        epoch=held.epoch,
        start=held.checkpoint,
        end=target,
        previous=held.manifest,
        planned_at=now,
        first_arrival=now,
        last_arrival=held.complete_through,
        objects=(),
        deltas=(),
        event_ids=b"",
        ledger=Ledger(),
        totals=held.ledger,
        reasons={},
        dead_letter_key="",
        reset=True,
    )
