"""The poller as a process, against the emulator: files and an API in, stream and quarantine out, drained on SIGTERM."""

import asyncio
import contextlib
import functools
import gzip
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
from headrace.stream.kpl import decode
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

    def __init__(self, settings: Settings, port: int, source: Mapping[str, str], *, output: int | None = None) -> None:
        self._port = port
        self._output = output
        self._environ = {
            **os.environ,
            "KINESIS_STREAM_NAME": settings.kinesis_stream_name,
            "S3_BUCKET": settings.bucket,
            "HEADRACE_STATE_TABLE": settings.state_table,
            "HEADRACE_METRICS_PORT": str(port),
            "HEADRACE_PAGE_LIMIT": "100",
            "POLL_INTERVAL": "0.05",
            "HEADRACE_ALLOW_PRIVATE_UPSTREAM": "1",
            **source,
        }

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.api_consumer",
            env=self._environ, cwd=Path(__file__).parents[2], stdout=self._output, stderr=self._output,
        )  # fmt: skip
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

    async def output(self) -> tuple[int | None, str]:
        """The status and what was said, once it has ended."""
        out, err = await self._process.communicate()
        return self._process.returncode, (out + err).decode()

    async def ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self._port}/readyz") as response:
                return response.status == 200
        return False


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], *, method: str = "GET", path: str = "/events"
) -> AsyncIterator[str]:
    """A server of one route; yields its URL."""
    app = web.Application(client_max_size=16 << 20)
    app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    finally:
        await runner.cleanup()


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


async def topic_and_ear(aws: AwsSession) -> tuple[str, Callable[[], Awaitable[list[dict[str, Any]]]]]:
    """A topic, and what was published on it."""
    sns, sqs = await aws.client("sns"), await aws.client("sqs")
    name = f"alerts-{uuid.uuid4().hex[:8]}"
    topic = (await sns.create_topic(Name=name))["TopicArn"]
    queue = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    arn = (await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    async def heard() -> list[dict[str, Any]]:
        found = (await sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)).get("Messages", [])
        return [json.loads(json.loads(message["Body"])["Message"]) for message in found]

    return topic, heard


async def test_a_file_is_polled_once_to_its_end(
    aws: AwsSession, settings: Settings, tmp_path: Path, unused_port: int
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(event(n) + b"\n" for n in range(450)) + b'no json\n{"cut": ')
    topic, heard = await topic_and_ear(aws)
    source = {"HEADRACE_SOURCE_FILES": str(path), "FAILED_RECORDS_SNS_ARN": topic, "HEADRACE_RAW_ARCHIVE": "1"}
    [key] = cursor_keys(settings.model_copy(update={"source_files": [str(path)]}))
    state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)

    async def exhausted() -> bool:
        document = await state.get(key)
        return document is not None and bool(document.value["exhausted"])

    digests: list[dict[str, Any]] = []

    async def digested() -> bool:
        digests.extend(await heard())
        return bool(digests)

    for _ in range(2):
        async with Poller(settings, unused_port, source) as poller:
            await until(poller.ready)
            await until(exhausted)
            await until(digested)  # before the drain: what is not due by then is only logged
            assert await poller.drain() == 0

    document = await state.get(key)
    assert document is not None
    assert document.value["totals"] == {
        "polled": 452,
        "accepted": 450,
        "extra_columns": 0,
        "rejected": 2,
        "put": 450,
        "spooled": 0,
    }
    assert sorted(found["quantity"] for found in await put_events(aws, settings) if "quantity" in found) == [
        *range(450)
    ]
    store = S3Store(await aws.client("s3"), settings.bucket)
    [rejected] = [item async for item in store.list("failed_records/")]
    assert len(from_jsonl_gz(await store.get(rejected.key))) == 2
    [digest] = [*digests, *await heard()]
    assert (digest["reason"], digest["count"], digest["example"]) == ("malformed_json", 2, rejected.key)
    archived = [gzip.decompress(await store.get(item.key)).splitlines() async for item in store.list("raw/events/")]
    assert sorted(line for lines in archived for line in lines) == sorted(event(n) for n in range(450))


