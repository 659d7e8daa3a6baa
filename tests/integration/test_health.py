"""Readiness by dependency and liveness by progress: each service as it is wired, with a broken cloud in between."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cli.cloud import environment
from deploy.local.emulator import CREDENTIALS
from deploy.local.resources import ensure_resources
from headrace import runtime
from headrace.aws import retry
from headrace.aws.session import AwsSession
from headrace.clock import ManualClock, SystemClock
from headrace.errors import NotFoundError
from headrace.runtime import Context, Main, Shutdown
from headrace.settings import Settings, load
from headrace.stream.kinesis import reader
from headrace.telemetry.health import Health, serve_health
from headrace.telemetry.metrics import Metrics
from services.api_consumer.app import main as api_consumer
from services.partitioner import partitioner as partitioning
from services.partitioner import queue
from services.partitioner.app import main as partitioner
from services.stats_api import server
from services.stats_api.app import main as stats_api
from services.transformer.app import main as transformer
from tests.conftest import free_port
from tests.harness.actions import Action
from tests.harness.proxy import FaultProxy, Rule

PATIENCE = 15.0
STALLED = 121.0
"""Seconds without progress after which a process is not alive any more."""

SERVICES: Mapping[str, tuple[Main, Mapping[str, set[str]]]] = {
    "api_consumer": (api_consumer, {"s3": {"bucket"}, "kinesis": {"stream"}, "dynamodb": {"state"}}),
    "transformer": (transformer, {"s3": {"bucket"}, "kinesis": {"stream"}, "dynamodb": {"control", "counters"}}),
    "partitioner": (partitioner, {"sqs": {"queue"}, "athena": {"athena"}}),
    "stats_api": (stats_api, {"kinesis": {"stream"}, "dynamodb": {"control", "counters"}}),
}
"""Its main, and by AWS service the checks that speak of it."""
STANDSTILL = {"api_consumer": "the API it polls", "transformer": "kinesis", "partitioner": "sqs"}
"""What the work loop waits for. That of the stats API is the server's: if it stood still, nobody would answer here."""


