"""Leases in memory, for tests and simulations: the same conditions, no lost answers."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.errors import ConflictError, LeaseLostError
from headrace.leases import changes
from headrace.leases.changes import Change
from headrace.leases.model import Intent, Lease, LeaseKey, Ledger


class MemoryLeaseStore:
    """A `LeaseStore` in a dict. Workers that share one compete as they would in DynamoDB.

    A change that is asked for again is found made, as in DynamoDB, so that a test that loses an answer may repeat the
    call.
    """

    def __init__(self) -> None:
        self._rows: dict[LeaseKey, Lease] = {}

    async def create(self, leases: Sequence[Lease]) -> None:
        """See `LeaseStore`."""
        for lease in leases:
            self._rows.setdefault(lease.key, lease)

    async def list(self, prefix: str) -> list[Lease]:
        """See `LeaseStore`."""
        return [_as_read(self._rows[key]) for key in sorted(self._rows) if key.startswith(prefix)]

    async def get(self, key: LeaseKey) -> Lease | None:
        """See `LeaseStore`."""
        row = self._rows.get(key)
        return _as_read(row) if row is not None else None

    async def take(self, seen: Lease, owner: str) -> Lease:
        """See `LeaseStore`."""
        return self._make(changes.take(seen, owner))

    async def claim(self, seen: Lease, claimant: str) -> Lease:
        """See `LeaseStore`."""
        return self._make(changes.claim(seen, claimant))

    async def renew(self, held: Lease, *, caught_up_at: float | None = None, leaving: bool = False) -> Lease:
        """See `LeaseStore`."""
        return self._make(changes.renew(held, caught_up_at, leaving=leaving))

    async def release(self, held: Lease) -> None:
        """See `LeaseStore`."""
        try:
            self._make(changes.release(held))
        except LeaseLostError:
            return

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        """See `LeaseStore`."""
        return self._make(changes.declare(held, intent))

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """See `LeaseStore`."""
        return self._make(
            changes.commit(
                held,
                changes.pending(held),
                checkpoint=checkpoint,
                ledger=ledger,
                complete_through=complete_through,
                caught_up_at=caught_up_at,
            )
        )

    async def end(self, held: Lease, *, caught_up_at: float | None) -> Lease:
        """See `LeaseStore`."""
        return self._make(changes.end(held, caught_up_at))

    async def adopt(self, held: Lease, found: Lease) -> Lease:
        """See `LeaseStore`."""
        return self._make(changes.adopt(held, found))

    async def remove(self, seen: Lease, *, now: float) -> None:  # noqa: ARG002 - gone at once
        """See `LeaseStore`."""
        row = self._rows.get(seen.key)
        if row is not None and not changes.removable(row, seen):
            raise ConflictError(f"{seen.key} has changed: {row}")
        self._rows.pop(seen.key, None)

    def _make(self, change: Change) -> Lease:
        row = self._rows.get(change.key)
        if row is not None and change.possible(row):
            row = self._rows[row.key] = change.after(row)
        elif row is None or not change.made(row):
            raise change.refused(row)
        return _as_read(row)


def _as_read(row: Lease) -> Lease:
    """A shard read to its tip is complete up to then, even when nothing came that could be committed."""
    return replace(row, complete_through=max(row.complete_through, row.caught_up_at or 0.0))
