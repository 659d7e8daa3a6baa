"""Tables of KCL applications: what is handed over to them, and what is told of what is none."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.aws.dynamodb import to_item
from headrace.errors import ConfigError, ConflictError, NotFoundError
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.kcl import Keys, export_row
from headrace.leases.kcl_table import KclTable, refuse_table_of_kcl
from headrace.leases.model import SHARD_END, WHOLE
from headrace.stream.ports import Shard, ShardId
from tests.contract.dynamodb_engines import Table
from tests.contract.leases.kcl_reader import read_multi, read_single
from tests.contract.leases.world import created, item_of, row

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
