"""What a request meets before the routes: HEAD, lengths, cross-origin rules; and the documentation."""

import asyncio
import json
import re
import socket

import pytest

from services.stats_api import cache
from tests.unit.services.stats_api_world import EVENT, World, open_api

BUFFERS = 16 << 20
"""More than the kernel holds for both ends of a connection."""

ROUTES = [
    "/v1/products/top", "/v1/products/p/stats", "/v1/pages/stats?path=/p", "/v1/collect.gif?event_type=e&session_id=s",
    "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/v1/products/top?limit=0", "/v1/nothing",
]  # fmt: skip


@pytest.mark.parametrize("path", ROUTES)
async def test_head_answers_as_get_would_without_a_body(path: str) -> None:
    async with open_api() as world:
        async with world.http.head(path) as head:
            assert await head.read() == b""
        async with world.http.get(path) as got:
            assert (head.status, head.headers["Content-Type"]) == (got.status, got.headers["Content-Type"])
            assert head.headers.get("ETag") == got.headers.get("ETag")
            if path != "/metrics":  # which has counted the HEAD by now
                assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_head_collects_nothing_and_shares_the_cache() -> None:
    async with open_api(write_keys="k") as world:
        query = "/v1/collect.gif?event_type=e&session_id=s"
        async with world.http.head(f"{query}&key=k") as allowed, world.http.head(query) as refused:
            assert (allowed.status, refused.status) == (200, 403)
        assert await world.records() == []
        async with world.http.head("/v1/products/p/stats"), world.http.get("/v1/products/p/stats"):
            assert world.counters.reads == 1
        metrics = await text(world, "/metrics")
        assert 'method="HEAD",route="/v1/products/{product_id}/stats",status="200"' in metrics


async def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    async with open_api() as world:
        for method, path, allowed in (("POST", "/v1/products/top", "GET, HEAD"), ("PUT", "/v1/collect", "POST")):
            async with world.http.request(method, path) as response:
                assert (response.status, response.headers["Allow"]) == (405, allowed)


async def test_an_address_longer_than_any_of_ours_is_refused() -> None:
    async with open_api() as world:
        assert (await world.get(f"/v1/products/{'x' * 8000}/stats"))[0] == 200
        for path in (f"/v1/products/{'x' * 8200}/stats", f"/v1/collect.gif?x={'y' * 8200}"):
            status, problem = await world.get(path)
            assert (status, problem["status"]) == (414, 414)


async def test_a_head_that_does_not_end_is_cut_off() -> None:
    async with open_api() as world:
        assert world.http._base_url is not None
        with socket.create_connection(("127.0.0.1", world.http._base_url.port or 0), timeout=5) as endless:
            endless.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
            # In a thread: the server is in this loop.
            assert await asyncio.to_thread(_send_until_refused, endless) < 2 * BUFFERS
        assert (await world.collect(f"[{','.join([EVENT] * 500)}]"))[0] == 202  # a body is no head


async def test_a_defect_is_a_problem_that_tells_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with open_api() as world:
        world.stream.failure = ZeroDivisionError("inside")  # type: ignore[assignment]
        status, problem = await world.collect(EVENT)
        assert (status, problem) == (500, {"type": "about:blank", "title": "Internal Server Error", "status": 500})
    assert "ZeroDivisionError: inside" in caplog.text


async def test_a_defect_behind_the_cache_is_told_to_all_who_wait_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    async with open_api() as world:
        world.counters.failure = ZeroDivisionError("inside")  # type: ignore[assignment]
        world.counters.gate.clear()
        waiting = [asyncio.create_task(world.get("/v1/products/p/stats")) for _ in range(3)]
        while not world.counters.reads:
            await asyncio.sleep(0)
        world.counters.gate.set()
        told = {"type": "about:blank", "title": "Internal Server Error", "status": 500}
        assert [(500, told)] * 3 == await asyncio.gather(*waiting)
        world.counters.failure = None
        assert (await world.get("/v1/products/p/stats"))[0] == 200
    assert "ZeroDivisionError: inside" in caplog.text


