"""A Kinesis endpoint that says what it is told to: a real HTTP server on localhost, scripted answer by answer."""

import asyncio
import base64
import contextlib
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiobotocore.credentials import AioCredentials
from aiohttp import web

from headrace.stream.kinesis.client import KinesisClient
from headrace.telemetry.metrics import Metrics

TARGET = "Kinesis_20131202."


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived."""

    operation: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class FakeKinesis:
    """Answers each operation from its own queue and remembers every call."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.url = ""
        self._arrival = asyncio.Condition()
        self._answers: dict[str, deque[tuple[int, bytes] | None]] = defaultdict(deque)

    def answer(self, operation: str, body: Any, status: int = 200) -> None:
        """Queue an answer: bytes as they are, anything else as JSON."""
        self._answers[operation].append((status, body if isinstance(body, bytes) else json.dumps(body).encode()))

    def fail(self, operation: str, code: str, status: int = 400, message: str = "told to") -> None:
        """Queue a fault as AWS words it."""
        self.answer(operation, {"__type": code, "message": message}, status)

    def hang(self, operation: str) -> None:
        """Queue no answer at all: the call stays open."""
        self._answers[operation].append(None)

    def page(self, *numbers: int, then: str | None = "next", behind_millis: int = 0) -> None:
        """Queue an answer to GetRecords with records of these sequence numbers."""
        self.answer("GetRecords", page(*numbers, then=then, behind_millis=behind_millis))

    def bodies(self, operation: str) -> list[Mapping[str, Any]]:
        """What was asked of an operation, call by call."""
        return [call.body for call in self.calls if call.operation == operation]

    async def arrived(self, calls: int, seconds: float = 5.0) -> None:
        """Return once so many calls have come in; fail when the time is up."""
        async with asyncio.timeout(seconds), self._arrival:
            await self._arrival.wait_for(lambda: len(self.calls) >= calls)

    async def handle(self, request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].removeprefix(TARGET)
        body = json.loads(await request.read())
        async with self._arrival:
            self.calls.append(Call(operation, body, dict(request.headers)))
            self._arrival.notify_all()
        if not self._answers[operation]:
            return web.json_response({"__type": "UnscriptedCall", "message": operation}, status=400)
        answer = self._answers[operation].popleft()
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return web.Response(status=answer[0], body=answer[1], content_type="application/x-amz-json-1.1")


def page(*numbers: int, then: str | None = "next", behind_millis: int = 0) -> dict[str, Any]:
    """An answer to GetRecords. A record's payload is `payload-N`, its partition key `key-N`."""
    return {
        "Records": [
            {
                "Data": base64.b64encode(f"payload-{number}".encode()).decode(),
                "SequenceNumber": str(number),
                "PartitionKey": f"key-{number}",
                "ApproximateArrivalTimestamp": 1_775_721_600.25 + number,
                "EncryptionType": "NONE",
            }
            for number in numbers
        ],
        "NextShardIterator": then,
        "MillisBehindLatest": behind_millis,
    }


def put_answer(*codes: str | None) -> dict[str, Any]:
    """An answer to PutRecords: None for an entry that is durable, else its error code."""
    return {
        "FailedRecordCount": sum(code is not None for code in codes),
        "Records": [
            {"ErrorCode": code, "ErrorMessage": "told to"}
            if code
            else {"SequenceNumber": str(number), "ShardId": "shardId-000000000000"}
            for number, code in enumerate(codes)
        ],
    }


@contextlib.asynccontextmanager
async def serve(fake: FakeKinesis) -> AsyncIterator[None]:
    """Listen on a free port while the block runs."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = "http://127.0.0.1:{1}".format(*runner.addresses[0][:2])
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def connect(fake: FakeKinesis, metrics: Metrics, *, seconds: float = 5.0) -> AsyncIterator[KinesisClient]:
    """A client of the fake, with fixed credentials."""

    async def credentials() -> AioCredentials:
        return AioCredentials("an-access-key", "a-secret", "a-session-token")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as http:
        yield KinesisClient(http=http, endpoint=fake.url, region="eu-west-3", credentials=credentials, metrics=metrics)
