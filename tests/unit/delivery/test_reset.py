"""A checkpoint that is moved by hand, and what every later owner, window and reconciliation makes of it."""

import msgspec
import pytest

from headrace.clock import SystemClock
from headrace.delivery.deliver import Delivery
from headrace.delivery.manifest import decode, encode, manifest_key
from headrace.delivery.recover import Recovery
from headrace.delivery.reset import Move, Resetter, consider, link, place
from headrace.errors import ConflictError
from headrace.lake.memory import MemoryStore
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import LATEST, SHARD_END, TRIM_HORIZON, Lease
from tests.unit.delivery.batches import KEY, LINEAGE, NOW, Shard, record, settled
from tests.unit.jobs.reconcile.world import audit_of, deliver_at, told

WINDOW = 600.0


async def landed() -> tuple[Shard, Lease]:
    """Three batches, up to the records 2, 4 and 6, and nobody who owns the shard."""
    shard = Shard()
    lease = await shard.take()
    for n in (1, 3, 5):
        lease = await deliver_at(shard, [record(n), record(n + 1)], lease, NOW)
    await shard.leases.release(lease)
    return shard, await row(shard)


async def row(shard: Shard) -> Lease:
    found = await shard.leases.get(KEY)
    assert found is not None
    return found


async def to(shard: Shard, lease: Lease, target: str) -> Move:
    return await consider(shard.store, LINEAGE, lease, target, kept_from=0.0)


async def moved(shard: Shard, lease: Lease, target: str) -> Lease:
    resetter = Resetter(shard.delivery, shard.leases, owner="operator", clock=SystemClock())
    await resetter.carry_out(await to(shard, lease, target))
    return await row(shard)


async def test_a_moved_row_has_used_up_a_batch_number_and_is_free() -> None:
    shard, lease = await landed()
    after = await moved(shard, lease, "2")
    assert (after.checkpoint, after.batch_no, after.intent, after.owner) == ("2", 4, None, None)
    assert (after.ledger, after.complete_through) == (lease.ledger, lease.complete_through)
    manifest = decode(after.manifest, await shard.store.get(after.manifest))
    assert (manifest.reset, manifest.previous, manifest.start, manifest.end) == (True, lease.manifest, "6", "2")


async def test_the_next_owner_goes_on_from_there_and_lands_the_records_again() -> None:
    shard, lease = await landed()
    await moved(shard, lease, "2")
    held = await settled(shard, await shard.take())
    assert (held.checkpoint, held.generation) == ("2", 0)
    window = await shard.recovery.window(held, WINDOW)
    done = await shard.deliver([record(3), record(4)], held, window)
    assert done.ledger.committed == 8
    assert await shard.views() == 8


async def test_what_was_landed_since_a_move_is_remembered_and_what_came_before_is_not() -> None:
    shard, lease = await landed()
    await moved(shard, lease, "2")
    held = await shard.deliver([record(3), record(4)], await shard.take())
    window = await shard.recovery.window(held, WINDOW)
    again = msgspec.structs.replace(record(4), sequence_number="5")
    done = await shard.deliver([again, record(5), record(6)], held, window)
    assert (done.ledger.duplicates, done.ledger.committed) == (1, 10)


async def test_a_window_without_a_move_does_remember() -> None:
    shard, _ = await landed()
    held = await shard.take()
    window = await shard.recovery.window(held, WINDOW)
    assert (await shard.deliver([record(5)], held, window)).ledger.duplicates == 1


async def test_a_move_whose_operator_died_after_the_decision_is_finished_by_the_next_owner() -> None:
    shard, lease = await landed()
    held = await shard.leases.take(lease, "operator")
    await shard.delivery.declare(link(held, "2", lineage=LINEAGE, now=NOW), held)
    after = await settled(shard, await shard.take("next"))
    assert (after.checkpoint, after.batch_no, after.intent) == ("2", 4, None)


async def test_a_move_is_not_healed_as_if_the_row_were_old_also_after_undecided_plans() -> None:
    shard, _ = await landed()
    held = await shard.take("dies")
    await shard.delivery.declare(await shard.delivery.stage(shard.plan([record(7)], held), held), held)
    finished = await settled(shard, await shard.take("finishes"))
    undecided = await shard.delivery.stage(shard.plan([record(8)], finished), finished)
    await shard.store.put(manifest_key(undecided), encode(undecided))
    await shard.leases.release(finished)
    after = await moved(shard, await row(shard), "2")
    assert after.batch_no == finished.batch_no + 1
    assert (await settled(shard, await shard.take("next"))).checkpoint == "2"


async def healed(shard: Shard, row: Lease) -> Lease:
    """The row as its next owner has it after the control table was restored with it."""
    shard.leases = MemoryLeaseStore()
    await shard.leases.create([row])
    taken = await shard.take("next")
    delivery = Delivery(
        shard.store, shard.counters, shard.leases, lineage=LINEAGE, metrics=shard.metrics, clock=SystemClock()
    )  # fmt: skip
    return await Recovery(delivery, shard.leases).settle(taken)


