"""A hostile upstream, on real sockets: bounded time, bounded memory, a metric, and the next poll goes on."""

import asyncio
import contextlib
import gzip
import json
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from headrace.clock import ManualClock
from headrace.errors import UnavailableError
from headrace.telemetry.metrics import Metrics
from services.api_consumer.fetch import MOST_REDIRECTS, Fetcher, FetchError, Gunzip
from services.api_consumer.guard import is_public, open_http, url_problem
from services.api_consumer.upstream import MAX_WAIT_SECONDS, REFUSED_WAIT_SECONDS, Upstream

PAGE = json.dumps({"events": [{"n": 1}]}).encode()
LIMIT = 1 << 20
"""Of a page here, in bytes."""
SECONDS = 0.5
"""Of a request here."""
MEMORY = 64 << 20

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(head: str, body: bytes = b"") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        text = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(text.encode() + body)

    return answer


def good() -> Answer:
    return says("200 OK\r\nContent-Type: application/json", PAGE)


def endless(head: str, chunk: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()

    return answer


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + PAGE)


async def endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Many: x\r\n" * 1000)
        await writer.drain()


class Server:
    """Gives one answer after the other, then good ones, and remembers what was asked of it."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[str] = []
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request.split(b"\r\n")[0].decode())
                answer = self._answers.pop(0) if self._answers else good()
                await answer(writer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(*answers: Answer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    server = Server(*answers)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(server.handle(reader, writer)))

    listener = await asyncio.start_server(accept, host, port)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Names(AbstractResolver):
    """Resolves every name to the next of the given addresses, the last one for ever."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [{"hostname": host, "host": address, "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


