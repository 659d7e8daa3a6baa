"""Collecting: what a visitor sends, what reaches the stream and what is told back."""

import json
import socket
from typing import Any

import pytest

from headrace.errors import AccessError, ThrottledError, UnavailableError
from headrace.stream.ports import MAX_RECORD_BYTES
from services.stats_api.collecting import PIXEL
from tests.unit.services.stats_api_world import EVENT, World, open_api


async def stored(world: World) -> list[dict[str, Any]]:
    return [json.loads(data) for data in await world.records()]


async def test_an_event_is_completed_and_put() -> None:
    async with open_api() as world:
        answer = await world.collect(EVENT, **{"User-Agent": "Browser/1"})
        assert answer == (202, {"accepted": 1, "rejected": []})
        [event] = await stored(world)
        assert event["event_id"]
        assert event["user_id"].startswith("anon-")
        assert (event["source"], event["user_agent"], event["ip"]) == ("collect", "Browser/1", "127.0.0.0")
        assert event["ingest_time"] == int(world.clock.now() * 1000)
        assert (event["event_type"], event["session_id"], event["product_id"]) == ("page_view", "s1", "p1")


async def test_what_an_event_says_of_its_visitor_goes_before_the_connection() -> None:
    async with open_api() as world:
        await world.collect(json.dumps({**json.loads(EVENT), "ip": "203.0.113.77", "user_agent": "Theirs/2"}))
        [event] = await stored(world)
        assert (event["ip"], event["user_agent"]) == ("203.0.113.0", "Theirs/2")


async def test_an_array_is_taken_event_by_event() -> None:
    async with open_api() as world:
        bad_type = EVENT.replace("page_view", "Page View")
        bad_time = EVENT.replace("1775721600", '"soon"')
        body = f'[{EVENT}, {{}}, 5, {bad_type}, {bad_time}, {EVENT}, {{"a": [}}]'.replace('{"a": [}', "[[]]")
        status, answer = await world.collect(body)
        assert (status, answer["accepted"]) == (202, 2)
        assert answer["rejected"] == [
            {"index": 1, "reason": "missing_field"},
            {"index": 2, "reason": "wrong_type"},
            {"index": 3, "reason": "invalid_event_type"},
            {"index": 4, "reason": "invalid_timestamp"},
            {"index": 6, "reason": "wrong_type"},
        ]
        first, second = await stored(world)
        assert first["event_id"] != second["event_id"]


async def test_a_beacon_may_come_as_plain_text() -> None:
    async with open_api() as world:
        status, answer = await world.collect(EVENT, **{"Content-Type": "text/plain;charset=UTF-8"})
        assert (status, answer["accepted"]) == (202, 1)


async def test_keys_without_a_column_travel_on_with_the_event() -> None:
    async with open_api() as world:
        body = json.dumps({**json.loads(EVENT), "campaign": {"id": 7}, "ip": "203.0.113.77"})
        assert (await world.collect(body))[1] == {"accepted": 1, "rejected": []}
        [event] = await stored(world)
        assert (event["campaign"], event["ip"]) == ({"id": 7}, "203.0.113.0")
        assert event["event_id"]


async def test_a_body_that_cannot_be_read_is_a_problem() -> None:
    bodies = [
        (b"", 400),
        (b"{", 400),
        (b"[" + EVENT.encode(), 400),
        (EVENT.encode() + b"{}", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"[" + b",".join([EVENT.encode()] * 501) + b"]", 413),
        (b" " * ((1 << 20) + 1), 413),
    ]
    async with open_api() as world:
        for body, status in bodies:
            found, problem = await world.collect(body)
            assert (found, problem["status"]) == (status, status), body[:20]
        assert await world.records() == []


async def test_the_largest_bodies_are_taken() -> None:
    async with open_api() as world:
        assert (await world.collect(f"[{','.join([EVENT] * 500)}]"))[1]["accepted"] == 500
        assert (await world.collect(EVENT + " " * ((1 << 20) - len(EVENT))))[1]["accepted"] == 1
        assert (await world.collect("[]"))[1] == {"accepted": 0, "rejected": []}


