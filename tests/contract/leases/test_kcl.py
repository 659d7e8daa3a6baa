"""Rows that KCL reads and rows that it wrote."""

from dataclasses import replace

from headrace.aws.dynamodb import to_item
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import SHARD_END, Lease, LeaseKey, lease_prefix
from headrace.stream.ports import ShardId
from tests.contract.dynamodb_engines import Table
from tests.contract.leases.world import FOUND, SEQUENCE, STREAM, commit, created, declared, intent, row


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
    held = await store.declare(await store.take(seen, "me"), intent())
    done = await commit(store, held)
    assert (done.owner, done.epoch, done.batch_no, done.checkpoint) == ("me", 1, 1, SEQUENCE)
    item = (await table.client.get_item(TableName=table.name, Key={"leaseKey": {"S": key}}))["Item"]
    assert "pendingCheckpoint" not in item
    assert item["checkpointSubSequenceNumber"] == {"N": "0"}


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
    items = (await table.client.scan(TableName=table.name))["Items"]
    assert [("pendingCheckpoint" in item, item["checkpointSubSequenceNumber"]) for item in items] == [
        (False, {"N": "0"}),
        (False, {"N": "0"}),
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
