"""What every table of leases promises of its rows and their owners, in memory and on DynamoDB."""

import asyncio
from dataclasses import replace

import pytest

from headrace.errors import ConflictError, LeaseLostError
from headrace.leases.model import Lease, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import ShardId
from tests.contract.leases.world import (
    FOUND,
    LEDGER,
    NOW,
    OTHER_STREAM,
    STREAM,
    commit,
    committed,
    created,
    intent,
    row,
    taken,
)


async def test_a_row_comes_back_as_it_was_created(store: LeaseStore) -> None:
    lease = Lease(
        key=row().key,
        checkpoint="1" * 129,
        batch_no=2**40,
        generation=3,
        intent=intent(2**40),
        manifest="_intents/b.json",
        parents=(ShardId("shardId-000000000001"), ShardId("shardId-000000000002")),
        ledger=LEDGER,
        complete_through=1_775_721_600.123456,
        caught_up_at=1_775_721_500.5,
        claim="you",
        leaving=True,
    )
    assert await created(store, lease) == lease


async def test_creating_a_row_again_leaves_it_as_it_is(store: LeaseStore) -> None:
    held = await taken(store)
    await store.create([row(), row(1)])
    assert await store.get(held.key) == held
    assert await store.get(row(1).key) == row(1)


async def test_a_row_that_was_never_created_is_none_and_cannot_be_taken(store: LeaseStore) -> None:
    assert await store.get(row().key) is None
    with pytest.raises(ConflictError):
        await store.take(row(), "me")
    assert await store.list("") == []


async def test_rows_are_listed_by_stream_in_order_of_key(store: LeaseStore) -> None:
    await store.create([row(2), row(0, OTHER_STREAM), row(10), row(1)])
    assert await store.list(lease_prefix(STREAM)) == [row(1), row(2), row(10)]


async def test_taking_sets_owner_and_moves_epoch_and_counter(store: LeaseStore) -> None:
    assert await taken(store) == replace(row(), owner="me", epoch=1, counter=1)


async def test_of_many_takers_who_saw_the_same_row_one_wins(store: LeaseStore) -> None:
    seen = await created(store)
    results = await asyncio.gather(*(store.take(seen, f"w{n}") for n in range(8)), return_exceptions=True)
    winners = [result for result in results if isinstance(result, Lease)]
    assert len(winners) == 1
    assert sum(isinstance(result, ConflictError) for result in results) == 7
    assert await store.get(seen.key) == winners[0]


async def test_a_lease_that_was_renewed_since_cannot_be_taken(store: LeaseStore) -> None:
    held = await taken(store)
    await store.renew(held)
    with pytest.raises(ConflictError):
        await store.take(held, "thief")


async def test_a_lease_that_did_not_move_can_be_taken_from_its_owner(store: LeaseStore) -> None:
    held = await taken(store)
    stolen = await store.take(held, "thief")
    assert (stolen.owner, stolen.epoch, stolen.counter) == ("thief", 2, 2)
    with pytest.raises(LeaseLostError):
        await store.renew(held)
    assert await store.get(held.key) == stolen


async def test_renewing_moves_the_counter_only(store: LeaseStore) -> None:
    held = await taken(store)
    assert await store.renew(held) == replace(held, counter=held.counter + 1)


async def test_a_renewal_needs_no_knowledge_of_earlier_ones(store: LeaseStore) -> None:
    held = await taken(store)
    assert [(await store.renew(held)).counter for _ in range(3)] == [2, 3, 4]


async def test_an_idle_shard_that_was_read_to_its_tip_is_complete_up_to_then(store: LeaseStore) -> None:
    held = await committed(store)
    renewed = await store.renew(held, caught_up_at=1_775_721_700.5)
    assert (renewed.caught_up_at, renewed.complete_through) == (1_775_721_700.5, 1_775_721_700.5)
    assert (await store.renew(held)).caught_up_at == 1_775_721_700.5
    assert await store.get(held.key) == replace(renewed, counter=renewed.counter + 1)


async def test_being_caught_up_does_not_take_back_what_is_complete(store: LeaseStore) -> None:
    held = await committed(store)
    assert (await store.renew(held, caught_up_at=1.0)).complete_through == held.complete_through


async def test_a_released_lease_can_be_taken_at_once_and_keeps_its_work(store: LeaseStore) -> None:
    done = await committed(store)
    await store.release(done)
    free = await store.get(done.key)
    assert free == replace(done, owner=None, counter=done.counter + 1)
    assert await store.take(free, "next") == replace(free, owner="next", counter=free.counter + 1, epoch=2)


async def test_nothing_can_be_done_with_a_lease_once_it_is_released(store: LeaseStore) -> None:
    held = await taken(store)
    await store.release(held)
    for write in (
        store.renew(held),
        store.declare(held, intent()),
        commit(store, replace(held, intent=intent())),
        store.end(held, caught_up_at=None),
        store.adopt(held, FOUND),
    ):
        with pytest.raises(LeaseLostError):
            await write
    with pytest.raises(ConflictError):
        await store.take(held, "late")


async def test_a_claim_names_who_asks_and_changes_nothing_else(store: LeaseStore) -> None:
    held = await taken(store)
    claimed = await store.claim(held, "you")
    assert claimed == replace(held, claim="you")
    assert await store.get(held.key) == claimed
    assert (await store.renew(held)).claim == "you"


