"""What Headrace asks of the table of leases. One row per shard is lease, checkpoint and ledger at once."""

from collections.abc import Sequence
from typing import Protocol

from headrace.leases.model import Intent, Lease, LeaseKey, Ledger


class LeaseStore(Protocol):
    """Rows changed by compare-and-set only. Every method that writes returns the row as it is afterwards.

    A write whose answer was lost is followed by a consistent read inside the adapter: a change that is already there
    counts as made.
    """

    async def create(self, leases: Sequence[Lease]) -> None:
        """Add rows that are not there yet; existing rows stay as they are."""
        ...

    async def list(self, prefix: str) -> list[Lease]:
        """All rows whose key starts with `prefix` (an application's stream), read consistently, in order of key."""
        ...

    async def get(self, key: LeaseKey) -> Lease | None:
        """One row, read consistently."""
        ...

    async def take(self, seen: Lease, owner: str) -> Lease:
        """Own the row if owner and counter are still as `seen`: epoch + 1, counter + 1, no claim, not leaving.

        Raises `ConflictError` when they are not.
        """
        ...

    async def claim(self, seen: Lease, claimant: str) -> Lease:
        """Ask the owner for the row, if owner, epoch and claim are still as `seen`. The counter stays.

        A hint: it ends with the next take or release. Raises `ConflictError` when they are not.
        """
        ...

    async def renew(self, held: Lease, *, caught_up_at: float | None = None, leaving: bool = False) -> Lease:
        """Counter + 1 while owner and epoch are ours. Raises `LeaseLostError` when they are not.

        `leaving` marks the row until it is taken or released.
        """
        ...

    async def release(self, held: Lease) -> None:
        """Give the row up, so that the next worker takes it at once. No error when it is already lost."""
        ...

    async def declare(self, held: Lease, intent: Intent) -> Lease:
        """Decide that a batch is applied. Before this write nothing has happened, after it everything will.

        Only while owner and epoch are ours, checkpoint and batch_no are those of `held`, and no intent is pending.
        Raises `LeaseLostError` when any of it is not so. The same intent may be declared again.
        """
        ...

    async def commit(
        self, held: Lease, *, checkpoint: str, ledger: Ledger, complete_through: float, caught_up_at: float | None
    ) -> Lease:
        """Put the applied intent of `held` behind us: checkpoint moved, batch_no + 1, its manifest the last one.

        Only while owner and epoch are ours and the pending intent is that of `held.batch_no`. Raises `LeaseLostError`
        when they are not.
        """
        ...

    async def end(self, held: Lease, *, caught_up_at: float | None) -> Lease:
        """Note that the shard ended and all of it is done: checkpoint SHARD_END. Conditions and errors of `declare`."""
        ...

    async def adopt(self, held: Lease, found: Lease) -> Lease:
        """Bring a row that is older than the bucket's manifests up to them: a new generation.

        Takes checkpoint, batch_no, manifest, ledger and complete_through from `found`, drops a pending intent,
        generation + 1. Owner and epoch stay, so that whoever renews the lease goes on. Conditions and errors of
        `declare`, but that an intent may be pending.
        """
        ...

    async def remove(self, seen: Lease, *, now: float) -> None:
        """Forget the row of an ended shard, if nobody has touched it since it was `seen`; no error when it is gone.

        `now` is in seconds since 1970 UTC. Raises `ConflictError` when it has changed, has not ended, or has an intent.
        """
        ...
