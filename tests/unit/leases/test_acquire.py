"""What one look at the rows leads to, and when the next one is due."""

import pytest

from headrace.clock import ManualClock
from headrace.leases.acquire import Acquirer
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease, LeaseKey
from headrace.telemetry.metrics import Metrics

FAILOVER = 10.0
SLOW = 0.02
"""Seconds that a listing takes."""
KEY = LeaseKey("a:s:0:shardId-000000000000")


class Store(MemoryLeaseStore):
    """A listing takes a while; `faster` is a worker that takes each free lease just before anybody else."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.faster: str | None = None

    async def list(self, prefix: str) -> list[Lease]:
        rows = await super().list(prefix)
        self._clock.advance(SLOW)
        return rows

    async def take(self, seen: Lease, owner: str) -> Lease:
        if self.faster is not None:
            await super().take(seen, self.faster)
        return await super().take(seen, owner)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> Store:
    store = Store(clock)
    await store.create([Lease(key=KEY)])
    return store


@pytest.fixture
def acquirer(store: Store, clock: ManualClock) -> Acquirer:
    return Acquirer(store, owner="me", failover=FAILOVER, clock=clock, metrics=Metrics())


async def look(acquirer: Acquirer) -> list[LeaseKey]:
    await acquirer.look("a:s:0:", (), take=True)
    return [lease.key for lease in await acquirer.gained(1.0)]


async def test_a_lease_that_expires_while_the_rows_are_on_their_way_is_due_at_once(
    acquirer: Acquirer, store: Store, clock: ManualClock
) -> None:
    await store.take(Lease(key=KEY), "dead")
    assert await look(acquirer) == []
    expiry = acquirer.next_expiry
    assert expiry == pytest.approx(clock.monotonic() + FAILOVER)
    clock.advance(FAILOVER - SLOW / 2)
    assert await look(acquirer) == []  # it was there still when the rows were asked for
    assert acquirer.next_expiry == expiry < clock.monotonic()
    assert await look(acquirer) == [KEY]


async def test_a_look_says_whether_somebody_else_was_faster(acquirer: Acquirer, store: Store) -> None:
    store.faster = "other"
    assert await look(acquirer) == []
    assert acquirer.refused
    assert await look(acquirer) == []
    assert not acquirer.refused
