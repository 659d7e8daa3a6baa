"""The row of an ended shard may be gone once its stream has forgotten it: what it delivered is proved all the same."""

from dataclasses import replace

import pytest

from headrace.errors import LeaseLostError
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import SHARD_END, Lease
from headrace.stream.ports import Shard as StreamShard
from headrace.stream.ports import ShardId
from jobs.reconcile.audit import Check
from tests.unit.delivery.batches import KEY, LINEAGE, Shard, record
from tests.unit.jobs.reconcile.world import audit_of, change_manifest, delivered, read_manifest, told

FOLDER = f"_intents/{LINEAGE}/shard/"


async def others() -> list[StreamShard]:
    return [StreamShard(shard_id=ShardId("child"))]


async def with_the_shard() -> list[StreamShard]:
    return [*await others(), StreamShard(shard_id=ShardId("shard"), closed=True)]


async def removed() -> Shard:
    """Three batches of a shard that ended, and whose row was removed."""
    shard, lease = await delivered()
    ended = await shard.delivery.end(lease, caught_up_at=None)
    await shard.leases.remove(ended, now=0.0)
    assert await shard.leases.list("") == []
    return shard


async def test_a_shard_whose_row_was_removed_agrees_and_everything_of_it_was_compared() -> None:
    before, _ = await delivered()
    audit = await audit_of(await removed(), listed=others)
    assert told(audit) == []
    assert audit.compared == (await audit_of(before)).compared
    assert audit.compared[Check.LEDGER] == 2


async def test_a_shard_that_the_stream_still_has_must_have_its_row() -> None:
    audit = await audit_of(await removed(), listed=with_the_shard)
    assert ("control rows", FOLDER, "row there", "missing") in told(audit)


async def test_what_is_no_stream_forgets_nothing() -> None:
    assert ("control rows", FOLDER, "row there", "missing") in told(await audit_of(await removed()))


async def test_an_object_that_is_gone_is_missed_after_the_row_is_removed_too() -> None:
    shard = await removed()
    key = shard.visible()[0]
    del shard.store._objects[key]
    assert [line[:2] for line in told(await audit_of(shard, listed=others))] == [("objects", key)]


async def planned_by_a_zombie(shard: Shard, n: int, lease: Lease) -> None:
    """A batch whose manifest is written, and whose decision is refused."""
    zombie = replace(lease, epoch=lease.epoch - 1)
    with pytest.raises(LeaseLostError):
        await shard.declare([record(n)], zombie)


async def test_a_batch_that_was_planned_and_never_decided_is_no_part_of_it() -> None:
    shard, lease = await delivered()
    await planned_by_a_zombie(shard, 16, lease)
    await shard.leases.remove(await shard.delivery.end(lease, caught_up_at=None), now=0.0)
    assert len(shard.manifests()) == 4
    assert told(await audit_of(shard, listed=others)) == []


async def test_a_first_batch_that_was_never_decided_leaves_nothing_to_compare() -> None:
    shard = Shard()
    lease = await shard.take()
    await planned_by_a_zombie(shard, 1, lease)
    assert len(shard.manifests()) == 1
    await shard.leases.remove(await shard.delivery.end(lease, caught_up_at=None), now=0.0)
    assert told(await audit_of(shard, listed=others)) == []


async def test_a_manifest_that_cannot_be_read_is_named() -> None:
    shard = await removed()
    last = shard.manifests()[-1]
    manifest = await read_manifest(shard, last)
    await change_manifest(shard, last, manifest)
    await shard.store.put(last, b"{")
    assert ("manifests", last) in [line[:2] for line in told(await audit_of(shard, listed=others))]


@pytest.mark.parametrize("checkpoint", [SHARD_END, "14"])
async def test_a_row_that_vanishes_while_it_is_looked_at_had_better_be_ended(checkpoint: str) -> None:
    shard, lease = await delivered()
    seen = replace(lease, checkpoint=checkpoint)

    class Vanishing(MemoryLeaseStore):
        async def list(self, prefix: str) -> list[Lease]:
            return [seen]

    found = [line[1] for line in told(await audit_of(shard, leases=Vanishing()))]
    assert found == ([] if checkpoint == SHARD_END else [KEY])