async def test_events_are_put_in_aggregates_when_that_is_asked_for(
    aws: AwsSession, settings: Settings, tmp_path: Path, unused_port: int
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(event(n) + b"\n" for n in range(450)))
    [key] = cursor_keys(settings.model_copy(update={"source_files": [str(path)]}))
    state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)

    async def exhausted() -> bool:
        document = await state.get(key)
        return document is not None and bool(document.value["exhausted"])

    source = {"HEADRACE_SOURCE_FILES": str(path), "HEADRACE_AGGREGATE": "1"}
    async with Poller(settings, unused_port, source):
        await until(exhausted)
    async with open_reader(settings, aws, Metrics(), SystemClock()) as reader:
        pages = [await reader.open(shard.shard_id, TrimHorizon()).read() for shard in await reader.shards()]
    aggregates = [decode(record.data) or [] for page in pages for record in page.records]
    assert sorted(json.loads(entry.data)["quantity"] for each in aggregates for entry in each) == [*range(450)]
    assert len(aggregates) <= 20  # five pages, two shards


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

    async with serving(get_events) as url:
        source = {"API_URL": url}

        async def asked_for(cursor: int) -> bool:
            return cursor in asked

        async with Poller(settings, unused_port, source):
            await until(lambda: asked_for(300))  # and then kill -9, with pages in flight
        for available in (700, 1000):
            async with Poller(settings, unused_port, source) as poller:
                await until(poller.ready)
                await until(functools.partial(asked_for, available))
                assert await poller.drain() == 0

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
    private = {"API_URL": "https://127.0.0.1:9/events", "HEADRACE_ALLOW_PRIVATE_UPSTREAM": "0"}
    statuses = await asyncio.gather(*map(status_with, (missing_file, wrong_mapping, {}, private)))
    assert statuses == [2, 2, 2, 2]


async def test_of_two_pollers_on_one_source_the_loser_says_so_and_ends_with_1(
    aws: AwsSession, settings: Settings
) -> None:
    both = asyncio.Event()
    waiting = 0

    async def get_events(request: web.Request) -> web.Response:
        nonlocal waiting
        cursor = int(request.query.get("cursor", "0"))
        if cursor == 0:  # both are given the first page at once
            waiting += 1
            if waiting == 2:
                both.set()
            await both.wait()
        rows = b",".join(event(n) for n in range(cursor, cursor + 100))
        return web.Response(body=b'{"events":[%b],"next_cursor":"%d"}' % (rows, cursor + 100))

    async with serving(get_events) as url:
        one, other = (Poller(settings, 0, {"API_URL": url}, output=asyncio.subprocess.PIPE) for _ in range(2))
        async with one, other:
            ended = [asyncio.create_task(poller.output()) for poller in (one, other)]
            async with asyncio.timeout(DEADLINE_SECONDS):
                [loser], [winner] = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
            status, text = loser.result()
            assert status == 1
            assert "another poller works on the same source" in text
            assert "Traceback" not in text
            await (one, other)[ended.index(winner)].drain()
            assert (await winner)[0] == 0


async def test_in_an_outage_of_the_stream_pages_are_spooled_and_put_back_after_it(
    aws: AwsSession, settings: Settings, aws_environment: str, tmp_path: Path, unused_port: int
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(event(n) + b"\n" for n in range(450)))
    [key] = cursor_keys(settings.model_copy(update={"source_files": [str(path)]}))
    state = DynamoStateStore(await aws.client("dynamodb"), settings.state_table)
    down = True

    async def forward(request: web.Request) -> web.Response:
        if down:
            return web.json_response({"__type": "ServiceUnavailable"}, status=503)
        names = ("Content-Type", "X-Amz-Target", "X-Amz-Date", "Authorization")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        async with http.post(aws_environment, data=await request.read(), headers=headers) as reply:
            return web.Response(body=await reply.read(), status=reply.status, content_type=reply.content_type)

    async def written() -> dict[str, Any]:
        document = await state.get(key)
        return {} if document is None else document.value

    async def all_spooled() -> bool:
        return bool((await written()).get("spool", {}).get("written") == 5)

    async def exhausted() -> bool:
        return bool((await written()).get("exhausted"))

    async with aiohttp.ClientSession() as http, serving(forward, method="POST", path="/") as url:
        source = {
            "HEADRACE_SOURCE_FILES": str(path), "HEADRACE_SPOOL_AFTER": "0", "AWS_ENDPOINT_URL_KINESIS": url,
        }  # fmt: skip
        async with Poller(settings, unused_port, source):
            await until(all_spooled)  # and then kill -9
        assert not await exhausted()
        assert (await written())["totals"]["spooled"] == 450
        down = False
        async with Poller(settings, unused_port, source) as poller:
            await until(exhausted)
            assert await poller.drain() == 0

    totals = (await written())["totals"]
    assert (totals["accepted"], totals["put"], totals["spooled"]) == (450, 450, 0)
    events = await put_events(aws, settings)
    assert len({found["event_id"] for found in events}) == 450
    order = list({found["event_id"]: found["quantity"] for found in events if found["session_id"] == "s3"}.values())
    assert order == [n for n in range(450) if n % 7 == 3]
