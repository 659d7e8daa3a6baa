"""`headrace job replay` as a user types it, on dead letters that the transformer made."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.jobs import replay
from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.counters.dynamodb import DynamoCounterReader
from headrace.counters.ports import Entity, Window
from headrace.lake.s3 import S3Store
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.quarantine import from_jsonl_gz
from headrace.runtime import Context, Shutdown
from headrace.settings import Settings, load
from headrace.stream.connect import open_producer
from headrace.stream.ports import Entry
from headrace.telemetry import log
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.transformer.app import main as transformer

PATIENCE = 20.0
QUANTITIES: list[Any] = [1, "2", "3", "many"]
"""Of the events that a producer sends: the second and third can be mended by a cast."""


@pytest.fixture
def settings(aws_environment: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    name = uuid4().hex[:8]
    for variable, value in {
        "KINESIS_STREAM_NAME": f"stream-{name}", "S3_BUCKET": f"bucket-{name}",
        "HEADRACE_PARTITION_QUEUE": f"queue-{name}", "HEADRACE_CONTROL_TABLE": f"control-{name}",
        "HEADRACE_COUNTERS_TABLE": f"counters-{name}", "HEADRACE_STATE_TABLE": f"state-{name}",
        "HEADRACE_BATCH_AGE": "0.2", "HEADRACE_FAILOVER": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    return load()


@asynccontextmanager
async def transforming(settings: Settings) -> AsyncIterator[None]:
    shutdown = Shutdown(10.0)
    context = Context(
        settings=settings, metrics=Metrics(), health=Health(), shutdown=shutdown, clock=SystemClock()
    )  # fmt: skip
    task = asyncio.create_task(transformer(context))
    try:
        yield
    finally:
        shutdown.request()
        await task


async def land(settings: Settings) -> None:
    """Put the events on the stream, and have them landed or turned away."""
    async with AwsSession(settings.region) as aws:
        await ensure_resources(aws, settings, shards=1)
        leases = DynamoLeaseStore(await aws.client("dynamodb"), settings.control_table)
        async with open_producer(settings, aws, Metrics(), SystemClock()) as producer, transforming(settings):
            await producer.put(
                [Entry(msgspec.json.encode(event(n, quantity)), "session") for n, quantity in enumerate(QUANTITIES)]
            )
            deadline = time.monotonic() + PATIENCE
            while sum(row.ledger.received for row in await leases.list("")) < len(QUANTITIES):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)


def event(n: int, quantity: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{n}", "session_id": "s", "event_type": "page_view", "product_id": "P", "quantity": quantity,
        "timestamp": time.time(), "page_url": "/",
    }  # fmt: skip


async def landed(settings: Settings) -> tuple[list[tuple[str, int]], int, list[str]]:
    """Rows as (id, quantity), views counted, and positions of the dead letters."""
    async with AwsSession(settings.region) as aws:
        store = S3Store(await aws.client("s3"), settings.bucket)
        rows = []
        async for each in store.list("events/"):
            table = pq.read_table(io.BytesIO(await store.get(each.key)), columns=["event_id", "quantity"])
            rows += [(row["event_id"], row["quantity"]) for row in table.to_pylist()]
        letters = [
            line.position
            async for each in store.list("failed_transformation_records/")
            for line in from_jsonl_gz(await store.get(each.key))
        ]
        counters = DynamoCounterReader(await aws.client("dynamodb"), settings.counters_table)
        counts = await counters.counts(Entity.PRODUCT, "P", Window.ALL, now=time.time())
        return sorted(rows), counts.views, letters


def job(folder: Path, *args: str) -> Result:
    today = datetime.now(UTC).date().isoformat()
    fixed = ["--reason", "wrong_type", "--from", today, "--to", today, "--data", str(folder / "none")]
    return CliRunner().invoke(replay, [*fixed, *args])


def test_dead_letters_of_the_transformer_are_mended_and_landed_once(
    settings: Settings, restored_logs: None, tmp_path: Path
) -> None:
    log.configure("headrace", level="WARNING")
    asyncio.run(land(settings))

    shown = job(tmp_path, "--cast", "quantity=int", "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.count("wrong_type → row") == 2
    assert shown.stdout.count("wrong_type → wrong_type") == 1
    assert shown.stderr == "2 rows would land; 1 line would fail again (1 wrong_type)\n"

    for rows, failed, before in ((2, 1, 0), (0, 0, 3)):
        done = job(tmp_path, "--cast", "quantity=int", "--format", "json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout) == [{
            "reason": "wrong_type", "objects": 1, "lines": 3, "rows": rows,
            "dead_letters": failed, "duplicates": 0, "already": before,
        }]  # fmt: skip
    found, views, letters = asyncio.run(landed(settings))
    assert found == [("e0", 1), ("e1", 2), ("e2", 3)]
    assert views == 3
    assert len(letters) == 4
    assert sum(position.endswith(".jsonl.gz:3") for position in letters) == 1


def test_what_cannot_be_replayed_is_bad_usage(tmp_path: Path) -> None:
    for options in (["--reason", "extra_columns"], ["--cast", "a=date"], ["--from", "soon"]):
        refused = job(tmp_path, *options)
        assert refused.exit_code == 2, refused.output
        assert options[0] in refused.stderr
