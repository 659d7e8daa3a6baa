"""A service from start to end, as its operator sees it: signals, exit status, what it says."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from headrace import runtime
from headrace.clock import ManualClock, SystemClock
from headrace.concurrency import for_each
from headrace.errors import AccessError, ConfigError, NotFoundError, UnavailableError
from headrace.runtime import Context, Shutdown
from headrace.settings import Settings
from headrace.telemetry.health import Health
from headrace.telemetry.metrics import Metrics

PATIENCE = 20

SERVICE = """
import asyncio
from headrace.errors import ConfigError, NotFoundError
from headrace.runtime import Context, run_service

async def main(context: Context) -> None:
    context.health.started()
    print("running", flush=True)
    {body}

run_service("{name}", main)
"""


def start(body: str, name: str = "stub", **environment: str) -> "subprocess.Popen[str]":
    code = SERVICE.format(name=name, body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "HEADRACE_LOG_FORMAT": "json", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_for_a_drain_and_the_end_is_clean(number: signal.Signals) -> None:
    with start("""
        await context.shutdown.wait()
        assert 0 < context.shutdown.deadline.remaining <= 100
        print("drained")
    """) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "drained\n"), errors
    assert [line.split('"event":"')[1].split('"')[0] for line in errors.replace('": "', '":"').splitlines()] == [
        "service.started", "service.draining", "service.stopped",
    ]  # fmt: skip


def test_a_second_signal_ends_it_at_once() -> None:
    with start("await context.shutdown.wait(); print('draining', flush=True); await asyncio.sleep(3600)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.terminate()
        assert process.stdout.readline() == "draining\n"
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("raise NotFoundError('no stream of that name')", 1, "no stream of that name"),
        ("raise ConfigError(['HEADRACE_X: is wrong'])", 2, "HEADRACE_X: is wrong"),
    ],
)
def test_an_expected_failure_is_one_line_and_a_status(body: str, status: int, said: str) -> None:
    with start(body) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert said in errors
    assert "Traceback" not in errors


def test_what_was_counted_until_the_end_is_published_however_it_ends() -> None:
    body = "context.metrics.records_put.inc(3); raise NotFoundError('no stream of that name')"
    with start(body, "api_consumer", HEADRACE_METRICS_PORT="0", HEADRACE_CLOUDWATCH_NAMESPACE="shop") as process:
        _, errors = process.communicate(timeout=PATIENCE)
    [published] = [told for told in map(json.loads, errors.splitlines()) if "_aws" in told]
    assert (published["service"], published["headrace_records_put_total"]) == ("api_consumer", 3)


def test_a_wrong_environment_is_told_whole_before_anything_starts() -> None:
    with start("pass", HEADRACE_BATCH_AGE="soon", HEADRACE_STATS_PORT="-1") as process:
        out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert [line.split(":")[0].strip() for line in errors.splitlines()] == [
        "stub", "HEADRACE_BATCH_AGE", "HEADRACE_STATS_PORT",
    ]  # fmt: skip


async def test_the_deadline_counts_from_the_first_request() -> None:
    clock = ManualClock()
    shutdown = Shutdown(10.0, clock)
    assert shutdown.deadline.remaining == float("inf")
    assert not await shutdown.wait(0.0)
    shutdown.request()
    clock.advance(4.0)
    shutdown.request()
    assert shutdown.deadline.remaining == 6.0
    clock.advance(60.0)
    assert shutdown.deadline.remaining == 0.0
    assert await shutdown.wait()


async def test_for_each_keeps_to_its_limit_and_raises_the_first_error_as_it_is() -> None:
    running, most, done = 0, 0, []

    async def work(item: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await ManualClock().sleep(1)
        running -= 1
        if item == 7:
            raise UnavailableError("seven")
        done.append(item)

    await for_each(range(7), work, limit=3)
    assert (most, done) == (3, list(range(7)))
    with pytest.raises(UnavailableError, match="seven"):
        await for_each(range(6, 20), work, limit=1)
    assert max(done) == 6


class Start:
    """A service whose start ends as told, one end after the other; then it works until it is stopped."""

    def __init__(self, *ends: Exception) -> None:
        self.ends = list(ends)
        self.problems: list[dict[str, str]] = []
        self.works = asyncio.Event()

    async def __call__(self, context: Context) -> None:
        self.problems.append(dict(await context.health.problems()))
        if self.ends:
            raise self.ends.pop(0)
        context.health.started()
        self.works.set()
        await context.shutdown.wait()


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(runtime, "START_AGAIN_SECONDS", 0.0)
    shutdown = Shutdown(5.0)
    return Context(settings=Settings(), metrics=Metrics(), health=Health(), shutdown=shutdown, clock=SystemClock())


async def test_a_start_is_repeated_while_what_it_needs_is_down_or_lets_nobody_in(context: Context) -> None:
    service = Start(UnavailableError("down"), AccessError("denied"))
    running = asyncio.create_task(runtime.attend(service, context))
    async with asyncio.timeout(PATIENCE):
        await service.works.wait()
        assert service.problems == [
            {"start": "not finished"}, {"start": "UnavailableError"}, {"start": "AccessError"},
        ]  # fmt: skip
        assert await context.health.problems() == {}
        context.shutdown.request()
        await running


@pytest.mark.parametrize("error", [ConfigError(["HEADRACE_X: is wrong"]), NotFoundError("no stream of that name")])
async def test_a_start_that_cannot_succeed_ends_the_service(context: Context, error: Exception) -> None:
    with pytest.raises(type(error)):
        await runtime.attend(Start(error), context)


async def test_what_has_started_is_not_begun_anew(context: Context) -> None:
    calls = []

    async def main(context: Context) -> None:
        context.health.started()
        calls.append(1)
        raise UnavailableError("down")

    with pytest.raises(UnavailableError):
        await runtime.attend(main, context)
    assert calls == [1]


async def test_a_stop_does_not_wait_for_a_start_that_hangs_or_is_to_be_repeated(context: Context) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def hanging(_context: Context) -> None:
        try:
            entered.set()
            await asyncio.Event().wait()
        finally:
            left.set()

    running = asyncio.create_task(runtime.attend(hanging, context))
    async with asyncio.timeout(PATIENCE):
        await entered.wait()
        context.shutdown.request()
        await running
    assert left.is_set()
    service = Start()
    await runtime.attend(service, context)
    assert not service.problems  # asked to stop, it is not even begun