class Upstream:
    """A web traffic API that has nothing new, and after `fall_silent` no answer at all."""

    def __init__(self) -> None:
        self._silent = False
        self._asked = asyncio.Event()

    async def answer(self, _request: web.Request) -> web.Response:
        self._asked.set()
        if self._silent:
            await asyncio.Event().wait()
        return web.json_response({"events": []})

    async def fall_silent(self) -> None:
        """From now on there are no answers; return once one is waited for."""
        self._silent = True
        self._asked.clear()
        await self._asked.wait()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a service under test works."""

    settings: Settings
    upstream: Upstream
    proxy: FaultProxy


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service at work. Its health has a clock of its own, so that minutes pass at once."""

    http: aiohttp.ClientSession
    clock: ManualClock
    ended: asyncio.Task[None]

    async def _get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(path) as response:
            return response.status, await response.json()

    async def problems(self) -> dict[str, str]:
        status, told = await self._get("/readyz")
        assert status == (503 if told["problems"] else 200)
        return dict(told["problems"])

    async def ready(self) -> bool:
        return not await self.problems()

    async def refused(self) -> bool:
        return "AccessError" in (await self.problems()).values()

    async def alive(self) -> bool:
        status, told = await self._get("/livez")
        assert status == (200 if told["alive"] else 503)
        return bool(told["alive"])

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await condition():
            assert not self.ended.done(), self.ended
            assert time.monotonic() < deadline, (await self.problems(), await self.alive())
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def proxy(ministack_url: str, athena_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(ministack_url, others={"athena": athena_url}) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def resources(ministack_url: str) -> Settings:
    """A stream, a bucket, a queue and tables in the local cloud, and settings that name them."""
    name = uuid.uuid4().hex[:8]
    tables = {f"{kind}_table": f"{kind}-{name}" for kind in ("control", "counters", "state")}
    settings = load(
        kinesis_stream_name=f"events-{name}", bucket=f"data-{name}", partition_queue=f"queue-{name}", **tables,
        database=f"health_{name}", allow_private_upstream=True, poll_interval=0.05, failover_seconds=1.0,
    )  # fmt: skip

    async def make() -> None:
        async with AwsSession(settings.region) as aws:
            await ensure_resources(aws, settings, shards=1)

    with environment({**CREDENTIALS, "AWS_ENDPOINT_URL": ministack_url}):
        asyncio.run(make())
    return settings


@pytest.fixture
async def place(
    athena_environment: str, proxy: FaultProxy, resources: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """Everything around the service under test, with the proxy as its AWS and waits cut short."""
    upstream = Upstream()
    app = web.Application()
    app.router.add_get("/events", upstream.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ATHENA", proxy.url)
    monkeypatch.setattr(retry, "INITIAL_SECONDS", 0.001)
    monkeypatch.setattr(reader, "ATTEMPTS", 2)
    monkeypatch.setattr(runtime, "START_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(partitioning, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(queue, "WAIT_SECONDS", 1)
    monkeypatch.setattr(server, "BEAT_SECONDS", 0)
    settings = resources.model_copy(update={"api_url": url, "stats_port": free_port()})
    yield Place(settings=settings, upstream=upstream, proxy=proxy)
    await runner.cleanup()


@contextlib.asynccontextmanager
async def running(name: str, place: Place) -> AsyncIterator[Running]:
    """The service as its process runs it, but for signals and settings."""
    main, _ = SERVICES[name]
    metrics, clock = Metrics(), ManualClock()
    health, shutdown = Health(clock=clock), Shutdown(5.0)
    context = Context(settings=place.settings, metrics=metrics, health=health, shutdown=shutdown, clock=SystemClock())
    async with serve_health(health, metrics, "127.0.0.1", 0) as port:
        task = asyncio.create_task(runtime.attend(main, context))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Running(http=http, clock=clock, ended=task)
        shutdown.request()
        await asyncio.wait({task}, timeout=0.3)  # a call that hangs would outlast it
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_is_ready_by_dependency_and_alive_by_progress(name: str, place: Place) -> None:
    _, dependencies = SERVICES[name]
    proxy = place.proxy
    async with contextlib.AsyncExitStack() as stack:
        # Not let in from its start on: it waits.
        with proxy.rules(Rule(action=Action.DENY)):
            service = await stack.enter_async_context(running(name, place))
            await service.until(service.refused)
            assert await service.alive()
        await service.until(service.ready)
        # One dependency after the other is down: it is named, and two minutes of it are no reason to restart.
        for down, checks in dependencies.items():
            with proxy.rules(Rule(action=Action.DROP_BEFORE, service=down)):
                assert checks <= {check.partition("-")[0] for check in await service.problems()}
                if down == next(iter(dependencies)):
                    service.clock.advance(STALLED)
                    await service.until(service.alive)
            await service.until(service.ready)
        if name in STANDSTILL:
            await stand_still(name, place, service)


async def stand_still(name: str, place: Place, service: Running) -> None:
    """What the work loop waits for never comes: no turn is finished, and so the process is not alive."""
    with place.proxy.rules(Rule(action=Action.HANG, service=STANDSTILL[name])) as [injected]:
        if name == "api_consumer":
            await place.upstream.fall_silent()

        async def stuck() -> bool:
            return name == "api_consumer" or injected.total() > 0

        await service.until(stuck)
        assert await service.alive()
        service.clock.advance(STALLED)
        assert not await service.alive()


async def test_a_stream_that_does_not_exist_ends_the_transformer_and_is_named(place: Place) -> None:
    nowhere = place.settings.model_copy(update={"kinesis_stream_name": "no-such-stream"})
    context = Context(settings=nowhere, metrics=Metrics(), health=Health(), shutdown=Shutdown(5.0), clock=SystemClock())
    with pytest.raises(NotFoundError, match="no-such-stream"):
        await runtime.attend(transformer, context)