class World:
    """A poller's half: what it asks, what it counts, how long it waits."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        fetcher = Fetcher(http, url, max_bytes=LIMIT, seconds=SECONDS)
        self.upstream = Upstream(fetcher, url, limit=100, poll_interval=1, metrics=self.metrics, clock=self.clock)

    async def poll(self, count: int) -> list[int]:
        """How many events each of the next pages has."""
        async with asyncio.timeout(10), contextlib.aclosing(self.upstream.pages(None)) as pages:
            return [len((await anext(pages)).payloads) for _ in range(count)]

    def results(self) -> dict[str, float]:
        [family] = self.metrics.upstream_requests.collect()
        return {sample.labels["result"]: sample.value for sample in family.samples}


@contextlib.asynccontextmanager
async def polling(
    server: Server,
    *,
    host: str = "127.0.0.1",
    allowed: Callable[[str], bool] = lambda _: True,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[World]:
    async with open_http(allowed, resolver=resolver) as http:
        yield World(http, f"http://{host}:{server.port}/events")


BOMB = gzip.compress(b" " * (8 << 20)) * 64
"""512 MiB in half of one."""


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param(says("200 OK\r\nContent-Type: text/html", b"<html>oops</html>"), "fault", id="html"),
        pytest.param(says("500 Oops", b"x" * 100_000), "500", id="500"),
        pytest.param(hang, "timeout", id="hang"),
        pytest.param(drip, "timeout", id="slow drip"),
        pytest.param(hang_up, "fault", id="early close"),
        pytest.param(endless("", b" " * 65536), "too_large", id="endless body"),
        pytest.param(
            endless("Content-Encoding: gzip\r\n", gzip.compress(b" " * 65536)), "too_large", id="endless gzip"
        ),
        pytest.param(says("200 OK\r\nContent-Encoding: gzip", BOMB), "too_large", id="gzip bomb"),
        pytest.param(says("200 OK\r\nContent-Encoding: gzip", gzip.compress(PAGE)[:-4]), "fault", id="gzip cut off"),
        pytest.param(says("200 OK\r\nContent-Encoding: br", PAGE), "fault", id="another encoding"),
        pytest.param(endless_header, "fault", id="endless header"),
        pytest.param(endless_headers, "fault", id="endless headers"),
        pytest.param(says("302 Found\r\nLocation: http://[bad"), "fault", id="no address"),
        pytest.param(says("302 Found"), "redirect", id="redirect to itself"),
        pytest.param(says("200 OK\r\nContent-Length: 5"), "fault", id="two lengths"),
    ],
)
async def test_a_hostile_answer_costs_little_and_the_next_poll_goes_on(answer: Answer, result: str) -> None:
    answers = [answer] * (MOST_REDIRECTS + 1) if result == "redirect" else [answer]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with serving(*answers) as server, polling(server) as world:
        assert await world.poll(2) == [0, 1]
    assert world.results() == {result: 1.0, "200": 1.0}
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2:{port}/", "https://127.0.0.1:{port}/events", "//localhost:{port}/", "http://127.0.0.1:1/",
     "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"],
)  # fmt: skip
async def test_a_redirect_to_another_host_port_or_scheme_is_not_followed(target: str) -> None:
    async with serving() as server:
        server._answers.append(says(f"302 Found\r\nLocation: {target.format(port=server.port)}"))
        async with polling(server) as world:
            assert await world.poll(1) == [0]
            with pytest.raises(FetchError, match="redirected to another host"):
                await world.upstream.check()
            assert await world.poll(1) == [1]
            await world.upstream.check()
    assert len(server.requests) == 2
    assert world.results() == {"redirect": 1.0, "200": 1.0}


async def test_a_redirect_within_the_host_is_followed_and_counts_once() -> None:
    async with (
        serving(says("307 Temporary Redirect\r\nLocation: /v2/events?limit=5&page=1")) as server,
        polling(server) as world,
    ):
        assert await world.poll(1) == [1]
    assert server.requests == ["GET /events?limit=100 HTTP/1.1", "GET /v2/events?limit=5&page=1 HTTP/1.1"]
    assert world.results() == {"200": 1.0}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "shop.example"])
async def test_a_private_address_is_never_connected_to(host: str) -> None:
    resolver = Names("127.0.0.1") if host == "shop.example" else None
    async with serving() as server, polling(server, host=host, allowed=is_public, resolver=resolver) as world:
        assert await world.poll(2) == [0, 0]
        with pytest.raises(FetchError, match="private or local"):
            await world.upstream.check()
    assert server.requests == []
    assert world.results() == {"private_address": 2.0}
    assert world.clock.monotonic() >= REFUSED_WAIT_SECONDS  # two waits of at least half of it


async def test_a_name_that_is_rebound_to_a_private_address_is_refused_at_the_next_connection() -> None:
    def public(address: str) -> bool:  # 127.0.0.1 stands for the public internet here
        return address == "127.0.0.1"

    async with serving() as outside, serving(host="127.0.0.2", port=outside.port) as inside:
        resolver = Names("127.0.0.1", "127.0.0.2")
        async with open_http(public, resolver=resolver) as http:
            assert isinstance(http.connector, aiohttp.TCPConnector)
            world = World(http, f"http://shop.example:{outside.port}/events")
            assert await world.poll(1) == [1]
            http.connector.clear_dns_cache()
            assert await world.poll(1) == [0]
    assert (len(outside.requests), inside.requests) == (1, [])
    assert world.results() == {"200": 1.0, "private_address": 1.0}


async def test_a_storm_of_429_is_met_with_growing_waits_even_if_it_says_to_come_back_at_once() -> None:
    storm = [says("429 Slow Down")] * 12
    async with serving(*storm) as server, polling(server) as world:
        assert (await world.poll(13))[-1] == 1
    assert world.results() == {"429": 12.0, "200": 1.0}
    assert 60 < world.clock.monotonic() <= 12 * MAX_WAIT_SECONDS
    hurried = [says("429 Slow Down\r\nRetry-After: 0")] * 12
    async with serving(*hurried) as server, polling(server) as world:
        assert (await world.poll(13))[-1] == 1
    assert world.clock.monotonic() >= 12 * 0.25


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refusal_makes_the_poller_unready_and_is_tried_again_slowly_until_it_is_lifted(status: int) -> None:
    async with serving(*[says(f"{status} No")] * 3) as server, polling(server) as world:
        assert await world.poll(3) == [0, 0, 0]
        assert 1.5 * REFUSED_WAIT_SECONDS <= world.clock.monotonic() <= 3 * MAX_WAIT_SECONDS
        with pytest.raises(UnavailableError, match=str(status)):
            await world.upstream.check()
        assert await world.poll(1) == [1]
        await world.upstream.check()
    assert world.results() == {str(status): 3.0, "200": 1.0}


async def test_after_a_page_that_was_too_large_fewer_events_are_asked_for_and_slowly_more_again() -> None:
    async with serving(endless("", b" " * 65536)) as server, polling(server) as world:
        await world.poll(4)
    assert [request.split()[1].partition("limit=")[2] for request in server.requests] == ["100", "50", "51", "52"]


async def test_a_secret_in_the_url_is_sent_again_after_a_redirect_and_never_told() -> None:
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await (says("302 Found\r\nLocation: /else") if len(heads) == 1 else good())(writer)
        writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, open_http(lambda _: True) as http:
        world = World(http, f"http://user:geheim@127.0.0.1:{port}/events")
        assert await world.poll(1) == [1]
    assert all(b"Authorization: Basic dXNlcjpnZWhlaW0=" in head for head in heads)
    assert "geheim" not in world.upstream.name


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "no address", "",
     "::127.0.0.1", "fec0::1", "64:ff9b:1::7f00:1", "240.0.0.1", "198.18.0.1"],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "settings", "problem"),
    [
        ("https://shop.example/events", {}, None),
        ("http://shop.example/events", {}, "must be https"),
        ("http://shop.example/events", {"allow_http": True}, None),
        ("http://127.0.0.1:9/events", {"allow_http": True}, "private or local"),
        ("https://[::1]/events", {}, "private or local"),
        ("https://169.254.169.254/", {}, "private or local"),
        ("http://127.0.0.1:9/events", {"allow_private": True}, None),
        ("ftp://shop.example/", {"allow_private": True}, "must be an http"),
        ("https://", {}, "must be an http"),
        ("", {}, "must be an http"),
    ],
)
def test_a_url_is_judged_before_anything_is_asked(url: str, settings: dict[str, bool], problem: str | None) -> None:
    found = url_problem(url, **{"allow_private": False, "allow_http": False, **settings})
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_gzip_comes_in_any_pieces_and_in_several_members() -> None:
    body = gzip.compress(b"one") + gzip.compress(b"two")
    unpack = Gunzip(100)
    assert b"".join(unpack.feed(body[at : at + 1]) for at in range(len(body))) == b"onetwo"
    assert unpack.complete
    assert Gunzip(100).feed(body) == b"onetwo"
    with pytest.raises(FetchError):
        Gunzip(5).feed(body)
