"""What only a network can do to a table of leases: answers that are lost, and requests that land late."""

import contextlib
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial

import pytest
import stamina

from headrace.errors import ConflictError, LeaseLostError, UnavailableError
from headrace.leases.dynamodb import TTL_ATTRIBUTE, DynamoLeaseStore
from headrace.leases.model import Lease, LeaseKey
from tests.contract.dynamodb_engines import Loss, LossyClient, Table
from tests.contract.leases.world import NOW, WRITES, SlowClient, commit, created, intent, item_of, taken

ATTEMPTS = pytest.mark.parametrize("attempts", [1, 3])
"""One: the answer is lost for good. Three: a repeated call meets the effect of the first."""


@ATTEMPTS
async def test_a_take_whose_answer_was_lost_counts_as_made(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    seen = await created(lossy)
    client.lose("update_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts):
        held = await lossy.take(seen, "me")
    assert held == replace(seen, owner="me", epoch=1, counter=1)
    assert not client.unused


@ATTEMPTS
async def test_a_write_of_a_batch_whose_answer_was_lost_counts_as_made_once(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    for n, (start, make) in enumerate(WRITES):
        held = await start(lossy, n)
        client.lose("update_item", Loss.ANSWER)
        with stamina.set_testing(True, attempts=attempts):
            done = await make(lossy, held)
        assert done != held
        assert not client.unused
        assert await make(lossy, held) == done == await lossy.get(held.key)


@ATTEMPTS
async def test_a_renewal_whose_answer_was_lost_counts_as_made(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    held = await taken(lossy)
    client.lose("update_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts):
        assert (await lossy.renew(held)).counter > held.counter


@ATTEMPTS
async def test_a_release_whose_answer_was_lost_counts_as_made(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    held = await taken(lossy)
    client.lose("update_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts):
        await lossy.release(held)
    free = await lossy.get(held.key)
    assert free == replace(held, owner=None, counter=held.counter + 1)


@ATTEMPTS
async def test_a_claim_or_a_mark_whose_answer_was_lost_counts_as_made(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    held = await taken(lossy)
    client.lose("update_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts):
        assert await lossy.claim(held, "you") == replace(held, claim="you")
        client.lose("update_item", Loss.ANSWER)
        assert (await lossy.renew(held, leaving=True)).leaving
    assert not client.unused


async def test_a_claim_that_never_arrived_is_unavailable_and_a_refused_one_is_told(
    lossy: DynamoLeaseStore, client: LossyClient, table: Table
) -> None:
    held = await taken(lossy)
    with stamina.set_testing(True):
        client.lose("update_item", Loss.REQUEST)
        with pytest.raises(UnavailableError):
            await lossy.claim(held, "you")
        client.between = lambda: DynamoLeaseStore(*table).claim(held, "other")
        client.lose("update_item", Loss.REQUEST)
        with pytest.raises(ConflictError):
            await lossy.claim(held, "you")


async def test_a_claim_that_lands_late_is_refused_once_the_lease_has_moved_and_else_is_a_claim(table: Table) -> None:
    slow = SlowClient(table.client)
    store = DynamoLeaseStore(slow, table.name)
    held = await taken(store)
    await delay(slow, store.claim(held, "late"))
    await store.renew(held)
    await slow.land()
    claimed = await store.get(held.key)
    assert claimed is not None
    assert claimed.claim == "late"
    await store.release(held)
    free = await store.get(held.key)
    assert free is not None
    for mine in (await store.take(free, "me"), await taken(store, 1)):
        await delay(slow, store.claim(mine, "late"))
        stolen = await steal(store, mine.key)
        with pytest.raises(ConflictError):
            await slow.land()
        assert await store.get(mine.key) == stolen


async def test_a_mark_that_lands_after_the_lease_was_released_or_taken_is_refused(table: Table) -> None:
    slow = SlowClient(table.client)
    store = DynamoLeaseStore(slow, table.name)
    held = await taken(store)
    await delay(slow, store.renew(held, leaving=True))
    await store.release(held)
    with pytest.raises(ConflictError):
        await slow.land()
    await steal(store, held.key)
    with pytest.raises(ConflictError):
        await slow.land()
    found = await store.get(held.key)
    assert found is not None
    assert not found.leaving


async def test_a_take_that_never_arrived_is_unavailable_while_it_is_still_possible(
    lossy: DynamoLeaseStore, client: LossyClient
) -> None:
    seen = await created(lossy)
    with stamina.set_testing(True):
        client.lose("update_item", Loss.REQUEST)
        with pytest.raises(UnavailableError):
            await lossy.take(seen, "me")
        held = await lossy.take(seen, "me")
        for write in (lossy.renew(held), lossy.release(held)):
            client.lose("update_item", Loss.REQUEST)
            with pytest.raises(UnavailableError):
                await write
    assert await lossy.get(seen.key) == held


async def test_a_write_of_a_batch_that_never_arrived_is_unavailable_while_it_is_still_possible(
    lossy: DynamoLeaseStore, client: LossyClient
) -> None:
    for n, (start, make) in enumerate(WRITES):
        held = await start(lossy, n)
        client.lose("update_item", Loss.REQUEST)
        with stamina.set_testing(True), pytest.raises(UnavailableError):
            await make(lossy, held)
        assert await lossy.get(held.key) == held


async def test_a_write_that_never_arrived_is_refused_once_another_worker_came_first(
    lossy: DynamoLeaseStore, client: LossyClient, table: Table
) -> None:
    other = DynamoLeaseStore(*table)
    seen = await created(lossy)
    client.between = lambda: other.take(seen, "other")
    client.lose("update_item", Loss.REQUEST)
    with stamina.set_testing(True), pytest.raises(ConflictError):
        await lossy.take(seen, "me")


@pytest.mark.parametrize("loss", Loss)
async def test_a_write_of_a_batch_is_lost_when_the_lease_was_stolen_before_the_row_could_be_read(
    lossy: DynamoLeaseStore, client: LossyClient, table: Table, loss: Loss
) -> None:
    other = DynamoLeaseStore(*table)
    for n, (start, make) in enumerate(WRITES):
        held = await start(lossy, n)
        client.between = partial(steal, other, held.key)
        client.lose("update_item", loss)
        with stamina.set_testing(True), pytest.raises(LeaseLostError):
            await make(lossy, held)
        stolen = await other.get(held.key)
        assert stolen is not None
        kept = replace(stolen, owner=held.owner, epoch=held.epoch, counter=held.counter)
        assert (kept == held) is (loss is Loss.REQUEST)


async def test_a_write_of_a_batch_that_lands_late_counts_as_made_when_it_is_asked_for_again(table: Table) -> None:
    slow = SlowClient(table.client)
    store = DynamoLeaseStore(slow, table.name)
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        await delay(slow, make(store, held))
        await slow.land()
        done = await store.get(held.key)
        assert done != held
        assert await make(store, held) == done


async def test_a_write_of_a_batch_that_lands_after_its_repetition_is_refused(table: Table) -> None:
    slow = SlowClient(table.client)
    store = DynamoLeaseStore(slow, table.name)
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        await delay(slow, make(store, held))
        done = await make(store, held)
        with pytest.raises(ConflictError):
            await slow.land()
        if done.intent is None and not done.ended:
            done = await store.declare(done, intent(done.batch_no, "_intents/next.json"))
            with pytest.raises(ConflictError):
                await slow.land()
        assert await store.get(held.key) == done


async def test_a_write_of_a_batch_that_lands_after_the_lease_was_stolen_is_refused(table: Table) -> None:
    slow = SlowClient(table.client)
    store = DynamoLeaseStore(slow, table.name)
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        await delay(slow, make(store, held))
        stolen = await steal(store, held.key)
        with pytest.raises(ConflictError):
            await slow.land()
        assert await store.get(held.key) == stolen


async def test_a_declaration_that_lands_after_its_batch_was_committed_is_refused(table: Table) -> None:
    slow = SlowClient(table.client)
    store = DynamoLeaseStore(slow, table.name)
    held = await taken(store)
    await delay(slow, store.declare(held, intent()))
    done = await commit(store, await store.declare(held, intent()))
    with pytest.raises(ConflictError):
        await slow.land()
    assert await store.get(held.key) == done


async def steal(store: DynamoLeaseStore, key: LeaseKey) -> Lease:
    seen = await store.get(key)
    assert seen is not None
    return await store.take(seen, "thief")


async def delay(slow: SlowClient, write: Awaitable[Lease]) -> None:
    """Make the write without an answer; for the one who asked for it, it has not happened so far."""
    slow.delays = True
    with stamina.set_testing(True), pytest.raises(UnavailableError):
        await write


@ATTEMPTS
async def test_a_removal_whose_answer_was_lost_may_be_asked_for_again(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    start, end = WRITES[2]
    done = await end(lossy, await start(lossy, 0))
    client.lose("update_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts), contextlib.suppress(UnavailableError):
        await lossy.remove(done, now=NOW)
    assert not client.unused
    await lossy.remove(done, now=NOW)
    assert await lossy.list("") == []


async def test_a_removed_row_lies_there_unseen_until_dynamodb_deletes_it(lossy: DynamoLeaseStore, table: Table) -> None:
    start, end = WRITES[2]
    held = await end(lossy, await start(lossy, 0))
    await lossy.remove(held, now=NOW)
    assert await lossy.get(held.key) is None
    left = await item_of(table, held.key)
    assert left[TTL_ATTRIBUTE] == {"N": str(int(NOW))}
    assert "leaseOwner" not in left
    with pytest.raises(LeaseLostError):
        await lossy.renew(held)
