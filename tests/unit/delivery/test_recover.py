"""What the next owner of a shard finds, and makes of it."""

import copy
import hashlib

import msgspec
import pyarrow as pa
import pytest

from headrace.delivery.manifest import VERSION, Manifest, decode, encode, manifest_key
from headrace.errors import HaltedError, LeaseLostError
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import Intent
from tests.unit.delivery.batches import NOW, Shard, broken, record, settled


async def test_a_pending_intent_is_finished_as_it_was_decided_not_planned_anew() -> None:
    shard = Shard()
    await shard.declare([record(1), record(2)], await shard.take("old"))
    lease = await settled(shard, await shard.take("new"))
    assert (lease.checkpoint, lease.batch_no, lease.intent) == ("2", 1, None)
    assert len(shard.visible()) == 2
    assert await shard.views() == 2
    assert len(shard.manifests()) == 1


@pytest.mark.parametrize("steps", ["visible", "counted"])
async def test_an_intent_that_was_applied_in_part_is_finished_once(steps: str) -> None:
    shard = Shard()
    manifest, _ = await shard.declare([record(1), record(2)], await shard.take("old"))
    if steps == "visible":
        await shard.store.complete(manifest.objects[0].staged)
    else:
        await shard.delivery.apply(manifest)
    await settled(shard, await shard.take("new"))
    assert len(shard.visible()) == 2
    assert await shard.views() == 2


async def test_without_an_intent_nothing_happened_and_the_batch_may_be_cut_elsewhere() -> None:
    shard = Shard()
    old = await shard.take("old")
    await shard.delivery.stage(shard.plan([record(1), record(2)], old), old)
    new = await settled(shard, await shard.take("new"))
    assert (new.checkpoint, new.batch_no) == ("TRIM_HORIZON", 0)
    await shard.deliver([record(1), record(2), record(3)], new)
    assert await shard.views() == 3


async def test_a_manifest_of_a_newer_version_with_unknown_fields_is_finished() -> None:
    shard = Shard()
    old = await shard.take("old")
    manifest = await shard.delivery.stage(shard.plan([record(1)], old), old)
    body = msgspec.json.encode({**msgspec.to_builtins(manifest), "later": {"a": 1}})
    await declare(shard, manifest, body)
    lease = await settled(shard, await shard.take("new"))
    assert lease.checkpoint == "1"
    assert await shard.views() == 1


async def test_a_manifest_that_only_a_newer_version_may_touch_stops_the_shard() -> None:
    shard = Shard()
    old = await shard.take("old")
    manifest = await shard.delivery.stage(shard.plan([record(1)], old), old)
    await declare(shard, manifest, encode(msgspec.structs.replace(manifest, version=VERSION + 1)))
    with pytest.raises(HaltedError, match="update"):
        await settled(shard, await shard.take("new"))
    assert shard.visible() == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version":1}', b"\xff"])
async def test_what_is_no_manifest_stops_the_shard(body: bytes) -> None:
    with pytest.raises(HaltedError):
        decode("key", body)


async def test_a_manifest_that_is_gone_or_changed_stops_the_shard() -> None:
    shard = Shard()
    manifest, _ = await shard.declare([record(1)], await shard.take("old"))
    await shard.store.put(manifest_key(manifest), encode(manifest) + b" ")
    with pytest.raises(HaltedError, match="not what was decided"):
        await settled(shard, await shard.take("new"))
    shard.store = type(shard.store)()
    gone = Shard(shard.store)
    gone.leases = shard.leases
    gone.recovery = type(gone.recovery)(gone.delivery, shard.leases)
    with pytest.raises(HaltedError, match="gone"):
        await settled(gone, await shard.take("third"))


async def test_a_checkpoint_that_somebody_else_moved_past_a_pending_intent_stops_the_shard() -> None:
    shard = Shard()
    old = await shard.take("old")
    manifest = await shard.delivery.stage(shard.plan([record(1)], old), old)
    manifest = msgspec.structs.replace(manifest, start="77")
    await declare(shard, manifest, encode(manifest))
    with pytest.raises(HaltedError, match="checkpoint"):
        await settled(shard, await shard.take("new"))


async def declare(shard: Shard, manifest: Manifest, body: bytes) -> None:
    await shard.store.put(manifest_key(manifest), body)
    row = await shard.leases.get((await shard.leases.list(""))[0].key)
    assert row is not None
    sha256 = hashlib.sha256(body).hexdigest()
    await shard.leases.declare(row, Intent(batch_no=manifest.batch_no, manifest=manifest_key(manifest), sha256=sha256))


async def test_the_window_comes_back_from_the_manifests() -> None:
    shard = Shard()
    lease = await shard.take()
    lease = await shard.deliver([record(1, arrived=NOW)], lease)
    lease = await shard.deliver([record(2, arrived=NOW + 300)], lease)
    lease = await shard.deliver([record(3, arrived=NOW + 700)], lease)
    window = await shard.recovery.window(lease, 600.0)
    asked = pa.chunked_array([["e1", "e2", "e3", "e4"]])
    assert window.repeats(asked, NOW + 701) == {1, 2}
    assert not (await shard.recovery.window(lease, 0.0)).repeats(asked, NOW + 701)


async def test_a_producers_repeat_is_dropped_by_the_next_owner_too() -> None:
    shard = Shard()
    await shard.deliver([record(1)], await shard.take("old"))
    lease = await settled(shard, await shard.take("new"))
    window = await shard.recovery.window(lease, 600.0)
    repeat = msgspec.structs.replace(record(1), sequence_number="2")
    lease = await shard.deliver([repeat, record(3)], lease, window)
    assert lease.ledger.duplicates == 1
    assert await shard.views() == 2


