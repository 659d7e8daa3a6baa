"""Rows of `headrace leases list`: where each shard is, who has it, and what waits there."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from headrace.catalog.results import ResultColumn, Row
from headrace.concurrency import for_each
from headrace.delivery.manifest import decode
from headrace.errors import HaltedError, NotFoundError
from headrace.lake.ports import ObjectStore
from headrace.leases.model import Lease, LeaseKey
from headrace.leases.rows import is_sequence

COLUMNS = tuple(ResultColumn(name=name, type=kind) for name, kind in (
    ("shard", "varchar"), ("state", "varchar"), ("owner", "varchar"), ("checkpoint", "varchar"),
    ("behind_seconds", "double"), ("batch_no", "bigint"), ("epoch", "bigint"), ("pending_batch", "bigint"),
    ("pending_seconds", "double"), ("claim", "varchar"), ("leaving", "boolean"), ("parents", "varchar"),
    ("stream", "varchar"),
))  # fmt: skip
CONCURRENT_MANIFESTS = 16
_ALWAYS = frozenset({"shard", "state", "owner", "checkpoint", "behind_seconds", "batch_no", "epoch"})
"""Columns that a terminal shows; the others when they say something."""
_HEAD, _TAIL = 4, 12
"""Digits of a sequence number that a terminal shows."""


class State(StrEnum):
    """What a shard does, as far as its row and its manifest say."""

    ENDED = "ended"
    """All of it is done."""
    HALTED = "halted"
    """Its pending batch cannot be finished until somebody has looked (docs/operations.md)."""
    WAITING = "waiting"
    """For its parents to end."""
    OWNED = "owned"
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A batch that is decided and not committed."""

    since: float | None
    """When it was planned, in seconds since 1970 UTC; None when its manifest cannot be read."""
    halted: bool


async def pending_of(store: ObjectStore, leases: Sequence[Lease]) -> dict[LeaseKey, Pending]:
    """What is known of each pending batch of the rows."""
    found: dict[LeaseKey, Pending] = {}

    async def look(lease: Lease) -> None:
        found[lease.key] = await _look(store, lease)

    await for_each([lease for lease in leases if lease.intent is not None], look, limit=CONCURRENT_MANIFESTS)
    return found


async def _look(store: ObjectStore, lease: Lease) -> Pending:
    """The pending batch of a row, judged as its next owner will."""
    assert lease.intent is not None
    try:
        body = await store.get(lease.intent.manifest)
        manifest = decode(lease.intent.manifest, body)
    except (NotFoundError, HaltedError):
        return Pending(since=None, halted=True)
    as_decided = hashlib.sha256(body).hexdigest() == lease.intent.sha256 and manifest.start == lease.checkpoint
    return Pending(since=manifest.planned_at, halted=not as_decided)


def rows_of(leases: Sequence[Lease], pending: Mapping[LeaseKey, Pending], now: float) -> list[Row]:
    """A row for each lease; `now` is seconds since 1970 UTC."""
    unfinished = {lease.key for lease in leases if not lease.ended}
    return [_row(lease, pending.get(lease.key), unfinished, now) for lease in leases]


def _row(lease: Lease, pending: Pending | None, unfinished: set[LeaseKey], now: float) -> Row:
    stream = lease.key.rpartition(":")[0]
    since = pending.since if pending is not None else None
    return (
        lease.shard_id,
        str(_state(lease, pending, unfinished)),
        lease.owner,
        lease.checkpoint,
        None if lease.ended or not lease.complete_through else round(max(0.0, now - lease.complete_through), 1),
        lease.batch_no,
        lease.epoch,
        lease.intent.batch_no if lease.intent is not None else None,
        None if since is None else round(max(0.0, now - since), 1),
        lease.claim,
        lease.leaving,
        " ".join(lease.parents),
        stream,
    )


def _state(lease: Lease, pending: Pending | None, unfinished: set[LeaseKey]) -> State:
    if lease.ended:
        return State.ENDED
    if pending is not None and pending.halted:
        return State.HALTED
    if lease.owner is not None:
        return State.OWNED
    stream = lease.key.rpartition(":")[0]
    if any(f"{stream}:{parent}" in unfinished for parent in lease.parents):
        return State.WAITING
    return State.FREE


def short(checkpoint: str) -> str:
    """A checkpoint as a terminal shows it: `4964…123456789012`."""
    if not is_sequence(checkpoint) or len(checkpoint) <= _HEAD + _TAIL:
        return checkpoint
    return f"{checkpoint[:_HEAD]}…{checkpoint[-_TAIL:]}"


def for_terminal(rows: Sequence[Row]) -> tuple[list[ResultColumn], list[Row]]:
    """As many columns as say something, and checkpoints short enough to be seen beside each other."""
    kept = [
        n
        for n, column in enumerate(COLUMNS)
        if column.name in _ALWAYS
        or len(said := {row[n] for row in rows}) > 1
        or (column.name != "stream" and any(said))
    ]
    at = next(n for n, column in enumerate(COLUMNS) if column.name == "checkpoint")
    shown = [(*row[:at], short(str(row[at])), *row[at + 1 :]) for row in rows]
    return [COLUMNS[n] for n in kept], [tuple(row[n] for n in kept) for row in shown]
