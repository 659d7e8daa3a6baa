"""`headrace job reconcile` as a user types it, against the local cloud."""

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.delivery.batch import BatchPolicy
from headrace.delivery.deliver import Delivery
from headrace.delivery.plan import Planner
from headrace.delivery.window import DedupWindow
from headrace.events.enrich import Enricher
from headrace.events.parse import Policy
from headrace.events.transform import Transformer
from headrace.lake.layout import EVENTS
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import Lease, lease_key, lineage
from headrace.settings import Settings, load
from headrace.state.dynamodb import DynamoStateStore
from headrace.stream.connect import open_reader
from headrace.stream.ports import ShardId
from headrace.telemetry.metrics import Metrics
from tests.unit.delivery.batches import broken, record

SHARD = ShardId("shardId-000000000000")
TOTALS = {"polled": 9, "accepted": 8, "extra_columns": 0, "rejected": 1, "put": 8, "spooled": 0}


@pytest.fixture
def settings(aws_environment: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    name = uuid4().hex[:8]
    for variable in (
        "KINESIS_STREAM_NAME", "S3_BUCKET", "HEADRACE_PARTITION_QUEUE",
        "HEADRACE_CONTROL_TABLE", "HEADRACE_COUNTERS_TABLE", "HEADRACE_STATE_TABLE",
    ):  # fmt: skip
        monkeypatch.setenv(variable, f"{variable.lower().replace('_', '-')}-{name}")
    return load()


async def deliver(settings: Settings) -> None:
    """Two batches of a shard of the stream, and a source that they came from."""
    clock, metrics = SystemClock(), Metrics()
    async with AwsSession(settings.region) as aws, open_reader(settings, aws, metrics, clock) as stream:
        await ensure_resources(aws, settings, shards=1)
        info = await stream.info()
        dynamodb = await aws.client("dynamodb")
        origin = lineage(settings.application, info)
        leases = DynamoLeaseStore(dynamodb, settings.control_table)
        delivery = Delivery(
            S3Store(await aws.client("s3"), settings.bucket),
            DynamoCounterWriter(dynamodb, settings.counters_table),
            leases, lineage=origin, metrics=metrics, clock=clock,
        )  # fmt: skip
        planner = Planner(Transformer(Policy(), Enricher(), anonymous_key=b"k"), BatchPolicy(), lineage=origin)
        key = lease_key(info, SHARD)
        await leases.create([Lease(key=key)])
        lease = await leases.take(Lease(key=key), "me")
        for records in ([record(1), record(2), broken(3)], [record(4), record(6)]):
            plan = planner.plan(records, lease, now=clock.now(), window=DedupWindow(0))
            lease = await delivery.attempt(plan, lease).run(caught_up_at=None)
        state = DynamoStateStore(dynamodb, settings.state_table)
        await state.put("cursor:shop", {"cursor": 1, "exhausted": True, "totals": TOTALS}, expected=0)


async def delete_one(settings: Settings) -> str:
    async with AwsSession(settings.region) as aws:
        s3 = await aws.client("s3")
        [key, *_] = [found.key async for found in S3Store(s3, settings.bucket).list(f"{EVENTS}/")]
        await s3.delete_object(Bucket=settings.bucket, Key=key)
    return key


def job(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(app, ["job", "reconcile", "--data", str(folder / "none"), *args])


@pytest.mark.usefixtures("restored_logs")
def test_a_clean_pipeline_agrees_and_a_deleted_object_is_named(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(deliver(settings))
    clean = job(tmp_path, "--format", "json")
    assert clean.exit_code == 0, clean.output
    assert {row["what"]: (row["state"], row["compared"]) for row in json.loads(clean.stdout)} == {
        "sources": ("agree", 1), "control rows": ("agree", 2), "manifests": ("agree", 3), "ledger hours": ("agree", 1),
        "objects": ("agree", 4), "rows": ("agree", 4), "folders": ("agree", 3),
    }  # fmt: skip
    assert clean.stderr == "18 comparisons: all agrees\n"

    key = asyncio.run(delete_one(settings))
    samples = tmp_path / "reconcile.prom"
    damaged = job(tmp_path, "--hours", "1", "--format", "json", "--metrics-file", str(samples))
    assert damaged.exit_code == 1, damaged.output
    [row] = [row for row in json.loads(damaged.stdout) if row["state"] == "mismatch"]
    assert (row["what"], row["where"], row["found"]) == ("objects", key, "missing")
    assert 'headrace_reconciliation_mismatch_total{check="objects"} 1.0' in samples.read_text()
    assert 'headrace_reconciliation_mismatch_total{check="rows"} 0.0' in samples.read_text()