@pytest.mark.parametrize(
    "sent", [b"no HTTP\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"]
)
async def test_what_is_no_http_is_a_problem_too(sent: bytes) -> None:
    async with open_api() as world:
        assert world.http._base_url is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", world.http._base_url.port)
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body) == {
            "type": "about:blank", "title": "Bad Request", "status": 400, "detail": "Invalid HTTP request received.",
        }  # fmt: skip


async def test_a_compressed_body_is_refused() -> None:
    async with open_api() as world:
        assert (await world.collect(EVENT, **{"Content-Encoding": "gzip"}))[0] == 415
        assert (await world.collect(EVENT, **{"Content-Encoding": "identity"}))[0] == 202


async def test_a_beacon_of_a_named_origin_needs_no_preflight() -> None:
    async with open_api(cors_origins="https://a.example") as world:
        headers = {"Origin": "https://a.example", "Content-Type": "text/plain;charset=UTF-8"}
        async with world.http.post("/v1/collect", data=EVENT, headers=headers) as response:
            assert response.status == 202
            assert response.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert len(await world.records()) == 1


async def test_a_browser_that_sends_json_is_allowed_to_by_a_preflight() -> None:
    async with open_api(cors_origins="https://a.example") as world:
        asked = {
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        async with world.http.options("/v1/collect", headers=asked) as response:
            assert response.status == 200
            assert "POST" in response.headers["Access-Control-Allow-Methods"]
            assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]


async def test_a_refused_preflight_is_a_problem() -> None:
    asked = {"Origin": "https://b.example", "Access-Control-Request-Method": "GET"}
    for origins, status in (("https://a.example", 400), ("", 405)):
        async with (
            open_api(cors_origins=origins) as world,
            world.http.options("/v1/products/top", headers=asked) as response,
        ):
            problem = await response.json(content_type="application/problem+json")
            assert (response.status, problem["status"]) == (status, status)
            assert "Access-Control-Allow-Origin" not in response.headers


async def test_answers_tell_caches_that_they_depend_on_key_and_origin() -> None:
    async with (
        open_api(cors_origins="https://a.example", api_keys="k") as world,
        world.http.get("/v1/products/top", headers={"X-API-Key": "k"}) as response,
    ):
        assert response.headers["Vary"] == "X-API-Key, Authorization, Origin"


async def test_the_cache_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 500)
    async with open_api() as world:
        for _ in range(2):
            for n in range(5):
                await world.get(f"/v1/products/{n}/stats")
        assert world.counters.reads == 10  # each was gone before it was asked again
        await world.get("/v1/products/4/stats")
        assert world.counters.reads == 10


async def test_the_documentation_is_one_page_without_scripts_or_foreign_parts() -> None:
    async with open_api() as world:
        async with world.http.get("/docs") as response:
            page = await response.text()
            assert (response.status, response.content_type) == (200, "text/html")
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        document = (await world.get("/openapi.json"))[1]
        for path in document["paths"]:
            assert f"<code>{path}</code>" in page
        links = re.findall(r"(?:href|src)='([^']*)'", page)
        assert "v1/products/sku-42/stats" in links
        assert [link for link in links if "//" in link] == []
        assert "<script" not in page
        anchors = {link[1:] for link in links if link.startswith("#")}
        assert anchors == set(re.findall(r"<section id='([^']*)'", page))
        for link in links:
            if link.startswith("v1/"):
                assert (await world.get(f"/{link}"))[0] == 200


def _send_until_refused(endless: socket.socket) -> int:
    """Bytes sent until the server hangs up."""
    sent = 0
    try:
        while sent < 2 * BUFFERS:
            sent += endless.send(b"X-Endless: " + b"x" * 50_000)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


async def text(world: World, path: str) -> str:
    async with world.http.get(path) as response:
        return await response.text()
