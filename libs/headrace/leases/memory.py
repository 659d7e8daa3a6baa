"""Leases in memory, for tests and simulations: the same conditions, no lost answers."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.errors import ConflictError, LeaseLostError
from headrace.leases.model import Lease, LeaseKey, Ledger


class MemoryLeaseStore:
    """A `LeaseStore` in a dict. Workers that share one compete as they would in DynamoDB."""

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
        row = self._rows.get(seen.key)
        if row is None or (row.owner, row.counter) != (seen.owner, seen.counter):
            raise ConflictError(f"{seen.key} has changed: {row}")
        return self._put(replace(row, owner=owner, counter=row.counter + 1, epoch=row.epoch + 1))

    async def renew(self, held: Lease, *, caught_up_at: float | None = None) -> Lease:
        """See `LeaseStore`."""
        row = self._held(held)
        return self._put(replace(row, counter=row.counter + 1, caught_up_at=_latest(row, caught_up_at)))

    async def release(self, held: Lease) -> None:
        """See `LeaseStore`."""
        try:
            row = self._held(held)
        except LeaseLostError:
            return
        self._put(replace(row, owner=None, counter=row.counter + 1))

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """See `LeaseStore`."""
        row = self._held(held)
        if (row.batch_no, row.checkpoint) != (held.batch_no, held.checkpoint):
            raise LeaseLostError(f"{held.key} has changed: {row}")
        return self._put(
            replace(
                row,
                checkpoint=checkpoint,
                batch_no=row.batch_no + 1,
                ledger=ledger,
                complete_through=complete_through,
                caught_up_at=_latest(row, caught_up_at),
            )
        )

    def _held(self, held: Lease) -> Lease:
        row = self._rows.get(held.key)
        if row is None or (row.owner, row.epoch) != (held.owner, held.epoch):
            raise LeaseLostError(f"{held.key} has changed: {row}")
        return row

    def _put(self, row: Lease) -> Lease:
        self._rows[row.key] = row
        return _as_read(row)


def _latest(row: Lease, caught_up_at: float | None) -> float | None:
    return row.caught_up_at if caught_up_at is None else caught_up_at


def _as_read(row: Lease) -> Lease:
    """A shard read to its tip is complete up to then, even when nothing came that could be committed."""
    return replace(row, complete_through=max(row.complete_through, row.caught_up_at or 0.0))