async def test_an_event_too_large_for_a_record_is_rejected() -> None:
    async with open_api() as world:
        event = json.dumps({**json.loads(EVENT), "page_url": "x"})
        body = event.replace('"x"', f'"{"x" * (MAX_RECORD_BYTES - len(event))}"')
        assert (await world.collect(body))[1] == {
            "accepted": 0,
            "rejected": [{"index": 0, "reason": "oversized"}],
        }


async def test_a_form_is_no_event() -> None:
    async with open_api() as world:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await world.collect("a=b", **headers))[0] == 415


@pytest.mark.parametrize("failure", [UnavailableError("down"), ThrottledError("slow down"), AccessError("denied")])
async def test_nothing_is_promised_while_the_stream_does_not_take_it(failure: Exception) -> None:
    async with open_api() as world:
        world.stream.failure = failure  # type: ignore[assignment]
        for request in (world.http.post("/v1/collect", data=EVENT.encode(), headers={"Content-Type": "text/plain"}),
                        world.http.get("/v1/collect.gif?event_type=login&session_id=s")):  # fmt: skip
            async with request as response:
                problem = await response.json(content_type="application/problem+json")
                assert (response.status, problem["status"]) == (503, 503)
                assert int(response.headers["Retry-After"]) > 0
        world.stream.failure = None
        assert (await world.collect(EVENT))[0] == 202


async def test_collecting_wants_a_write_key_when_there_are_keys() -> None:
    async with open_api(write_keys="pub1,pub2") as world:
        assert (await world.collect(EVENT, "/v1/collect?key=pub2"))[0] == 202
        for path in ("/v1/collect", "/v1/collect?key=pub3", "/v1/collect?key="):
            assert (await world.collect(EVENT, path))[0] == 403
        assert (await world.get("/v1/collect.gif?event_type=login&session_id=s"))[0] == 403
        assert len(await world.records()) == 1


async def test_a_pixel_carries_one_event_in_its_address() -> None:
    async with open_api(write_keys="k") as world:
        query = "event_type=purchase&session_id=s%26%C3%A9&quantity=2&price=1.50&is_bot=false&key=k"
        async with world.http.get(f"/v1/collect.gif?{query}") as response:
            assert (response.status, await response.read()) == (200, PIXEL)
            assert response.headers["Content-Type"] == "image/gif"
            assert response.headers["Cache-Control"] == "no-store"
        [event] = await stored(world)
        assert (event["session_id"], event["quantity"], event["price"], event["is_bot"]) == ("s&é", 2, 1.5, False)
        assert event["timestamp"] == int(world.clock.now() * 1000)
        assert "key" not in event


async def test_a_pixel_without_an_event_is_a_problem() -> None:
    async with open_api() as world:
        status, problem = await world.get("/v1/collect.gif?event_type=login")
        assert (status, problem["detail"]) == (400, "missing_field: session_id")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "network"),
    [
        (0, "198.51.100.9", "127.0.0.0"),
        (1, "198.51.100.9", "198.51.100.0"),
        (1, "192.0.2.1, 198.51.100.9", "198.51.100.0"),
        (2, "10.9.9.9, 192.0.2.1, 198.51.100.9", "192.0.2.0"),
        (2, "198.51.100.9", "127.0.0.0"),
    ],
)
async def test_only_our_own_proxies_are_believed(proxies: int, forwarded: str, network: str) -> None:
    async with open_api(trusted_proxies=proxies) as world:
        await world.collect(EVENT, **{"X-Forwarded-For": forwarded})
        assert [event["ip"] for event in await stored(world)] == [network]


async def test_a_visitor_who_leaves_in_the_middle_harms_nobody() -> None:
    async with open_api() as world:
        assert world.http._base_url is not None
        with socket.create_connection(("127.0.0.1", world.http._base_url.port or 0)) as visitor:
            visitor.sendall(
                b"POST /v1/collect HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{"
            )
        assert (await world.collect(EVENT))[0] == 202


async def test_the_ledger_of_collected_events_adds_up() -> None:
    async with open_api() as world:
        extra = EVENT.replace("{", '{"campaign": 1, ', 1)
        await world.collect(f"[{EVENT}, {extra}, {{}}]")
        value = world.metrics.registry.get_sample_value
        assert value("headrace_records_accepted_total", {"extra_columns": "false"}) == 1
        assert value("headrace_records_accepted_total", {"extra_columns": "true"}) == 1
        assert value("headrace_records_rejected_total", {"reason": "missing_field"}) == 1
