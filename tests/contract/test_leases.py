"""What every table of leases promises, in memory and on DynamoDB."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import stamina

from headrace.errors import ConflictError, LeaseLostError, UnavailableError
from headrace.leases.dynamodb import DynamoLeaseStore, table_definition
from headrace.leases.memory import MemoryLeaseStore
from headrace.leases.model import SHARD_END, Lease, LeaseKey, Ledger, lease_key, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import ShardId, StreamInfo
from tests.contract.dynamodb_engines import ENGINES, Loss, LossyClient, Table, fresh_table

STREAM = StreamInfo(name="events", account="000000000000", created=1_775_000_000)
OTHER_STREAM = replace(STREAM, created=STREAM.created + 1)
LEDGER = Ledger(received=10, committed=7, dead_lettered=2, duplicates=1, objects=3)
SEQUENCE = "4" * 56


def row(n: int = 0, stream: StreamInfo = STREAM) -> Lease:
    return Lease(key=lease_key(stream, ShardId(f"shardId-{n:012}")))


@pytest.fixture(params=["memory", *ENGINES])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[LeaseStore]:
    if request.param == "memory":
        yield MemoryLeaseStore()
        return
    async with fresh_table(request, table_definition) as table:
        yield DynamoLeaseStore(table.client, table.name)


@pytest.fixture(params=ENGINES)
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    async with fresh_table(request, table_definition) as table:
        yield table


@pytest.fixture
def client(table: Table) -> LossyClient:
    return LossyClient(table.client)


@pytest.fixture
def lossy(client: LossyClient, table: Table) -> DynamoLeaseStore:
    return DynamoLeaseStore(client, table.name)


async def created(store: LeaseStore, lease: Lease | None = None) -> Lease:
    lease = lease or row()
    await store.create([lease])
    found = await store.get(lease.key)
    assert found is not None
    return found


async def taken(store: LeaseStore, owner: str = "me") -> Lease:
    return await store.take(await created(store), owner)


async def commit(store: LeaseStore, held: Lease, checkpoint: str = SEQUENCE) -> Lease:
    return await store.commit(
        held, checkpoint=checkpoint, ledger=LEDGER, complete_through=1_775_721_600.25, caught_up_at=None
    )


async def test_a_row_comes_back_as_it_was_created(store: LeaseStore) -> None:
    lease = Lease(
        key=row().key,
        checkpoint="1" * 129,
        batch_no=2**40,
        parents=(ShardId("shardId-000000000001"), ShardId("shardId-000000000002")),
        ledger=LEDGER,
        complete_through=1_775_721_600.123456,
        caught_up_at=1_775_721_500.5,
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
    held = await commit(store, await taken(store))
    renewed = await store.renew(held, caught_up_at=1_775_721_700.5)
    assert (renewed.caught_up_at, renewed.complete_through) == (1_775_721_700.5, 1_775_721_700.5)
    assert (await store.renew(held)).caught_up_at == 1_775_721_700.5
    assert await store.get(held.key) == replace(renewed, counter=renewed.counter + 1)


async def test_being_caught_up_does_not_take_back_what_is_complete(store: LeaseStore) -> None:
    held = await commit(store, await taken(store))
    assert (await store.renew(held, caught_up_at=1.0)).complete_through == held.complete_through


async def test_committing_moves_checkpoint_batch_number_and_ledger(store: LeaseStore) -> None:
    held = await taken(store)
    done = await store.commit(
        held, checkpoint=SEQUENCE, ledger=LEDGER, complete_through=1_775_721_600.25, caught_up_at=1_775_721_599.0
    )
    assert done == replace(
        held,
        checkpoint=SEQUENCE,
        batch_no=1,
        ledger=LEDGER,
        complete_through=1_775_721_600.25,
        caught_up_at=1_775_721_599.0,
    )
    assert await store.get(held.key) == done


async def test_a_commit_that_is_not_caught_up_keeps_when_it_last_was(store: LeaseStore) -> None:
    held = await store.renew(await taken(store), caught_up_at=5.0)
    assert (await commit(store, held)).caught_up_at == 5.0


async def test_renewals_between_plan_and_commit_do_not_matter(store: LeaseStore) -> None:
    held = await taken(store)
    await store.renew(held)
    done = await commit(store, held)
    assert (done.counter, done.batch_no) == (2, 1)
    assert (await commit(store, done, "5")).batch_no == 2


async def test_a_commit_of_an_older_epoch_is_refused(store: LeaseStore) -> None:
    held = await taken(store)
    stolen = await store.take(held, "thief")
    with pytest.raises(LeaseLostError):
        await commit(store, held)
    back = await store.take(stolen, "me")
    with pytest.raises(LeaseLostError):
        await commit(store, held)
    assert await store.get(held.key) == back


@pytest.mark.parametrize("older", [{"batch_no": 0}, {"batch_no": 2}, {"checkpoint": "3"}])
async def test_a_commit_from_another_batch_or_checkpoint_is_refused(store: LeaseStore, older: dict[str, Any]) -> None:
    done = await commit(store, await taken(store))
    with pytest.raises(LeaseLostError):
        await commit(store, replace(done, **older), "5")
    assert await store.get(done.key) == done


async def test_a_released_lease_can_be_taken_at_once_and_keeps_its_work(store: LeaseStore) -> None:
    done = await commit(store, await taken(store))
    await store.release(done)
    free = await store.get(done.key)
    assert free == replace(done, owner=None, counter=done.counter + 1)
    assert await store.take(free, "next") == replace(free, owner="next", counter=free.counter + 1, epoch=2)


async def test_nothing_can_be_done_with_a_lease_once_it_is_released(store: LeaseStore) -> None:
    held = await taken(store)
    await store.release(held)
    with pytest.raises(LeaseLostError):
        await store.renew(held)
    with pytest.raises(LeaseLostError):
        await commit(store, held)
    with pytest.raises(ConflictError):
        await store.take(held, "late")


async def test_releasing_a_lost_lease_leaves_it_to_its_new_owner(store: LeaseStore) -> None:
    held = await taken(store)
    stolen = await store.take(held, "thief")
    await store.release(held)
    await store.release(replace(held, key=row(9).key))
    assert await store.get(held.key) == stolen
    assert await store.get(row(9).key) is None


async def test_an_ended_shard_keeps_its_row(store: LeaseStore) -> None:
    done = await commit(store, await taken(store), SHARD_END)
    assert done.ended
    assert await store.list(lease_prefix(STREAM)) == [done]


# What only a network can do.


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
async def test_a_commit_whose_answer_was_lost_counts_as_made_once(
    lossy: DynamoLeaseStore, client: LossyClient, attempts: int
) -> None:
    held = await taken(lossy)
    client.lose("update_item", Loss.ANSWER)
    with stamina.set_testing(True, attempts=attempts):
        done = await commit(lossy, held)
    assert (done.batch_no, done.checkpoint, done.ledger) == (1, SEQUENCE, LEDGER)
    assert not client.unused


async def test_a_commit_that_is_asked_for_again_after_it_was_made_counts_as_made(lossy: DynamoLeaseStore) -> None:
    held = await taken(lossy)
    assert await commit(lossy, held) == await commit(lossy, held)


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


async def test_a_write_that_never_arrived_is_unavailable_while_it_is_still_possible(
    lossy: DynamoLeaseStore, client: LossyClient
) -> None:
    seen = await created(lossy)
    with stamina.set_testing(True):
        client.lose("update_item", Loss.REQUEST)
        with pytest.raises(UnavailableError):
            await lossy.take(seen, "me")
        held = await lossy.take(seen, "me")
        for write in (lossy.renew(held), commit(lossy, held), lossy.release(held)):
            client.lose("update_item", Loss.REQUEST)
            with pytest.raises(UnavailableError):
                await write
    assert await lossy.get(seen.key) == held


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
async def test_a_commit_is_lost_when_the_lease_was_stolen_before_the_row_could_be_read(
    lossy: DynamoLeaseStore, client: LossyClient, table: Table, loss: Loss
) -> None:
    other = DynamoLeaseStore(*table)
    held = await taken(lossy)

    async def steal() -> None:
        seen = await other.get(held.key)
        assert seen is not None
        await other.take(seen, "thief")

    client.between = steal
    client.lose("update_item", loss)
    with stamina.set_testing(True), pytest.raises(LeaseLostError):
        await commit(lossy, held)
    stolen = await other.get(held.key)
    assert stolen is not None
    assert (stolen.owner, stolen.batch_no) == ("thief", 1 if loss is Loss.ANSWER else 0)


async def test_a_row_is_complete_for_kcl(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    lease = replace(row(), parents=(ShardId("shardId-000000000007"),))
    done = await commit(store, await store.take(await created(store, lease), "me"))
    await store.take(done, "you")
    item = (await table.client.get_item(TableName=table.name, Key={"leaseKey": {"S": lease.key}}))["Item"]
    kcl = {
        "leaseKey": {"S": "000000000000:events:1775000000:shardId-000000000000"},
        "streamName": {"S": "000000000000:events:1775000000"},
        "shardId": {"S": "shardId-000000000000"},
        "leaseOwner": {"S": "you"},
        "leaseCounter": {"N": "2"},
        "ownerSwitchesSinceCheckpoint": {"N": "1"},
        "checkpoint": {"S": SEQUENCE},
        "checkpointSubSequenceNumber": {"N": "0"},
        "parentShardId": {"SS": ["shardId-000000000007"]},
    }
    assert {name: item[name] for name in kcl} == kcl


async def test_a_row_that_kcl_wrote_can_be_taken_and_committed(table: Table) -> None:
    key = LeaseKey("000000000000:events:1775000000:shardId-000000000003")
    await table.client.put_item(
        TableName=table.name,
        Item={
            "leaseKey": {"S": key},
            "streamName": {"S": "000000000000:events:1775000000"},
            "shardId": {"S": "shardId-000000000003"},
            "leaseOwner": {"S": "kcl-worker"},
            "leaseCounter": {"N": "4711"},
            "checkpoint": {"S": "49"},
            "checkpointSubSequenceNumber": {"N": "3"},
            "ownerSwitchesSinceCheckpoint": {"N": "0"},
            "pendingCheckpoint": {"S": "50"},
            "pendingCheckpointSubSequenceNumber": {"N": "0"},
        },
    )
    store = DynamoLeaseStore(*table)
    [seen] = await store.list(lease_prefix(STREAM))
    assert seen == Lease(key=key, owner="kcl-worker", counter=4711, checkpoint="49")
    done = await commit(store, await store.take(seen, "me"))
    assert (done.owner, done.epoch, done.batch_no, done.checkpoint) == ("me", 1, 1, SEQUENCE)
    item = (await table.client.get_item(TableName=table.name, Key={"leaseKey": {"S": key}}))["Item"]
    assert "pendingCheckpoint" not in item
    assert item["checkpointSubSequenceNumber"] == {"N": "0"}
