"""`headrace leases` as a user types it, against the local cloud: what it shows and moves, from KCL and back."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.leases.desk import Desk, desk_at
from cli.main import app
from deploy.local.resources import ensure_resources
from headrace.aws.dynamodb import to_item
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import Planner
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.leases.dynamodb import table_definition
from headrace.leases.model import TRIM_HORIZON, Lease, lease_key
from headrace.settings import load
from headrace.stream.connect import open_producer
from headrace.stream.ports import ShardId, TrimHorizon
from headrace.telemetry.metrics import Metrics
from tests.contract.leases.kcl_reader import read_single
from tests.unit.delivery.fleet_world import event

SHARD = ShardId("shardId-000000000000")
NO_CLOUD = Path("no-cloud-of-its-own")


@pytest.fixture
def names(aws_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh names for all that the test creates."""
    name = uuid4().hex[:8]
    for variable in (
        "KINESIS_STREAM_NAME", "S3_BUCKET", "HEADRACE_PARTITION_QUEUE",
        "HEADRACE_CONTROL_TABLE", "HEADRACE_COUNTERS_TABLE", "HEADRACE_STATE_TABLE",
    ):  # fmt: skip
        monkeypatch.setenv(variable, f"{variable.lower().replace('_', '-')}-{name}")


def at_desk(act: Callable[[Desk], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with desk_at(NO_CLOUD) as desk:
            return await act(desk)

    return asyncio.run(run())


async def create() -> None:
    """A stream of one shard with four records."""
    settings, metrics, clock = load(), Metrics(), SystemClock()
    async with AwsSession(settings.region) as aws, open_producer(settings, aws, metrics, clock) as producer:
        await ensure_resources(aws, settings, shards=1)
        await producer.put([event(n) for n in range(4)])


async def land_two(desk: Desk) -> str:
    """The first two records landed, the shard owned by `worker`; returns the checkpoint."""
    info = await desk.stream.info()
    await desk.leases.create([Lease(key=lease_key(info, SHARD))])
    held = await desk.leases.take(Lease(key=lease_key(info, SHARD)), "worker")
    records = (await desk.stream.open(SHARD, TrimHorizon()).read()).records[:2]
    transformer = Transformer(Policy(), Enricher(), anonymous_key=b"k")
    planner = Planner(transformer, BatchPolicy(), lineage=desk.lineage(info))
    plan = planner.plan(records, held, now=desk.clock.now(), window=DedupWindow(0))
    delivery = Delivery(
        desk.store, desk.counters, desk.leases, lineage=desk.lineage(info), metrics=desk.metrics, clock=desk.clock
    )
    return (await delivery.attempt(plan, held).run(caught_up_at=None)).checkpoint


async def last_record(desk: Desk) -> str:
    """Its sequence number."""
    return (await desk.stream.open(SHARD, TrimHorizon()).read()).records[-1].sequence_number


def headrace(*args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--data", str(NO_CLOUD)])


def listed() -> dict[str, Any]:
    shown = headrace("leases", "list", "--format", "json")
    assert shown.exit_code == 0, shown.output
    [row] = json.loads(shown.stdout)
    return dict(row)


@pytest.mark.usefixtures("restored_logs", "names")
def test_a_lease_is_shown_released_and_moved_and_the_books_still_agree() -> None:
    asyncio.run(create())
    checkpoint = at_desk(land_two)
    row = listed()
    assert (row["shard"], row["state"], row["owner"], row["checkpoint"], row["batch_no"]) == (
        SHARD, "owned", "worker", checkpoint, 1,
    )  # fmt: skip
    assert row["behind_seconds"] < 60
    assert headrace("leases").stdout.count("worker") == 1

    owned = headrace("leases", "reset", SHARD, "--to", TRIM_HORIZON, "--accept-duplicates", "--yes")
    assert (owned.exit_code, owned.stdout) == (1, "")
    assert "worker owns it" in owned.stderr

    assert headrace("leases", "release", "--owner", "worker", "--dry-run").exit_code == 0
    assert listed()["state"] == "owned"
    assert headrace("leases", "release", SHARD).exit_code == 2  # nobody to ask
    released = headrace("leases", "release", SHARD, "--yes", "--format", "csv")
    assert released.stdout.splitlines() == ["shard,was_owner,result", f"{SHARD},worker,free"]

    refused = headrace("leases", "reset", SHARD, "--to", TRIM_HORIZON, "--yes")
    assert refused.exit_code == 1
    assert "1 batch with up to 2 records will be landed again" in refused.stderr
    assert "--accept-duplicates" in refused.stderr
    assert listed()["checkpoint"] == checkpoint
    moved = headrace("leases", "reset", SHARD, "--to", TRIM_HORIZON, "--accept-duplicates", "--yes", "--format", "json")
    assert json.loads(moved.stdout) == [
        {"shard": SHARD, "was": checkpoint, "checkpoint": TRIM_HORIZON, "batch_no": 2}
    ], moved.stderr
    assert (listed()["state"], listed()["checkpoint"]) == ("free", TRIM_HORIZON)
    books = headrace("job", "reconcile")
    assert books.exit_code == 0, books.output


async def empty_table(name: str) -> None:
    async with AwsSession(load().region) as aws:
        dynamodb = await aws.client("dynamodb")
        await dynamodb.create_table(**table_definition(name))


async def items_of(name: str) -> list[dict[str, Any]]:
    async with AwsSession(load().region) as aws:
        dynamodb = await aws.client("dynamodb")
        return list((await dynamodb.scan(TableName=name))["Items"])


async def kcl_goes_on(name: str, checkpoint: str) -> None:
    """What a KCL application would leave in its table after some more records, and beside its leases."""
    async with AwsSession(load().region) as aws:
        dynamodb = await aws.client("dynamodb")
        for item in (
            {
                "leaseKey": SHARD, "leaseCounter": 9, "checkpoint": checkpoint, "checkpointSubSequenceNumber": 0,
                "ownerSwitchesSinceCheckpoint": 0, "throughputKBps": 0.5, "startingHashKey": "0",
                "endingHashKey": str(2**128 - 1),
            },
            {"leaseKey": "worker-1", "entityType": "WORKER_METRIC_STATS", "lut": 1},
        ):  # fmt: skip
            await dynamodb.put_item(TableName=name, Item=to_item(item))


@pytest.mark.usefixtures("restored_logs", "names")
def test_checkpoints_go_to_kcl_and_come_back() -> None:
    asyncio.run(create())
    checkpoint = at_desk(land_two)
    kcl = f"kcl-{uuid4().hex[:8]}"
    to_kcl = ("leases", "export", "--to-table", kcl, "--keys", "single", "--yes", "--format", "json")
    assert headrace(*to_kcl).exit_code == 1  # there is no such table
    asyncio.run(empty_table(kcl))
    assert "stop the transformers" in headrace(*to_kcl).stderr
    headrace("leases", "release", SHARD, "--yes")
    exported = headrace(*to_kcl)
    assert [row["result"] for row in json.loads(exported.stdout)] == ["added"], exported.stderr
    [item] = asyncio.run(items_of(kcl))
    assert (read_single(item).checkpoint[0], read_single(item).hash_range) == (checkpoint, (0, 2**128 - 1))

    last = at_desk(last_record)
    asyncio.run(kcl_goes_on(kcl, last))
    from_kcl = ("leases", "import", "--from-table", kcl, "--format", "json")
    refused = headrace(*from_kcl, "--yes")
    assert refused.exit_code == 1
    assert f"there is a row, at {checkpoint}; --move" in refused.stderr
    assert headrace(*from_kcl, "--move", "--dry-run").stdout == "[]\n"
    assert listed()["checkpoint"] == checkpoint
    imported = headrace(*from_kcl, "--move", "--yes")
    assert [(row["shard"], row["checkpoint"], row["result"]) for row in json.loads(imported.stdout)] == [
        (SHARD, last, "moved")
    ], imported.stderr
    assert (listed()["checkpoint"], listed()["state"], listed()["batch_no"]) == (last, "free", 2)


@pytest.mark.usefixtures("restored_logs", "names")
def test_checkpoints_of_kcl_become_rows() -> None:
    asyncio.run(create())
    kcl = f"kcl-{uuid4().hex[:8]}"
    asyncio.run(empty_table(kcl))
    asyncio.run(kcl_goes_on(kcl, last := at_desk(last_record)))
    imported = headrace("leases", "import", "--from-table", kcl, "--yes", "--format", "json")
    assert [(row["shard"], row["checkpoint"], row["result"]) for row in json.loads(imported.stdout)] == [
        (SHARD, last, "added")
    ], imported.stderr
    assert (listed()["checkpoint"], listed()["state"], listed()["batch_no"]) == (last, "free", 0)
