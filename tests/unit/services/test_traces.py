"""Every line of one unit of work has the same trace id: a polled page, a turn of the partitioner, a request."""

import re
from typing import Any

import pytest

from headrace.errors import RequestError, UnavailableError
from headrace.telemetry import log
from tests.log_lines import log_lines
from tests.unit.partitioner.partitioner_world import HOURS, FakeQueue, TroubledCatalog, message, run
from tests.unit.services.api_consumer_rig import Faulty, Rig, Script, event
from tests.unit.services.stats_api_world import EVENT, World, open_api

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{GIVEN}-00f067aa0ba902b7-01"

pytestmark = pytest.mark.usefixtures("restored_logs")


def traces(lines: list[dict[str, Any]], event: str) -> list[str]:
    found = [line["trace_id"] for line in lines if line["event"] == event]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in found)
    return found


async def test_a_page_keeps_its_trace_from_fetch_to_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("api_consumer", style="json")
    rig = Rig()

    def fetched() -> None:
        log.get_logger().info("page.fetched")

    faulty = Faulty(rig.state, "put", [UnavailableError("down")])
    await rig.state.put("cursor:test", {"cursor": None, "exhausted": False, "totals": {}}, expected=0)
    await rig.poller(state=faulty).run([Script(fetched, [event(1), b"bad"], fetched, [b"bad"])])
    lines = log_lines(capsys)
    kept = traces(lines, "poll.kept")
    assert len(set(kept)) == 2
    assert traces(lines, "page.fetched") == kept
    assert traces(lines, "poll.waiting") == kept[:1]
    assert not [line for line in lines if line["event"] in {"poll.started", "poll.stopped"} and "trace_id" in line]


async def test_each_turn_of_the_partitioner_has_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("partitioner", style="json")
    queue = FakeQueue([message(HOURS[0])], [message(HOURS[1])])
    await run(queue, TroubledCatalog(RequestError("no"), UnavailableError("down")))
    lines = log_lines(capsys)
    delayed, registered = traces(lines, "partitions.delayed"), traces(lines, "partitions.registered")
    assert len(set(delayed)) == len(delayed) == 2
    assert not set(delayed) & set(registered)


async def failing(world: World, **headers: str) -> int:
    world.stream.failure = UnavailableError("down")
    status, _ = await world.collect(EVENT, **headers)
    return status


async def test_a_request_is_logged_under_the_trace_of_its_sender(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("stats_api", style="json")
    async with open_api() as world:
        for header in (PARENT, PARENT.upper(), None):
            assert await failing(world, **({} if header is None else {"traceparent": header})) == 503
    given, *others = traces(log_lines(capsys), "request.unavailable")
    assert given == GIVEN
    assert len({GIVEN, *others}) == 3


async def test_what_the_server_says_of_our_defect_has_the_trace_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.configure("stats_api", style="json")
    async with open_api() as world:

        async def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(world.counters, "counts", broken)
        async with world.http.get("/v1/products/p1/stats", headers={"traceparent": PARENT}) as response:
            assert response.status == 500
    assert traces(log_lines(capsys), "library.message") == [GIVEN]
