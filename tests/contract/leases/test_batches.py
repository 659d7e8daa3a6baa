"""What every table of leases promises of the writes that decide on a batch, put it behind us and end a shard."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import LeaseLostError
from headrace.leases.model import SHARD_END, Lease, lease_prefix
from headrace.leases.ports import LeaseStore
from tests.contract.leases.world import (
    FOUND,
    LEDGER,
    SEQUENCE,
    STREAM,
    WRITES,
    commit,
    committed,
    declared,
    intent,
    taken,
)

OTHERS: tuple[dict[str, Any], ...] = (
    {"owner": "you"}, {"epoch": 0}, {"epoch": 2}, {"batch_no": 0}, {"batch_no": 2}, {"checkpoint": "3"},
)  # fmt: skip
"""In what a row that we once saw can differ from the row as it is now."""


async def test_declaring_notes_the_intent_and_nothing_else(store: LeaseStore) -> None:
    held = await taken(store)
    done = await store.declare(held, intent())
    assert done == replace(held, intent=intent())
    assert await store.get(held.key) == done


async def test_the_same_intent_may_be_declared_again_and_another_one_may_not(store: LeaseStore) -> None:
    held = await taken(store)
    done = await store.declare(held, intent())
    assert await store.declare(held, intent()) == done
    for other in (intent(manifest="_intents/b.json"), replace(intent(), sha256="6" * 64), intent(1)):
        with pytest.raises(LeaseLostError):
            await store.declare(held, other)
    assert await store.get(held.key) == done


async def test_of_many_intents_that_are_declared_at_once_one_wins(store: LeaseStore) -> None:
    held = await taken(store)
    intents = [intent(manifest=f"_intents/{n}.json") for n in range(8)]
    results = await asyncio.gather(*(store.declare(held, one) for one in intents), return_exceptions=True)
    [winner] = [result for result in results if isinstance(result, Lease)]
    assert sum(isinstance(result, LeaseLostError) for result in results) == 7
    assert await store.get(held.key) == winner
    assert winner.intent in intents


async def test_an_intent_for_another_state_of_the_row_is_refused(store: LeaseStore) -> None:
    held = await committed(store)
    for other in OTHERS:
        with pytest.raises(LeaseLostError):
            await store.declare(replace(held, **other), intent(1))
    assert await store.get(held.key) == held


async def test_a_pending_intent_goes_to_whoever_takes_the_lease_and_only_they_can_commit_it(store: LeaseStore) -> None:
    held = await declared(store)
    stolen = await store.take(held, "you")
    assert stolen == replace(held, owner="you", epoch=2, counter=2)
    with pytest.raises(LeaseLostError):
        await commit(store, held)
    assert await commit(store, stolen) == replace(
        stolen,
        checkpoint=SEQUENCE,
        batch_no=1,
        intent=None,
        manifest=intent().manifest,
        ledger=LEDGER,
        complete_through=1_775_721_600.25,
    )


async def test_a_pending_intent_outlives_renewals_and_a_release(store: LeaseStore) -> None:
    held = await declared(store)
    renewed = await store.renew(held, caught_up_at=5.0)
    assert renewed.intent == intent()
    await store.release(renewed)
    free = await store.get(held.key)
    assert free is not None
    assert (free.owner, free.intent) == (None, intent())


async def test_committing_moves_checkpoint_batch_number_and_ledger_and_remembers_the_manifest(
    store: LeaseStore,
) -> None:
    held = await declared(store)
    done = await store.commit(
        held, checkpoint=SEQUENCE, ledger=LEDGER, complete_through=1_775_721_600.25, caught_up_at=1_775_721_599.0
    )
    assert done == replace(
        held,
        checkpoint=SEQUENCE,
        batch_no=1,
        intent=None,
        manifest=intent().manifest,
        ledger=LEDGER,
        complete_through=1_775_721_600.25,
        caught_up_at=1_775_721_599.0,
    )
    assert await store.get(held.key) == done


async def test_a_commit_that_is_not_caught_up_keeps_when_it_last_was(store: LeaseStore) -> None:
    held = await store.renew(await declared(store), caught_up_at=5.0)
    assert (await commit(store, held)).caught_up_at == 5.0


async def test_renewals_between_plan_and_commit_do_not_matter(store: LeaseStore) -> None:
    held = await taken(store)
    await store.renew(held)
    held = await store.declare(held, intent())
    await store.renew(held)
    done = await commit(store, held)
    assert (done.counter, done.batch_no) == (3, 1)
    done = await commit(store, await store.declare(done, intent(1, "_intents/b.json")), "5")
    assert (done.checkpoint, done.batch_no, done.manifest) == ("5", 2, "_intents/b.json")


async def test_a_batch_that_was_not_declared_cannot_be_committed(store: LeaseStore) -> None:
    held = await taken(store)
    for pretended in (held, replace(held, intent=intent()), replace(held, intent=intent(1))):
        with pytest.raises(LeaseLostError):
            await commit(store, pretended)
    assert await store.get(held.key) == held


async def test_an_intent_of_another_batch_cannot_be_committed(store: LeaseStore) -> None:
    held = await store.declare(await committed(store), intent(1))
    for n in (0, 2):
        with pytest.raises(LeaseLostError):
            await commit(store, replace(held, batch_no=n, intent=intent(n)), "5")
    assert await store.get(held.key) == held


async def test_a_commit_of_an_older_epoch_is_refused(store: LeaseStore) -> None:
    held = await declared(store)
    stolen = await store.take(held, "thief")
    with pytest.raises(LeaseLostError):
        await commit(store, held)
    back = await store.take(stolen, "me")
    with pytest.raises(LeaseLostError):
        await commit(store, held)
    assert await store.get(held.key) == back


async def test_an_ended_shard_keeps_its_row_and_takes_no_batch(store: LeaseStore) -> None:
    held = await committed(store)
    done = await store.end(held, caught_up_at=1_775_721_700.5)
    assert done == replace(held, checkpoint=SHARD_END, caught_up_at=1_775_721_700.5, complete_through=1_775_721_700.5)
    assert done.ended
    assert await store.list(lease_prefix(STREAM)) == [done]
    with pytest.raises(LeaseLostError):
        await store.declare(held, intent(1))


async def test_an_end_that_is_not_caught_up_keeps_when_it_last_was(store: LeaseStore) -> None:
    held = await store.renew(await committed(store), caught_up_at=5.0)
    assert (await store.end(held, caught_up_at=None)).caught_up_at == 5.0


async def test_an_end_of_another_state_of_the_row_is_refused(store: LeaseStore) -> None:
    held = await committed(store)
    for other in OTHERS:
        with pytest.raises(LeaseLostError):
            await store.end(replace(held, **other), caught_up_at=None)
    assert await store.get(held.key) == held


async def test_a_shard_with_a_pending_intent_does_not_end(store: LeaseStore) -> None:
    held = await declared(store)
    with pytest.raises(LeaseLostError):
        await store.end(held, caught_up_at=None)
    assert await store.get(held.key) == held


async def test_an_old_row_is_brought_up_to_what_was_found_as_a_new_generation(store: LeaseStore) -> None:
    held = await declared(store)
    adopted = await store.adopt(held, FOUND)
    assert adopted == replace(FOUND, owner="me", counter=held.counter, epoch=held.epoch, generation=1, intent=None)
    assert adopted.epoch != FOUND.epoch
    assert await store.get(held.key) == adopted
    assert (await store.adopt(adopted, replace(FOUND, batch_no=10))).generation == 2


async def test_whoever_renews_a_lease_that_was_brought_up_goes_on(store: LeaseStore) -> None:
    held = await taken(store)
    adopted = await store.adopt(held, FOUND)
    assert await store.renew(held) == replace(adopted, counter=adopted.counter + 1)


async def test_another_state_of_the_row_is_not_brought_up(store: LeaseStore) -> None:
    held = await committed(store)
    for other in OTHERS:
        with pytest.raises(LeaseLostError):
            await store.adopt(replace(held, **other), FOUND)
    assert await store.get(held.key) == held


async def test_another_generation_of_the_row_is_not_brought_up(store: LeaseStore) -> None:
    held = await taken(store)
    with pytest.raises(LeaseLostError):
        await store.adopt(replace(held, generation=1), FOUND)
    assert await store.get(held.key) == held


async def test_a_write_that_is_asked_for_again_after_it_was_made_counts_as_made(store: LeaseStore) -> None:
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        done = await make(store, held)
        assert done != held
        assert await make(store, held) == done
        assert await store.get(held.key) == done
