"""Fleets that hand over as they should not. All of it is hints: it may cost time, and must never cost a record."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum, auto

from headrace.delivery.fleet import Fleet
from headrace.leases.keeper import LeaseKeeper, Round
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease
from headrace.runtime import Shutdown
from tests.simulation.build import Build


class Manner(StrEnum):
    """How a lease that is claimed changes hands."""

    SNATCH = auto()
    """Who claims a lease takes it, whatever its owner is about to do."""
    DEAF = auto()
    """No owner ever lets go for a claim."""
    HASTY = auto()
    """The owner lets go first, and only then delivers what it has gathered."""
    CLINGING = auto()
    """The owner lets go, and works on as if it had not."""


class SnatchedLeases(MemoryLeaseStore):
    """A claim is a take."""

    async def claim(self, seen: Lease, claimant: str) -> Lease:
        """Own the row at once."""
        return await self.take(seen, claimant)


class DeafFleet(Fleet):
    """Hears of no claim."""

    def _follow(self, change: Round, group: asyncio.TaskGroup, shutdown: Shutdown) -> None:
        super()._follow(replace(change, claimed=()), group, shutdown)


class HastyFleet(Fleet):
    """Releases what is claimed, and tells its worker to finish afterwards."""

    def _follow(self, change: Round, group: asyncio.TaskGroup, shutdown: Shutdown) -> None:
        _let_go(self._keeper, change, group)
        super()._follow(change, group, shutdown)


class ClingingFleet(DeafFleet):
    """Releases what is claimed, and tells its worker nothing."""

    def _follow(self, change: Round, group: asyncio.TaskGroup, shutdown: Shutdown) -> None:
        _let_go(self._keeper, change, group)
        super()._follow(change, group, shutdown)


def _let_go(keeper: LeaseKeeper, change: Round, group: asyncio.TaskGroup) -> None:
    for key in change.claimed:
        if (held := keeper.held.get(key)) is not None:
            group.create_task(keeper.release(held))


MANNERS: Mapping[Manner, Build] = {
    Manner.SNATCH: Build(leases=SnatchedLeases),
    Manner.DEAF: Build(fleet=DeafFleet),
    Manner.HASTY: Build(fleet=HastyFleet),
    Manner.CLINGING: Build(fleet=ClingingFleet),
}
