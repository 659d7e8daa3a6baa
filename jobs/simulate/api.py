"""The simulator as a web traffic API.

`GET /events?cursor=C&limit=N` → `{"events": […], "next_cursor": "…"}`, or one event a line and the cursor in
`X-Next-Cursor` when asked for `application/x-ndjson`; 204 when there is nothing new; 400 for a wrong cursor or limit.
Without a cursor it begins a few seconds ago, with a cursor older than a day with the oldest event kept.
Nothing is stored: after a restart with the same seed, rate and faults every cursor goes on where it was.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from aiohttp import web

from headrace.clock import Clock
from headrace.errors import ConfigError
from headrace.runtime import Context
from headrace.telemetry.log import get_logger
from jobs.simulate.faults import FaultProfile, HttpFault
from jobs.simulate.shoppers import Item
from jobs.simulate.timeline import Position, Timeline

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000
START_BEHIND_MS = 5_000
"""Where a reader without a cursor begins: the block this far before now."""
KEPT_MS = 3_600_000
"""How far back a cursor may reach. Short, so that a laptop that slept all night is not busy all morning."""
RETRY_AFTER_SECONDS = 1
SLOW_SECONDS = 3.0
NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """What to serve, and on which port (0: any)."""

    port: int
    seed: int
    rate: float
    faults: FaultProfile


async def run_api(options: ApiOptions, context: Context) -> None:
    """Serve until asked to stop. Raises `ConfigError` when the port is taken."""
    timeline = Timeline(seed=options.seed, rate=options.rate, faults=options.faults)
    api = TrafficApi(timeline, options.faults, options.seed, context.clock)
    host = context.settings.host
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, options.port).start()
        except OSError as error:
            raise ConfigError([f"--port: cannot listen on {host}:{options.port}: {error.strerror}"]) from error
        context.health.started()
        get_logger().info("simulator.listening", port=runner.addresses[0][1], rate=options.rate, seed=options.seed)
        await context.shutdown.wait()
    finally:
        await runner.cleanup()


class TrafficApi:
    """The routes. Stateless but for the dice of the HTTP faults."""

    def __init__(self, timeline: Timeline, faults: FaultProfile, seed: int, clock: Clock) -> None:
        self._timeline = timeline
        self._fault = faults.of_requests()
        self._rng = Random(f"{seed}/requests")
        self._clock = clock

    def app(self) -> web.Application:
        """As an application to run."""
        app = web.Application()
        app.add_routes([web.get("/events", self._get_events), web.get("/health", self._get_health)])
        return app

    async def _get_health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "rate": self._timeline.rate})

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault.draw(self._rng)
        if fault is HttpFault.TOO_MANY:
            return _come_back(429, "Too Many Requests")
        if fault is HttpFault.UNAVAILABLE:
            return _come_back(503, "Service Unavailable")
        if fault is HttpFault.SLOW:
            await self._clock.sleep(SLOW_SECONDS)
        answer = self._answer(request)
        return await _break_off(request, answer) if fault is HttpFault.CLOSE else answer

    def _answer(self, request: web.Request) -> web.Response:
        now_ms = int(self._clock.now() * 1000)
        cursor = request.query.get("cursor")
        try:
            position = Position.parse(cursor) if cursor else Position.at(now_ms - START_BEHIND_MS)
            limit = _parse_limit(request.query.get("limit"))
        except ValueError as error:
            return _problem(400, "Bad Request", str(error))
        items, after = self._timeline.page(max(position, Position.at(now_ms - KEPT_MS)), limit, now_ms)
        if not items and cursor:
            return web.Response(status=204)
        if NDJSON in request.headers.get("Accept", ""):
            headers = {"X-Next-Cursor": str(after)}
            return web.Response(body=_lines(items), content_type=NDJSON, headers=headers)
        return web.Response(body=_json(items, after), content_type="application/json")


def _parse_limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and int(text[:9])):
        raise ValueError(f"limit wants a whole number from 1 to {MAX_LIMIT}")
    return min(int(text[:9]), MAX_LIMIT)


def _lines(items: Sequence[Item]) -> bytes:
    return b"".join(item.data + b"\n" for item in items)


def _json(items: Sequence[Item], after: Position) -> bytes:
    """The body as one object. An event that is no JSON goes as text: the page around it stays whole."""
    events = b",".join(
        item.data if item.is_json else json.dumps(item.data.decode(errors="replace")).encode() for item in items
    )
    return b'{"events":[%b],"next_cursor":"%b"}' % (events, str(after).encode())


def _come_back(status: int, title: str) -> web.Response:
    answer = _problem(status, title, "a fault that was asked for")
    answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


def _problem(status: int, title: str, detail: str) -> web.Response:
    """As RFC 9457 has it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


async def _break_off(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Announce the whole answer, send half of it and hang up."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    broken = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    broken.content_length = len(body)
    await broken.prepare(request)
    await broken.write(body[: len(body) // 2])
    if request.transport:
        request.transport.close()
    return broken
