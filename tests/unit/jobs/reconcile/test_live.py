"""A reconciliation beside a shard that goes on: what happens between two looks is no mismatch."""

from collections.abc import Awaitable, Callable

from headrace.counters.ports import HourLedger
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Lease, LeaseKey
from tests.unit.delivery.batches import NOW, Shard, record
from tests.unit.jobs.reconcile.world import HOUR, audit_of, deliver_at, delivered, told

Meanwhile = Callable[[], Awaitable[object]]


class Ledger:
    """The shard's own, but something happens before or after it is read."""

    def __init__(self, shard: Shard, *, before: Meanwhile | None = None, after: Meanwhile | None = None) -> None:
        self._shard = shard
        self._before = before
        self._after = after

    async def hours(self, origin: str, first: int, last: int) -> dict[int, HourLedger]:
        if self._before is not None:
            await self._before()
        found = dict(await self._shard.counters.hours(origin, first, last))
        if self._after is not None:
            await self._after()
        return found


class Leases(MemoryLeaseStore):
    """The shard's own rows, but something happens once a row has been read for the second time."""

    def __init__(self, shard: Shard, meanwhile: Meanwhile) -> None:
        super().__init__()
        self.__dict__.update(shard.leases.__dict__)
        self._meanwhile = meanwhile

    async def get(self, key: LeaseKey) -> Lease | None:
        found = await super().get(key)
        await self._meanwhile()
        return found


async def test_batches_committed_before_or_after_the_ledger_is_read_agree() -> None:
    for when in ("before", "after"):
        shard, lease = await delivered()

        async def two_more(shard: Shard = shard, lease: Lease = lease) -> None:
            await deliver_at(shard, [record(18)], await deliver_at(shard, [record(16)], lease, NOW), NOW + HOUR)

        ledger = Ledger(shard, before=two_more) if when == "before" else Ledger(shard, after=two_more)
        assert told(await audit_of(shard, ledger=ledger)) == []


async def test_a_batch_decided_and_applied_while_we_look_agrees() -> None:
    shard, lease = await delivered()

    async def decided() -> None:
        manifest, _ = await shard.declare([record(16)], lease)
        await shard.delivery.apply(manifest)

    audit = await audit_of(shard, ledger=Ledger(shard, before=decided))
    assert told(audit) == []
    assert len(audit.in_flight) == 1


async def test_objects_that_appear_behind_our_back_agree() -> None:
    shard, lease = await delivered()

    async def one_more() -> None:
        await deliver_at(shard, [record(16)], lease, NOW)

    assert told(await audit_of(shard, leases=Leases(shard, one_more))) == []
    assert len(shard.visible()) == 5
