"""Rows of ours that KCL reads, and rows that it wrote, in one table."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from headrace.aws.dynamodb import to_item
from headrace.leases.dynamodb import DynamoLeaseStore, table_definition
from headrace.leases.model import SHARD_END, WHOLE, Lease, LeaseKey, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import ShardId
from tests.contract.dynamodb_engines import ENGINES, Table, fresh_table
from tests.contract.leases.kcl_reader import read_multi
from tests.contract.leases.world import FOUND, SEQUENCE, STREAM, WRITES, commit, created, declared, intent, item_of, row


async def test_a_row_is_complete_for_kcl(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    lease = replace(row(), parents=(ShardId("shardId-000000000007"),))
    held = await store.take(await created(store, lease), "me")
    done = await commit(store, await store.declare(held, intent()))
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
        "checkpointSubSequenceNumber": {"N": str(2**63 - 1)},
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
    assert seen == Lease(key=key, owner="kcl-worker", counter=4711, checkpoint="49", sub_sequence=3)
    held = await store.declare(await store.take(seen, "me"), intent())
    done = await commit(store, held)
    assert (done.owner, done.epoch, done.batch_no, done.checkpoint) == ("me", 1, 1, SEQUENCE)
    item = (await table.client.get_item(TableName=table.name, Key={"leaseKey": {"S": key}}))["Item"]
    assert "pendingCheckpoint" not in item
    assert item["checkpointSubSequenceNumber"] == {"N": str(2**63 - 1)}


async def test_a_row_that_kcl_wrote_can_be_ended_and_adopted(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    for n in (1, 2):
        item = {"leaseKey": row(n).key, "leaseCounter": 7, "checkpoint": "49", "pendingCheckpoint": "50"}
        await table.client.put_item(TableName=table.name, Item=to_item(item))
    first, second = [await store.take(seen, "me") for seen in await store.list(lease_prefix(STREAM))]
    ended = await store.end(first, caught_up_at=None)
    assert ended == replace(first, checkpoint=SHARD_END)
    adopted = await store.adopt(second, FOUND)
    assert (adopted.generation, adopted.batch_no, adopted.checkpoint) == (1, FOUND.batch_no, FOUND.checkpoint)
    items = [
        (await table.client.get_item(TableName=table.name, Key=to_item({"leaseKey": lease.key})))["Item"]
        for lease in (ended, adopted)
    ]
    assert [("pendingCheckpoint" in item, item["checkpointSubSequenceNumber"]) for item in items] == [
        (False, {"N": "0"}),
        (False, {"N": str(2**63 - 1)}),
    ]


async def test_our_own_attributes_are_small_and_plain(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    held = await declared(store)
    key = {"leaseKey": {"S": held.key}}
    item = (await table.client.get_item(TableName=table.name, Key=key))["Item"]
    assert item["intent"] == {
        "M": {"batch_no": {"N": "0"}, "manifest": {"S": "_intents/a.json"}, "sha256": {"S": "5" * 64}}
    }
    await commit(store, held)
    item = (await table.client.get_item(TableName=table.name, Key=key))["Item"]
    assert "intent" not in item
    assert (item["manifest"], item["generation"]) == ({"S": "_intents/a.json"}, {"N": "0"})


async def test_the_hints_of_a_hand_over_are_there_only_while_it_lasts(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    held = await store.take(await created(store), "me")
    await store.claim(held, "you")
    await store.renew(held, leaving=True)
    item = await item_of(table, held.key)
    assert (item["claim"], item["leaving"]) == ({"S": "you"}, {"BOOL": True})
    await store.release(held)
    assert {"claim", "leaving", "leaseOwner"}.isdisjoint(await item_of(table, held.key))


async def test_a_lease_of_a_worker_of_kcls_can_be_claimed_although_it_will_not_be_heard(table: Table) -> None:
    item = {"leaseKey": row().key, "leaseOwner": "kcl-worker", "leaseCounter": 7, "checkpoint": "49"}
    await table.client.put_item(TableName=table.name, Item=to_item(item))
    store = DynamoLeaseStore(*table)
    [seen] = await store.list(lease_prefix(STREAM))
    assert await store.claim(seen, "me") == replace(seen, claim="me")


async def test_a_row_is_valid_for_kcl_after_every_write_of_ours(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    parents = (ShardId("shardId-000000000007"), ShardId("shardId-000000000008"))
    fresh = await created(store, replace(row(99), parents=parents))
    assert read_multi(await item_of(table, fresh.key)).parents == set(parents)
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        assert read_multi(await item_of(table, held.key)).owner == "me"
        done = await make(store, held)
        await store.claim(done, "you")
        await store.renew(done, leaving=True)
        read = read_multi(await item_of(table, held.key))
        within = WHOLE if done.checkpoint.isdecimal() else 0
        assert (read.checkpoint, read.pending_checkpoint) == ((done.checkpoint, within), None)
        await store.release(done)
        assert read_multi(await item_of(table, held.key)).owner is None


INDEX = "LeaseOwnerToLeaseKeyIndex"


def indexed_table(name: str) -> dict[str, Any]:
    """The control table with the index that KCL 3 adds to its own."""
    keys = [{"AttributeName": "leaseOwner", "KeyType": "HASH"}, {"AttributeName": "leaseKey", "KeyType": "RANGE"}]
    definition = table_definition(name)
    definition["AttributeDefinitions"].append({"AttributeName": "leaseOwner", "AttributeType": "S"})
    index = {"IndexName": INDEX, "KeySchema": keys, "Projection": {"ProjectionType": "KEYS_ONLY"}}
    return definition | {"GlobalSecondaryIndexes": [index]}


@pytest.fixture(params=ENGINES)
async def indexed(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    async with fresh_table(request, indexed_table) as table:
        yield table


async def test_kcl_3_finds_our_leases_by_their_owner_after_every_write_of_ours(indexed: Table) -> None:
    async def owned_by(owner: str) -> list[str]:
        found = await indexed.client.query(
            TableName=indexed.name, IndexName=INDEX, KeyConditionExpression="leaseOwner = :owner",
            ExpressionAttributeValues=to_item({":owner": owner}),
        )  # fmt: skip
        return [item["leaseKey"]["S"] for item in found["Items"]]

    store = DynamoLeaseStore(*indexed)
    keys = []
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        keys.append(held.key)
        assert await owned_by("me") == keys
        held = await make(store, held)
        assert await owned_by("me") == keys
    taken = await store.take(held, "you")
    assert (await owned_by("me"), await owned_by("you")) == (keys[:-1], keys[-1:])
    await store.release(taken)
    assert await owned_by("you") == []


async def test_a_hand_over_that_kcl_3_had_begun_ends_with_our_take(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    seen = await created(store)
    await table.client.update_item(
        TableName=table.name, Key=to_item({"leaseKey": seen.key}), UpdateExpression="SET checkpointOwner = :a",
        ExpressionAttributeValues=to_item({":a": "kcl-worker"}),
    )  # fmt: skip
    await store.take(seen, "me")
    assert read_multi(await item_of(table, seen.key)).checkpoint_owner is None


async def test_what_kcl_did_of_an_aggregate_comes_back_until_we_move_the_checkpoint(store: LeaseStore) -> None:
    lease = await created(store, replace(row(), checkpoint="49", sub_sequence=0))
    assert lease.sub_sequence == 0
    held = await store.declare(await store.take(lease, "me"), intent())
    assert held.sub_sequence == 0
    assert (await commit(store, held)).sub_sequence == WHOLE