async def test_a_move_that_may_have_been_refused_is_not_made_good_and_its_number_is_not_used_again() -> None:
    # As after a restore of the table to just before it: nothing tells whether it was decided.
    shard, lease = await landed()
    after = await moved(shard, lease, "2")
    found = await healed(shard, lease)
    assert (found.checkpoint, found.manifest) == (lease.checkpoint, lease.manifest)
    assert found.batch_no == after.batch_no


async def test_a_table_restored_to_before_a_move_and_what_followed_is_brought_up_to_both() -> None:
    shard, lease = await landed()
    await moved(shard, lease, "2")
    done = await shard.deliver([record(3), record(4)], await shard.take())
    found = await healed(shard, lease)
    assert (found.checkpoint, found.batch_no, found.manifest) == (done.checkpoint, done.batch_no, done.manifest)


async def test_a_row_that_is_older_than_its_batches_is_brought_up_to_them_and_not_moved() -> None:
    shard, lease = await landed()
    shard.leases = MemoryLeaseStore()
    await shard.leases.create([Lease(key=KEY)])
    old = await row(shard)
    delivery = Delivery(
        shard.store, shard.counters, shard.leases, lineage=LINEAGE, metrics=shard.metrics, clock=SystemClock()
    )  # fmt: skip
    resetter = Resetter(delivery, shard.leases, owner="operator", clock=SystemClock())
    with pytest.raises(ConflictError, match="but at 6: look again"):
        await resetter.carry_out(await to(shard, old, "4"))
    found = await row(shard)
    assert (found.checkpoint, found.batch_no, found.owner) == (lease.checkpoint, lease.batch_no, None)
    await resetter.carry_out(await to(shard, found, "4"))
    assert (await row(shard)).checkpoint == "4"


async def test_reconciliation_finds_a_move_in_order_before_and_after_the_next_batch() -> None:
    shard, lease = await landed()
    await moved(shard, lease, TRIM_HORIZON)
    assert told(await audit_of(shard)) == []
    await deliver_at(shard, [record(1), record(2)], await shard.take(), NOW)
    assert told(await audit_of(shard)) == []


@pytest.mark.parametrize(
    ("target", "batches", "records", "back", "skips"),
    [
        (TRIM_HORIZON, 3, 6, True, False),
        ("1", 3, 6, True, False),
        ("2", 2, 4, True, False),
        ("5", 1, 2, True, False),
        ("6", 0, 0, False, False),
        ("7", 0, 0, False, True),
        (LATEST, 0, 0, False, True),
    ],
)
async def test_a_move_says_what_it_lands_again_and_whether_it_passes_anything_over(
    target: str, batches: int, records: int, back: bool, skips: bool
) -> None:
    shard, lease = await landed()
    move = await to(shard, lease, target)
    assert (move.batches, move.records, move.goes_back, move.skips, move.whole) == (
        batches, records, back, skips, True,
    )  # fmt: skip


async def test_batches_that_the_stream_has_forgotten_are_not_landed_again() -> None:
    shard, lease = await landed()
    assert (await consider(shard.store, LINEAGE, lease, TRIM_HORIZON, kept_from=NOW + 1)).batches == 0


async def test_batches_whose_manifests_are_gone_are_not_counted_and_that_is_said() -> None:
    shard, lease = await landed()
    kept = MemoryStore()
    for key in shard.manifests()[1:]:
        await kept.put(key, await shard.store.get(key))
    move = await consider(kept, LINEAGE, lease, TRIM_HORIZON, kept_from=0.0)
    assert (move.batches, move.whole) == (2, False)


async def test_a_second_move_counts_past_the_first() -> None:
    shard, lease = await landed()
    after = await moved(shard, lease, "4")
    assert (await to(shard, after, "2")).batches == 2


async def test_an_ended_shard_may_be_read_again_from_its_start() -> None:
    shard, _ = await landed()
    held = await shard.take()
    await shard.leases.release(await shard.leases.end(held, caught_up_at=None))
    move = await to(shard, await row(shard), TRIM_HORIZON)
    assert (move.goes_back, move.batches, move.lease.checkpoint) == (True, 3, SHARD_END)


async def test_an_owned_shard_and_one_with_a_pending_batch_are_left_alone() -> None:
    shard, _ = await landed()
    held = await shard.take("worker")
    with pytest.raises(ConflictError, match="worker owns it"):
        await moved(shard, held, "2")
    _, declared = await shard.declare([record(7)], held)
    await shard.leases.release(declared)
    with pytest.raises(ConflictError, match="batch 3 is decided"):
        await moved(shard, await row(shard), "2")


async def test_a_row_that_changed_since_it_was_shown_is_left_alone() -> None:
    shard, lease = await landed()
    move = await to(shard, lease, "2")
    done = await shard.deliver([record(7)], await shard.take("worker"))
    await shard.leases.release(done)
    before = await row(shard)
    resetter = Resetter(shard.delivery, shard.leases, owner="operator", clock=SystemClock())
    with pytest.raises(ConflictError):
        await resetter.carry_out(move)
    assert await row(shard) == before


def test_places_are_compared_as_numbers() -> None:
    assert place(TRIM_HORIZON) < place("0") < place("9") < place("10" * 60) < place(LATEST)
