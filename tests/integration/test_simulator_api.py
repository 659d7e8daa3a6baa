"""The simulator as its users meet it: over HTTP, in this process on a clock that stands still, and as a process."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from headrace.clock import ManualClock
from headrace.events.schema import Event
from jobs.simulate.api import KEPT_MS, MAX_LIMIT, NDJSON, SLOW_SECONDS, START_BEHIND_MS, TrafficApi
from jobs.simulate.faults import FaultProfile
from jobs.simulate.shoppers import BLOCK_MS
from jobs.simulate.timeline import Position, Timeline
from tests.conftest import free_port, wait_for_http

Client = TestClient[aiohttp.web.Request, aiohttp.web.Application]


def make_timeline(faults: str = "none", rate: float = 50) -> Timeline:
    return Timeline(seed=7, rate=rate, faults=FaultProfile.parse(faults))


@asynccontextmanager
async def serving(clock: ManualClock, faults: str = "none", rate: float = 50) -> AsyncIterator[Client]:
    api = TrafficApi(make_timeline(faults, rate), FaultProfile.parse(faults), 7, clock)
    async with TestClient(TestServer(api.app())) as client:
        yield client


def now_ms(clock: ManualClock) -> int:
    return int(clock.now() * 1000)


async def test_a_reader_without_a_cursor_begins_a_few_seconds_ago_and_then_follows() -> None:
    clock = ManualClock()
    began = now_ms(clock)
    seen: list[dict[str, object]] = []
    async with serving(clock) as client:
        params = {"limit": "70"}
        for _ in range(40):
            async with client.get("/events", params=params) as response:
                if response.status == 204:
                    clock.advance(1.7)
                    continue
                page = await response.json()
            assert response.content_type == "application/json"
            assert all(event["timestamp"] <= now_ms(clock) for event in page["events"])
            seen += page["events"]
            params["cursor"] = page["next_cursor"]
    expected = make_timeline().items((began - START_BEHIND_MS) // BLOCK_MS * BLOCK_MS)
    assert [event["event_id"] for event in seen] == [
        json.loads(item.data)["event_id"] for item, _ in zip(expected, seen, strict=False)
    ]
    assert len(seen) > 500


async def test_the_first_answer_has_a_cursor_even_when_nothing_happened_yet() -> None:
    async with serving(ManualClock(), rate=0.01) as client:
        async with client.get("/events") as response:
            page = await response.json()
        assert (response.status, page["events"]) == (200, [])
        async with client.get("/events", params={"cursor": page["next_cursor"]}) as response:
            assert response.status == 204


async def test_events_are_what_the_pipeline_takes() -> None:
    clock = ManualClock()
    async with serving(clock) as client, client.get("/events") as response:
        page = msgspec.json.decode(await response.read(), type=dict[str, msgspec.Raw])
    assert len(msgspec.json.decode(page["events"], type=list[Event])) > 50


async def test_lines_are_served_on_request() -> None:
    clock = ManualClock()
    async with serving(clock) as client:
        async with client.get("/events", headers={"Accept": NDJSON}) as response:
            lines = (await response.read()).splitlines()
        async with client.get("/events") as whole:
            page = await whole.json()
    assert response.content_type == NDJSON
    assert [json.loads(line) for line in lines] == page["events"]
    assert response.headers["X-Next-Cursor"] == page["next_cursor"]


async def test_a_cursor_older_than_a_day_goes_on_with_the_oldest_event_kept() -> None:
    clock = ManualClock()
    async with serving(clock) as client:
        ancient = str(Position.at(now_ms(clock) - 10 * KEPT_MS))
        async with client.get("/events", params={"cursor": ancient, "limit": "10"}) as response:
            times = [event["timestamp"] for event in (await response.json())["events"]]
    assert len(times) == 10
    assert now_ms(clock) - KEPT_MS - BLOCK_MS <= times[0] <= now_ms(clock) - KEPT_MS + BLOCK_MS


async def test_a_cursor_from_the_future_has_nothing_new() -> None:
    clock = ManualClock()
    async with serving(clock) as client, client.get("/events", params={"cursor": "999999999999-0"}) as response:
        assert response.status == 204


async def test_the_limit_is_capped() -> None:
    clock = ManualClock()
    params = {"cursor": str(Position.at(now_ms(clock) - 300_000)), "limit": "99999999999"}
    async with serving(clock) as client, client.get("/events", params=params) as response:
        assert len((await response.json())["events"]) == MAX_LIMIT


@pytest.mark.parametrize(
    "params", [{"cursor": "yesterday"}, {"cursor": "1-2-3"}, {"limit": "0"}, {"limit": "-5"}, {"limit": "ten"}]
)
async def test_a_wrong_question_is_a_problem(params: dict[str, str]) -> None:
    async with serving(ManualClock()) as client, client.get("/events", params=params) as response:
        problem = await response.json()
    assert response.content_type == "application/problem+json"
    assert (response.status, problem["status"], problem["title"]) == (400, 400, "Bad Request")
    assert problem["detail"]


@pytest.mark.parametrize("status", [429, 503])
async def test_refusals_say_when_to_come_back(status: int) -> None:
    async with serving(ManualClock(), f"http{status}=1") as client, client.get("/events") as response:
        assert response.status == status
        assert response.headers["Retry-After"] == "1"


async def test_a_slow_answer_is_late_but_right() -> None:
    clock = ManualClock()
    before = clock.monotonic()
    async with serving(clock, "slow=1") as client, client.get("/events") as response:
        assert (await response.json())["events"]
    assert clock.monotonic() - before == SLOW_SECONDS


async def test_a_connection_that_closes_early_is_no_whole_answer() -> None:
    async with serving(ManualClock(), "close=1") as client, client.get("/events") as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_faults_hit_requests_in_the_share_that_was_asked_for() -> None:
    async with serving(ManualClock(), "http429=0.3,http503=0.2") as client:
        statuses = [(await client.get("/events", params={"limit": "1"})).status for _ in range(300)]
    assert statuses.count(429) == pytest.approx(90, rel=0.3)
    assert statuses.count(503) == pytest.approx(60, rel=0.3)


async def test_an_event_that_is_no_json_is_text_within_the_page_and_a_broken_line_of_its_own() -> None:
    clock = ManualClock()
    async with serving(clock, "malformed=0.3") as client:
        async with client.get("/events") as response:
            elements = (await response.json())["events"]
        async with client.get("/events", headers={"Accept": NDJSON}) as response:
            lines = (await response.read()).decode(errors="replace").split("\n")[:-1]
    broken = [element for element in elements if isinstance(element, str)]
    assert 0.1 < len(broken) / len(elements) < 0.5
    assert [
        line if isinstance(element, str) else json.loads(line) for element, line in zip(elements, lines, strict=True)
    ] == elements


async def test_health_answers_whatever_happens_to_requests() -> None:
    async with serving(ManualClock(), "http503=1") as client, client.get("/health") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok", "rate": 50})


def start(port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-m", "jobs.simulate", "api", "--port", str(port), "--rate", "40"])
    wait_for_http(f"http://127.0.0.1:{port}/health", process)
    return process


async def fetch(port: int, cursor: str) -> tuple[list[str], str]:
    """All event ids from `cursor` on that are out by now, and the cursor after them."""
    ids: list[str] = []
    async with aiohttp.ClientSession() as session:
        while True:
            url = f"http://127.0.0.1:{port}/events"
            async with session.get(url, params={"cursor": cursor, "limit": "500"}) as response:
                if response.status == 204:
                    return ids, cursor
                page = await response.json()
            ids += [event["event_id"] for event in page["events"]]
            cursor = page["next_cursor"]


async def test_a_process_ends_with_0_when_told_to_and_its_successor_goes_on_where_it_was() -> None:
    port = free_port()
    began = Position.at(int(time.time() * 1000) - 30_000)
    first = start(port)
    try:
        before, cursor = await fetch(port, str(began))
    finally:
        first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=10) == 0
    second = start(port)
    try:
        after, _ = await fetch(port, cursor)
        everything, _ = await fetch(port, str(began))
    finally:
        second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=10) == 0
    assert before
    assert everything[: len(before) + len(after)] == before + after


def test_a_taken_port_is_a_configuration_error() -> None:
    port = free_port()
    holder = start(port)
    try:
        late = [sys.executable, "-m", "jobs.simulate", "api", "--port", str(port)]
        result = subprocess.run(late, capture_output=True, text=True, timeout=30, check=False)
    finally:
        holder.send_signal(signal.SIGTERM)
        holder.wait(timeout=10)
    assert result.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
