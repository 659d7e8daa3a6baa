"""Rows that KCL reads and rows that it wrote."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.aws.dynamodb import to_item
from headrace.errors import ConfigError, ConflictError, NotFoundError
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.kcl import Keys, export_row
from headrace.leases.kcl_table import KclTable, refuse_table_of_kcl
from headrace.leases.model import SHARD_END, WHOLE, Lease, LeaseKey, lease_prefix
from headrace.leases.ports import LeaseStore
from headrace.stream.ports import Shard, ShardId
from tests.contract.dynamodb_engines import Table
from tests.contract.leases.kcl_reader import read_multi, read_single
from tests.contract.leases.world import FOUND, SEQUENCE, STREAM, WRITES, commit, created, declared, intent, row


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


async def item_of(table: Table, key: str) -> dict[str, Any]:
    found = await table.client.get_item(TableName=table.name, Key=to_item({"leaseKey": key}), ConsistentRead=True)
    return dict(found["Item"])


async def test_a_row_is_valid_for_kcl_after_every_write_of_ours(table: Table) -> None:
    store = DynamoLeaseStore(*table)
    parents = (ShardId("shardId-000000000007"), ShardId("shardId-000000000008"))
    fresh = await created(store, replace(row(99), parents=parents))
    assert read_multi(await item_of(table, fresh.key)).parents == set(parents)
    for n, (start, make) in enumerate(WRITES):
        held = await start(store, n)
        assert read_multi(await item_of(table, held.key)).owner == "me"
        done = await make(store, held)
        read = read_multi(await item_of(table, held.key))
        within = WHOLE if done.checkpoint.isdecimal() else 0
        assert (read.checkpoint, read.pending_checkpoint) == ((done.checkpoint, within), None)
        await store.release(done)
        assert read_multi(await item_of(table, held.key)).owner is None


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


SHARDS = [
    Shard(shard_id=ShardId("shardId-000000000000"), hash_range=(0, 99), closed=True),
    Shard(shard_id=ShardId("shardId-000000000001"), hash_range=(0, 49), parents=(ShardId("shardId-000000000000"),)),
]


@pytest.mark.parametrize(("keys", "read"), [(Keys.SINGLE, read_single), (Keys.MULTI, read_multi)])
async def test_rows_that_we_hand_over_are_valid_for_kcl_and_are_read_back(table: Table, keys: Keys, read: Any) -> None:
    ended = replace(row(0), checkpoint=SHARD_END)
    child = replace(row(1), checkpoint="49", parents=(ended.shard_id,))
    kcl = KclTable(*table)
    for lease in (ended, child):
        await kcl.write(export_row(lease, SHARDS, keys), None)
    first, second = [
        read(await item_of(table, export_row(lease, SHARDS, keys)["leaseKey"])) for lease in (ended, child)
    ]
    assert (first.checkpoint, first.children, first.hash_range) == ((SHARD_END, 0), {child.shard_id}, (0, 99))
    assert (second.checkpoint, second.parents, second.hash_range) == (("49", WHOLE), {ended.shard_id}, (0, 49))
    assert (second.owner, second.shard) == (None, child.shard_id)
    assert [(lease.shard_id, lease.checkpoint, lease.keys) for lease in await kcl.read()] == [
        (ended.shard_id, SHARD_END, keys),
        (child.shard_id, "49", keys),
    ]


async def test_a_row_of_kcls_is_moved_and_keeps_what_is_kcls_own(table: Table) -> None:
    kcl = KclTable(*table)
    item = {
        "leaseKey": "shardId-000000000001", "leaseCounter": 7, "checkpoint": "40", "checkpointSubSequenceNumber": 2,
        "ownerSwitchesSinceCheckpoint": 3, "throughputKBps": 1.5, "leaseOwner": "dead", "pendingCheckpoint": "41",
        "pendingCheckpointSubSequenceNumber": 0, "checkpointOwner": "dead",
    }  # fmt: skip
    await table.client.put_item(TableName=table.name, Item=to_item(item))
    [seen] = await kcl.read()
    await kcl.write(export_row(replace(row(1), checkpoint="49"), SHARDS, Keys.SINGLE), seen)
    moved = await item_of(table, "shardId-000000000001")
    read = read_single(moved)
    assert (read.checkpoint, read.owner, read.pending_checkpoint, read.counter) == (("49", WHOLE), None, None, 8)
    assert moved["throughputKBps"] == {"N": "1.5"}
    with pytest.raises(ConflictError):
        await kcl.write(export_row(replace(row(1), checkpoint="50"), SHARDS, Keys.SINGLE), seen)
    with pytest.raises(ConflictError):
        await kcl.write(export_row(replace(row(1), checkpoint="50"), SHARDS, Keys.SINGLE), None)


async def test_what_else_kcl_keeps_in_its_table_is_no_lease_and_what_is_no_table_of_kcls_is_told(table: Table) -> None:
    kcl = KclTable(*table)
    for item in (
        {"leaseKey": "Leader", "entityType": "LEADER", "ownerName": "w", "leaseDuration": 10},
        {"leaseKey": "Migration3.0", "entityType": "CLIENT_VERSION_MIGRATION", "cv": "CLIENT_VERSION_3X"},
        {"leaseKey": "w", "entityType": "WORKER_METRIC_STATS", "lut": 1, "sts": {"C": [0.5, 1.5]}},
        {"leaseKey": "shardId-000000000001", "entityType": "LEASE", "leaseCounter": 0, "checkpoint": "49"},
    ):
        await table.client.put_item(TableName=table.name, Item=to_item(item))
    assert [lease.key for lease in await kcl.read()] == ["shardId-000000000001"]
    await table.client.put_item(TableName=table.name, Item=to_item({"leaseKey": "x", "value": 1}))
    with pytest.raises(NotFoundError, match="no lease table of KCL"):
        await kcl.read()
    with pytest.raises(NotFoundError):
        await KclTable(table.client, "nowhere").read()


async def test_a_table_of_a_single_stream_application_cannot_be_the_control_table(table: Table) -> None:
    await created(DynamoLeaseStore(*table))
    await refuse_table_of_kcl(*table)
    await KclTable(*table).write(export_row(row(1), SHARDS, Keys.SINGLE), None)
    with pytest.raises(ConfigError, match="headrace leases import"):
        await refuse_table_of_kcl(*table)
