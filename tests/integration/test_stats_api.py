"""The service as a process against the emulator: counts out, events in, a clean end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import aiohttp
import pytest

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.counters.dynamodb import DynamoCounterWriter
from headrace.counters.ports import CountKey, Counts, Entity
from headrace.leases.dynamodb import DynamoLeaseStore
from headrace.leases.model import Intent, Lease, Ledger, lease_key
from headrace.runtime import Context, Shutdown
from headrace.settings import Settings
from headrace.stream.connect import open_reader
from headrace.stream.ports import Record, TrimHorizon
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics
from services.stats_api import spool
from services.stats_api.app import main
from tests.harness.actions import Action
from tests.harness.proxy import FaultProxy, Rule
from tests.stats_api_process import ROOT, fresh_resources, running


@pytest.fixture
async def settings(aws_environment: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return await fresh_resources(monkeypatch)


@pytest.fixture
def service(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    with running(settings) as process:
        yield process


async def test_a_deployed_api_counts_collects_and_ends_cleanly(
    settings: Settings, service: subprocess.Popen[bytes]
) -> None:
    clock, metrics = SystemClock(), Metrics()
    now = clock.now()
    async with (
        AwsSession(settings.region) as aws,
        open_reader(settings, aws, metrics, clock) as stream,
        aiohttp.ClientSession(f"http://127.0.0.1:{settings.stats_port}") as http,
    ):
        dynamodb = await aws.client("dynamodb")
        [shard] = await stream.shards()
        leases = DynamoLeaseStore(dynamodb, settings.control_table)
        row = Lease(key=lease_key(await stream.info(), shard.shard_id))
        await leases.create([row])
        held = await leases.take(row, "worker")
        held = await leases.declare(held, Intent(batch_no=held.batch_no, manifest="m", sha256="0"))
        await leases.commit(held, checkpoint="1", ledger=Ledger(), complete_through=now, caught_up_at=None)
        deltas = {CountKey(Entity.PRODUCT, "p1", int(now // 60)): Counts(views=5)}
        await DynamoCounterWriter(dynamodb, settings.counters_table).apply("o1", 1, deltas, now=now, ledger={})

        async with http.get("/v1/products/p1/stats") as response:
            body = await response.json()
            assert (response.status, body["views"]) == (200, 5)
            assert body["complete_through"].endswith("Z")
        async with http.get("/v1/products/top") as response:
            assert (await response.json())["items"] == [{"product_id": "p1", "value": 5}]

        event = {"event_type": "page_view", "session_id": "s1", "timestamp": now}
        async with http.post("/v1/collect", json=[event, {}]) as response:
            assert response.status == 202
            assert await response.json() == {"accepted": 1, "rejected": [{"index": 1, "reason": "missing_field"}]}
        page = await stream.open(shard.shard_id, TrimHorizon()).read()
        assert [json.loads(record.data)["session_id"] for record in page.records] == ["s1"]

        service.send_signal(signal.SIGTERM)  # with our connections still open
        assert await asyncio.to_thread(service.wait, 10) == 0


async def test_what_is_collected_while_the_stream_is_down_reaches_it_after_the_outage(
    settings: Settings, ministack_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PROBE_SECONDS", 0.1)
    clock, metrics, shutdown = SystemClock(), Metrics(), Shutdown(5.0)
    health = Health(clock=clock)
    event = {"event_type": "page_view", "session_id": "s1", "timestamp": clock.now()}
    with FaultProxy(ministack_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        context = Context(settings=settings, metrics=metrics, health=health, shutdown=shutdown, clock=clock)
        serving = asyncio.create_task(main(context))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{settings.stats_port}") as http, asyncio.timeout(15):
            while not health.is_started:
                await asyncio.sleep(0.01)
            with proxy.rules(Rule(action=Action.DROP_BEFORE, service="kinesis")):
                async with http.post("/v1/collect", json=[event, event]) as response:
                    assert (response.status, (await response.json())["accepted"]) == (202, 2)
            async with AwsSession(settings.region) as aws, open_reader(settings, aws, metrics, clock) as stream:
                [shard] = await stream.shards()
                reader = stream.open(shard.shard_id, TrimHorizon())
                records: list[Record] = []
                while len(records) < 2:
                    records += (await reader.read()).records
        assert [json.loads(record.data)["session_id"] for record in records] == ["s1", "s1"]
        shutdown.request()
        await serving


def test_the_image_needs_no_arrow() -> None:
    probe = (
        "import sys, services.stats_api.app; sys.exit(any(m in sys.modules for m in ('pyarrow', 'duckdb', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=False).returncode == 0


def test_a_port_that_is_taken_is_a_configuration_problem(aws_environment: str, ministack_url: str) -> None:
    taken = ministack_url.rsplit(":", 1)[1]
    ended = subprocess.run(
        [sys.executable, "-m", "services.stats_api"],
        cwd=ROOT, env={**os.environ, "HEADRACE_STATS_PORT": taken}, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 2
    assert b"HEADRACE_STATS_PORT" in ended.stderr
