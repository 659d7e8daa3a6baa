"""The poller as a process, against the emulator: files and an API in, stream and quarantine out, drained on SIGTERM."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web

from deploy.local.resources import ensure_resources
from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.lake.s3 import S3Store
from headrace.quarantine import from_jsonl_gz
from headrace.settings import Settings, load
from headrace.state.dynamodb import DynamoStateStore
from headrace.stream.connect import open_reader
from headrace.stream.ports import TrimHorizon
from headrace.telemetry.metrics import Metrics
from services.api_consumer.app import cursor_keys

DEADLINE_SECONDS = 20.0


@pytest.fixture
async def aws(aws_environment: str) -> AsyncIterator[AwsSession]:
    async with AwsSession("us-east-1") as session:
        yield session


@pytest.fixture
async def settings(aws: AwsSession) -> Settings:
    unique = uuid.uuid4().hex[:8]
    names = {
        "kinesis_stream_name": f"events-{unique}", "bucket": f"data-{unique}", "partition_queue": f"queue-{unique}",
        "control_table": f"control-{unique}", "counters_table": f"counters-{unique}", "state_table": f"state-{unique}",
    }  # fmt: skip
    made = load(**names)
    await ensure_resources(aws, made, shards=2)
    return made


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Poller:
    """One `python -m services.api_consumer`."""

    def __init__(self, settings: Settings, port: int, source: Mapping[str, str]) -> None:
        self._port = port
        self._environ = {
            **os.environ,
            "KINESIS_STREAM_NAME": settings.kinesis_stream_name,
            "S3_BUCKET": settings.bucket,
            "HEADRACE_STATE_TABLE": settings.state_table,
            "HEADRACE_METRICS_PORT": str(port),
            "HEADRACE_PAGE_LIMIT": "100",
            "POLL_INTERVAL": "0.05",
            **source,
        }

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.api_consumer", env=self._environ, cwd=Path(__file__).parents[2]
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def drain(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._process.wait()

    async def ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self._port}/readyz") as response:
                return response.status == 200
        return False


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s"
        await asyncio.sleep(0.05)


async def put_events(aws: AwsSession, settings: Settings) -> list[dict[str, Any]]:
    events = []
    async with open_reader(settings, aws, Metrics(), SystemClock()) as reader:
        for shard in await reader.shards():
            opened = reader.open(shard.shard_id, TrimHorizon())
            while (page := await opened.read()).records:
                events += [json.loads(record.data) for record in page.records]
    return events


def event(n: int) -> bytes:
    return json.dumps(
        {"session_id": f"s{n % 7}", "event_type": "click", "timestamp": 1_775_700_000 + n, "quantity": n}
    ).encode()


async def test_a_file_is_polled_once_to_its_end(
    aws: AwsSession, settings: Settings, tmp_path: Path, unused_port: int
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(event(n) + b"\n" for n in range(450)) + b'no json\n{"cut": ')
    source = {"HEADRACE_SOURCE_FILES": str(path)}
    [key] = cursor_keys(settings.model_copy(update={"source_files": [str(path)]}))
    state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)

    async def exhausted() -> bool:
        document = await state.get(key)
        return document is not None and bool(document.value["exhausted"])

    for _ in range(2):
        async with Poller(settings, unused_port, source) as poller:
            await until(poller.ready)
            await until(exhausted)
            assert await poller.drain() == 0

    document = await state.get(key)
    assert document is not None
    assert document.value["totals"] == {"polled": 452, "accepted": 450, "extra_columns": 0, "rejected": 2, "put": 450}
    assert sorted(found["quantity"] for found in await put_events(aws, settings) if "quantity" in found) == [
        *range(450)
    ]
    store = S3Store(await aws.client("s3"), settings.bucket)
    [rejected] = [item async for item in store.list("failed_records/")]
    assert len(from_jsonl_gz(await store.get(rejected.key))) == 2


async def test_an_api_is_polled_on_from_the_cursor_after_a_drain_and_after_a_kill(
    aws: AwsSession, settings: Settings, unused_port: int
) -> None:
    asked: list[int] = []
    available = 400

    async def get_events(request: web.Request) -> web.Response:
        cursor, limit = int(request.query.get("cursor", "0")), int(request.query["limit"])
        asked.append(cursor)
        if cursor >= available:
            return web.Response(status=204)
        after = min(cursor + limit, available)
        rows = b",".join(event(n) for n in range(cursor, after))
        return web.Response(body=b'{"events":[%b],"next_cursor":"%d"}' % (rows, after))

    app = web.Application()
    app.router.add_get("/events", get_events)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        source = {"API_URL": f"http://127.0.0.1:{runner.addresses[0][1]}/events"}

        async def asked_for(cursor: int) -> bool:
            return cursor in asked

        async with Poller(settings, unused_port, source):
            await until(lambda: asked_for(300))  # and then kill -9, with pages in flight
        for available in (700, 1000):
            async with Poller(settings, unused_port, source) as poller:
                await until(poller.ready)
                await until(functools.partial(asked_for, available))
                assert await poller.drain() == 0
    finally:
        await runner.cleanup()

    events = await put_events(aws, settings)
    by_id = {found["event_id"]: found for found in events}
    assert sorted(found.get("quantity") for found in by_id.values()) == [*range(1000)]
    [key] = cursor_keys(settings.model_copy(update={"api_url": source["API_URL"]}))
    document = await DynamoStateStore(await aws.client("dynamodb"), settings.state_table).get(key)
    assert document is not None
    assert document.value["cursor"] == {"cursor": "1000"}
    assert document.value["totals"]["polled"] == 1000


async def test_a_wrong_configuration_ends_the_process_with_2(settings: Settings, tmp_path: Path) -> None:
    async def status_with(source: Mapping[str, str]) -> int:
        async with Poller(settings, 0, source) as poller:
            return await poller.ended()

    mapping = tmp_path / "wrong.toml"
    mapping.write_text("speed = 1")
    missing_file = {"HEADRACE_SOURCE_FILES": str(tmp_path / "nowhere.jsonl")}
    wrong_mapping = {"API_URL": "http://127.0.0.1:9/events", "HEADRACE_MAPPING": str(mapping)}
    assert await asyncio.gather(status_with(missing_file), status_with(wrong_mapping), status_with({})) == [2, 2, 2]
