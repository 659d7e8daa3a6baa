"""The web traffic API as a source, against a scripted server."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import islice
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from headrace.clock import ManualClock
from headrace.errors import UnavailableError
from headrace.telemetry.metrics import Metrics
from services.api_consumer.answer import Answer, read_answer, retry_after
from services.api_consumer.fetch import Fetcher
from services.api_consumer.guard import open_http
from services.api_consumer.ports import Page
from services.api_consumer.upstream import Position, Upstream, source_id, take_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
EVENTS = [{"n": 1}, {"n": 2}]
RAW = [b'{"n": 1}', b'{"n": 2}']


def answer(body: Any, *, status: int = 200, **options: Any) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=data, status=status, **{"content_type": "application/json", **options})

    return handle


async def hang_up(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"events": [')
    assert request.transport is not None
    request.transport.close()
    return response


class Script:
    """A server that gives one answer after the other, then 204, and a source that polls it."""

    def __init__(self, handlers: list[Handler]) -> None:
        self._handlers = iter(handlers)
        self.queries: list[dict[str, str]] = []
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.url = ""
        self.http: aiohttp.ClientSession

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        handler = next(self._handlers, None)
        return web.Response(status=204) if handler is None else await handler(request)

    def source(self, *, limit: int = 10, poll_interval: float = 1.0, **caps: Any) -> Upstream:
        return Upstream(
            Fetcher(self.http, self.url, **caps), self.url,
            limit=limit, poll_interval=poll_interval, metrics=self.metrics, clock=self.clock,
        )  # fmt: skip

    def requests(self) -> dict[str, float]:
        """Requests counted, by result."""
        [family] = self.metrics.upstream_requests.collect()
        return {sample.labels["result"]: sample.value for sample in family.samples}

    async def pages(self, count: int, position: Any = None, **options: Any) -> list[Page]:
        source = self.source(**options)
        async with contextlib.aclosing(source.pages(position)) as found:
            return [await anext(found) for _ in range(count)]


@contextlib.asynccontextmanager
async def scripted(*handlers: Handler) -> AsyncIterator[Script]:
    script = Script(list(handlers))
    app = web.Application()
    app.router.add_get("/events", script.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        script.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        async with open_http(lambda _: True) as script.http:
            yield script
    finally:
        await runner.cleanup()


def raw(page: Page) -> list[bytes]:
    return [bytes(payload) for payload in page.payloads]


@pytest.mark.parametrize("key", ["events", "data", "records", "items"])
async def test_cursors_lead_from_page_to_page(key: str) -> None:
    async with scripted(
        answer({key: EVENTS, "next_cursor": "a"}), answer({"next_cursor": 7, key: EVENTS[:1]}), answer({key: []})
    ) as script:
        first, second, third = await script.pages(3)
    assert [raw(first), raw(second), raw(third)] == [RAW, RAW[:1], []]
    assert [page.after for page in (first, second, third)] == [{"cursor": "a"}, {"cursor": "7"}, {"cursor": "7"}]
    assert script.queries == [{"limit": "10"}, {"limit": "10", "cursor": "a"}, {"limit": "10", "cursor": "7"}]
    assert second.place == "a:0"


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (answer(EVENTS), RAW),
        (answer(EVENTS[0]), RAW[:1]),
        (answer({"n": 1, "items": {"sku": "no list"}}), [b'{"n": 1, "items": {"sku": "no list"}}']),
        (answer(b'{"n": 1}\n{"n": 2}\n'), RAW),
        (
            answer(b'{"n": 1}\r\n\nbroken\n{"n": 2}', content_type="application/x-ndjson"),
            [RAW[0] + b"\r", b"broken", RAW[1]],
        ),
        (answer(b'{"events": [1]}', content_type="application/x-ndjson"), [b'{"events": [1]}']),
        (answer(b"\xef\xbb\xbf" + json.dumps(EVENTS).encode()), RAW),
        (answer(b'[{"n": 1}, {"n": "\xff"}, {"n": 2}]'), [RAW[0], b'{"n": "\xff"}', RAW[1]]),
        (answer(gzip.compress(json.dumps(EVENTS).encode()), headers={"Content-Encoding": "gzip"}), RAW),
        (answer([]), []),
        (answer(b""), []),
        (answer({"events": [], "next_cursor": None}), []),
    ],
)
async def test_every_shape_of_page_gives_its_events(handler: Handler, expected: list[bytes]) -> None:
    async with scripted(handler) as script:
        [page] = await script.pages(1)
    assert raw(page) == expected


async def test_a_cursor_may_come_in_a_header() -> None:
    lines = answer(b'{"n": 1}', content_type="application/x-ndjson", headers={"X-Next-Cursor": "h"})
    async with scripted(lines) as script:
        page, _ = await script.pages(2)
    assert page.after == {"cursor": "h"}
    assert script.queries[1]["cursor"] == "h"


@pytest.mark.parametrize("nothing", [answer(b"", status=204), answer([]), answer({"events": [], "next_cursor": "a"})])
async def test_an_empty_page_is_asked_for_again_after_the_poll_interval(nothing: Handler) -> None:
    async with scripted(nothing, answer(EVENTS)) as script:
        empty, page = await script.pages(2, {"cursor": "a"}, poll_interval=2.5)
    assert not empty.payloads
    assert raw(page) == RAW
    assert script.clock.monotonic() == 2.5


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_waited_for_up_to_a_minute(status: int) -> None:
    busy = answer(b"", status=status, headers={"Retry-After": "7"})
    for_ever = answer(b"", status=status, headers={"Retry-After": "999999"})
    async with scripted(busy, for_ever, answer(EVENTS)) as script:
        await script.pages(1)
        assert script.clock.monotonic() == 7.0
        *_, page = await script.pages(2)
        assert script.clock.monotonic() == 67.0
    assert raw(page) == RAW


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("3", 3.0), (" 10 ", 10.0), ("soon", None), ("-1", None), ("1.5", None), ("", None),
        ("9" * 5000, 999999999.0),
        (format_datetime(datetime.fromtimestamp(1060, UTC), usegmt=True), 60.0),
        (format_datetime(datetime.fromtimestamp(900, UTC)), 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, 1000.0) == seconds


@pytest.mark.parametrize(
    "fault",
    [
        answer(b"<html>gateway</html>", content_type="text/html"),
        answer(b"oops", status=500),
        answer(b"", status=408),
        answer(b"", status=429),
        answer(b'{"events": [{"n": 1}, {"n":'),
        answer(b'[\n{"n": 1},\n{"n": 2}\n'),
        answer(b"[" * 200_000),
        answer(b'"text"'),
        answer(b"null"),
        answer(b"not gzip", headers={"Content-Encoding": "gzip"}),
        hang_up,
    ],
)
async def test_after_a_fault_the_same_page_is_asked_for_again_with_growing_waits(fault: Handler) -> None:
    async with scripted(fault, fault, fault, answer(EVENTS)) as script:
        waits = [script.clock.monotonic()]
        source = script.source(limit=5)
        async with contextlib.aclosing(source.pages({"cursor": "c"})) as found:
            for _ in range(3):
                page = await anext(found)
                assert (raw(page), page.after) == ([], {"cursor": "c"})
                waits.append(script.clock.monotonic())
            assert raw(await anext(found)) == RAW
    assert script.queries == [{"limit": "5", "cursor": "c"}] * 4
    assert all(
        low <= later - sooner <= 2 * low
        for low, sooner, later in zip((0.25, 0.5, 1.0), waits, islice(waits, 1, None), strict=False)
    )


async def test_a_huge_page_is_not_read_to_its_end_and_fewer_events_are_asked_for() -> None:
    huge = answer(gzip.compress(b" " * (8 << 20)), headers={"Content-Encoding": "gzip"})
    async with scripted(huge, answer(EVENTS)) as script:
        empty, page = await script.pages(2, max_bytes=1 << 20)
    assert not empty.payloads
    assert raw(page) == RAW
    assert [query["limit"] for query in script.queries] == ["10", "5"]


async def test_a_server_that_is_not_there_is_waited_for() -> None:
    async with scripted() as script:
        pass
    async with open_http(lambda _: True) as script.http:
        pages = await script.pages(3)
    assert [raw(page) for page in pages] == [[], [], []]


async def test_an_api_without_cursors_gives_each_page_once_and_waits_in_between() -> None:
    other = [{"n": 3}]
    async with scripted(answer(EVENTS), answer(EVENTS), answer([*EVENTS, *other]), answer(other)) as script:
        pages = await script.pages(4)
    assert [raw(page) for page in pages] == [RAW, [], [b'{"n": 3}'], [b'{"n": 3}']]
    assert len({(page.place, page.first_index) for page in pages if page.payloads}) == 3
    assert script.clock.monotonic() == 3.0


async def test_a_null_cursor_means_exhausted_until_more_comes() -> None:
    last = answer({"events": EVENTS, "next_cursor": None})
    grown = answer({"events": [*EVENTS, {"n": 3}], "next_cursor": "d"})
    async with scripted(last, last, grown) as script:
        first, again, more = await script.pages(3, {"cursor": "c"})
        assert [page.exhausted for page in (first, again, more)] == [True, True, False]
        assert [raw(page) for page in (first, again, more)] == [RAW, [], [b'{"n": 3}']]
        assert (first.place, first.first_index, more.place, more.first_index) == ("c:0", 0, "c:0", 2)
        assert more.after == {"cursor": "d"}


async def test_a_position_read_back_goes_on_where_it_was() -> None:
    last = answer({"events": EVENTS, "next_cursor": None})
    async with scripted(last, last) as script:
        [first] = await script.pages(1, {"cursor": "c"})
        [again] = await script.pages(1, first.after)
    assert raw(again) == []


def test_a_cursor_that_leads_nowhere_is_no_way_on() -> None:
    page, at = take_answer(Answer(payloads=RAW, next_cursor="c"), Position(cursor="c"))
    assert raw(page) == RAW
    assert at.taken == 2


def test_a_replaced_page_counts_as_new_and_under_another_place() -> None:
    first, at = take_answer(Answer(payloads=RAW), Position(cursor="c"))
    second, _ = take_answer(Answer(payloads=[b"1", b"2", b"3"]), at)
    assert raw(second) == [b"1", b"2", b"3"]
    assert first.place != second.place


def test_the_source_id_does_not_show_what_the_url_holds() -> None:
    assert "secret" not in source_id("http://user:secret@host/events?key=secret")
    assert source_id("http://a/x") != source_id("http://a/y")


def test_a_body_of_one_scalar_is_no_page() -> None:
    with pytest.raises(UnavailableError):
        read_answer(b"5", "application/json", None)


async def test_cancelling_a_wait_ends_it_at_once() -> None:
    class StoppedClock(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    async with scripted() as script:
        script.clock = StoppedClock()
        waiting = asyncio.create_task(script.pages(2))
        while not script.queries:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