async def test_a_window_ends_where_a_lifecycle_rule_removed_the_manifests() -> None:
    shard = Shard()
    lease = await shard.deliver([record(1)], await shard.take())
    lease = await shard.deliver([record(2)], lease)
    kept = Shard()
    for key in shard.manifests()[1:]:
        await kept.store.put(key, await shard.store.get(key))
    window = await kept.recovery.window(lease, 600.0)
    assert window.repeats(pa.chunked_array([["e1", "e2"]]), NOW) == {1}


@pytest.mark.parametrize("batches", [1, 2, 3])
async def test_a_table_that_was_lost_is_brought_up_to_the_bucket(batches: int) -> None:
    shard = Shard()
    lease = await shard.take()
    for n in range(batches):
        lease = await shard.deliver([record(2 * n), broken(2 * n + 1)], lease)
    shard = shard_on(shard, MemoryLeaseStore())  # as after a restore of a backup from before the first record
    found = await settled(shard, await shard.take("new"))
    assert (found.checkpoint, found.batch_no, found.generation) == (lease.checkpoint, batches, 1)
    assert found.ledger == lease.ledger
    await shard.deliver([record(2 * batches)], found)
    assert await shard.views() == batches + 1
    assert len(shard.visible()) == batches + 1


async def test_in_a_restored_table_a_batch_that_was_never_decided_is_not_taken_for_one() -> None:
    shard = Shard()
    lease = await shard.deliver([record(1)], await shard.take())
    await shard.delivery.store.put(
        manifest_key(staged := await shard.delivery.stage(shard.plan([record(2)], lease), lease)), encode(staged)
    )
    shard = shard_on(shard, MemoryLeaseStore())  # as after a restore of a backup from before the first record
    found = await settled(shard, await shard.take("new"))
    assert (found.checkpoint, found.batch_no) == ("1", 2)
    await shard.deliver([record(2)], found)
    assert await shard.views() == 2


async def test_in_a_restored_table_a_batch_that_was_half_visible_is_finished() -> None:
    shard = Shard()
    lease = await shard.deliver([record(0)], await shard.take())
    manifest, _ = await shard.declare([record(1), record(2)], lease)
    await shard.store.complete(manifest.objects[1].staged)
    shard = shard_on(shard, MemoryLeaseStore())  # as after a restore of a backup from before the first record
    found = await settled(shard, await shard.take("new"))
    assert (found.checkpoint, found.batch_no) == ("2", 2)
    assert await shard.views() == 3
    assert len(shard.visible()) == 3


async def test_a_batch_of_nothing_but_repeats_keeps_its_number_when_the_table_forgot_it() -> None:
    shard = Shard()
    lease = await shard.deliver([record(1)], await shard.take())
    window = await shard.recovery.window(lease, 600.0)
    repeat = msgspec.structs.replace(record(1), sequence_number="2")
    before = shard.leases
    shard.leases = copy.deepcopy(before)  # the backup
    await Shard.deliver(shard_on(shard, before), [repeat], lease, window)
    found = await settled(shard_on(shard, shard.leases), await shard.take("new"))
    assert (found.checkpoint, found.batch_no) == ("2", 2)
    assert found.ledger.duplicates == 1


async def test_a_take_that_is_answered_after_the_next_ones_changes_nothing() -> None:
    shard = Shard()
    lease = await shard.deliver([record(1)], await shard.take())
    window = await shard.recovery.window(lease, 600.0)
    late = await shard.take("late")
    found = await settled(shard, await shard.take("new"))
    repeat = msgspec.structs.replace(record(1), sequence_number="2")
    planned = await shard.delivery.stage(shard.plan([repeat], found, window), found)
    await shard.delivery.store.put(manifest_key(planned), encode(planned))  # not decided
    before = copy.deepcopy(shard.counters)
    with pytest.raises(LeaseLostError):
        await settled(shard, late)
    assert vars(shard.counters) == vars(before)


def shard_on(shard: Shard, leases: MemoryLeaseStore) -> Shard:
    """The same shard with another state of the control table."""
    other = copy.copy(shard)
    other.leases = leases
    other.delivery = copy.copy(shard.delivery)
    other.delivery._leases = leases
    other.recovery = type(shard.recovery)(other.delivery, leases)
    return other


async def test_of_two_plans_of_a_forgotten_batch_the_one_that_took_effect_counts() -> None:
    shard = Shard()
    old = await shard.take("old")
    # Planned and never decided: its one object has the same key and bytes as the first of the other plan.
    undecided = await shard.delivery.stage(shard.plan([record(2)], old), old)
    await shard.store.put(manifest_key(undecided), encode(undecided))
    decided = await shard.deliver([record(2), record(3)], await shard.take("new"))
    shard = shard_on(shard, MemoryLeaseStore())
    lost = await shard.take("third")
    found = await settled(shard, lost)
    assert (found.checkpoint, found.ledger) == (decided.checkpoint, decided.ledger)
    # Its keeper goes on with the row it took.
    assert found.epoch == lost.epoch


class Damages(MemoryStore):
    """A store whose first answer is damaged on its way."""

    damaged = 0

    async def get(self, key: str) -> bytes:
        body = await super().get(key)
        self.damaged += 1
        return body[:-1] if self.damaged == 1 else body


async def test_a_manifest_that_was_damaged_on_its_way_is_read_again() -> None:
    shard = Shard(Damages())
    await shard.declare([record(1)], await shard.take("old"))
    lease = await settled(shard, await shard.take("new"))
    assert lease.checkpoint == "1"
