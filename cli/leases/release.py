"""`headrace leases release`: a lease is taken from its owner, so that the next worker need not wait."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.catalog.results import ResultColumn, Row
from headrace.leases.model import Lease
from headrace.leases.ports import LeaseStore

COLUMNS = tuple(ResultColumn(name=name, type="varchar") for name in ("shard", "was_owner", "result"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What became of one lease."""

    shown: Lease
    now: Lease | None

    @property
    def done(self) -> bool:
        """Whether its owner has it no longer."""
        return self.now is not None and (self.now.owner, self.now.epoch) != (self.shown.owner, self.shown.epoch)

    @property
    def row(self) -> Row:
        """For people and programs."""
        owner = self.now.owner if self.now is not None else None
        return self.shown.shard_id, self.shown.owner, "free" if owner is None else f"taken by {owner}"


def chosen(leases: Sequence[Lease], owner: str | None) -> list[Lease]:
    """Those that somebody owns: `owner`, if one is named."""
    return [lease for lease in leases if lease.owner is not None and owner in {None, lease.owner}]


async def release(store: LeaseStore, shown: Sequence[Lease]) -> list[Released]:
    """Release each lease if it is still with the owner and epoch that were shown, and look again.

    The holder's next write is refused, and its renewal tells it to drop the shard. Any worker may take the lease then,
    also the one that had it.
    """
    released = []
    for lease in shown:
        await store.release(lease)
        released.append(Released(shown=lease, now=await store.get(lease.key)))
    return released