async def test_a_claim_is_no_obstacle_to_the_owners_work(store: LeaseStore) -> None:
    held = await taken(store)
    await store.claim(held, "you")
    done = await commit(store, await store.declare(held, intent()))
    assert (done.batch_no, done.claim) == (1, "you")
    assert (await store.adopt(done, FOUND)).claim == "you"
    other = await taken(store, 1)
    await store.claim(other, "you")
    assert (await store.end(other, caught_up_at=None)).claim == "you"


async def test_of_many_claimants_who_saw_the_same_row_one_wins(store: LeaseStore) -> None:
    held = await taken(store)
    results = await asyncio.gather(*(store.claim(held, f"w{n}") for n in range(8)), return_exceptions=True)
    [winner] = [result for result in results if isinstance(result, Lease)]
    assert sum(isinstance(result, ConflictError) for result in results) == 7
    assert await store.get(held.key) == winner


async def test_a_claim_of_a_dead_claimant_can_be_replaced_by_who_saw_it(store: LeaseStore) -> None:
    held = await taken(store)
    claimed = await store.claim(held, "dead")
    with pytest.raises(ConflictError):
        await store.claim(held, "you")
    assert (await store.claim(claimed, "you")).claim == "you"


async def test_a_lease_that_changed_hands_or_is_free_cannot_be_claimed_as_it_was_seen(store: LeaseStore) -> None:
    held = await taken(store)
    stolen = await store.take(held, "thief")
    with pytest.raises(ConflictError):
        await store.claim(held, "you")
    await store.release(stolen)
    for seen in (stolen, replace(stolen, owner=None)):
        with pytest.raises(ConflictError):
            await store.claim(seen, "you")
    with pytest.raises(ConflictError):
        await store.claim(row(9), "you")


async def test_a_renewal_of_who_is_leaving_marks_the_row_until_it_is_released(store: LeaseStore) -> None:
    held = await taken(store)
    left = await store.renew(held, leaving=True)
    assert left == replace(held, counter=held.counter + 1, leaving=True)
    both = await store.renew(held, caught_up_at=5.0, leaving=True)
    assert (both.leaving, both.caught_up_at) == (True, 5.0)
    assert (await store.renew(held)).leaving
    await store.release(held)
    free = await store.get(held.key)
    assert free is not None
    assert not free.leaving


@pytest.mark.parametrize("released", [False, True])
async def test_claim_and_mark_end_with_a_release_and_with_a_take(store: LeaseStore, released: bool) -> None:
    held = await taken(store)
    await store.claim(held, "you")
    seen = await store.renew(held, leaving=True)
    assert (seen.claim, seen.leaving) == ("you", True)
    if released:
        await store.release(held)
    else:
        await store.take(seen, "you")
    after = await store.get(held.key)
    assert after is not None
    assert (after.owner, after.claim, after.leaving) == (None if released else "you", None, False)


async def test_releasing_a_lost_lease_leaves_it_to_its_new_owner(store: LeaseStore) -> None:
    held = await taken(store)
    stolen = await store.take(held, "thief")
    await store.release(held)
    await store.release(replace(held, key=row(9).key))
    assert await store.get(held.key) == stolen
    assert await store.get(row(9).key) is None


async def ended(store: LeaseStore, n: int = 0) -> Lease:
    """The row of a shard that is done, as everybody sees it."""
    done = await store.end(await committed(store, n), caught_up_at=None)
    await store.release(done)
    seen = await store.get(done.key)
    assert seen is not None
    return seen


async def test_the_row_of_an_ended_shard_is_removed_and_its_neighbours_stay(store: LeaseStore) -> None:
    done, other = await ended(store), await ended(store, 1)
    await store.remove(done, now=NOW)
    assert await store.list("") == [other]


async def test_removing_a_row_that_is_gone_is_no_error(store: LeaseStore) -> None:
    done = await ended(store)
    await store.remove(done, now=NOW)
    await store.remove(done, now=NOW)
    assert await store.get(done.key) is None


async def test_a_row_that_has_not_ended_is_never_removed(store: LeaseStore) -> None:
    for seen in (await created(store), await committed(store, 1)):
        with pytest.raises(ConflictError):
            await store.remove(seen, now=NOW)
        assert await store.get(seen.key) == seen


async def test_a_row_with_an_intent_is_never_removed(store: LeaseStore) -> None:
    odd = replace(row(), checkpoint="SHARD_END", intent=intent())
    await store.create([odd])
    with pytest.raises(ConflictError):
        await store.remove(odd, now=NOW)
    assert await store.get(odd.key) == odd


async def test_a_row_that_was_touched_since_it_was_seen_is_not_removed(store: LeaseStore) -> None:
    seen = await ended(store)
    taken_since = await store.take(seen, "curious")
    with pytest.raises(ConflictError):
        await store.remove(seen, now=NOW)
    assert await store.get(seen.key) == taken_since


async def test_a_row_that_was_removed_cannot_be_taken_and_may_be_made_anew(store: LeaseStore) -> None:
    seen = await ended(store)
    await store.remove(seen, now=NOW)
    with pytest.raises(ConflictError):
        await store.take(seen, "late")
    assert await created(store, row()) == row()
    with pytest.raises(ConflictError):
        await store.remove(seen, now=NOW)
