"""Liveness by progress, readiness by dependency, and the small server that answers for both.

`/livez` says whether this process still works, and never asks a dependency: restarting it would not mend one.
`/readyz` says whether its dependencies answer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from aiohttp import web

from headrace.clock import Clock, SystemClock
from headrace.errors import HeadraceError
from headrace.telemetry.metrics import Metrics

Check = Callable[[], Awaitable[object]]
"""Raises a `HeadraceError` or `TimeoutError` when the dependency does not answer; the result is ignored."""

CHECK_SECONDS = 5.0
LOOP_PROBE_SECONDS = 0.5


class Health:
    """What a service knows about its own state. Share one per process."""

    def __init__(self, *, stalled_after: float = 120.0, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._stalled_after = stalled_after
        self._last_beat = self._clock.monotonic()
        self._checks: dict[str, Check] = {}
        self._start: str | None = "not finished"

    def beat(self) -> None:
        """Work progressed: called once per turn of the service's main loop, idle turns included."""
        self._last_beat = self._clock.monotonic()

    def add_check(self, name: str, check: Check) -> None:
        """Ask `check` on every `/readyz`."""
        self._checks[name] = check

    def started(self) -> None:
        """The start phase is over; readiness now depends on the checks alone."""
        self._start = None

    def start_failed(self, error: HeadraceError) -> None:
        """The start phase begins anew, for this reason, and with checks of its own: a sign of life, but not ready."""
        self._start = type(error).__name__
        self._checks.clear()
        self.beat()

    @property
    def is_started(self) -> bool:
        """Whether the start phase is over."""
        return self._start is None

    @property
    def alive(self) -> bool:
        """Whether the last beat is recent enough."""
        return self._clock.monotonic() - self._last_beat < self._stalled_after

    async def problems(self) -> Mapping[str, str]:
        """Why this service is not ready, by check; empty when it is."""
        checks = dict(self._checks)
        results = await asyncio.gather(*(self._run(check) for check in checks.values()))
        found = {"start": self._start, **dict(zip(checks, results, strict=True))}
        return {name: problem for name, problem in found.items() if problem}

    @staticmethod
    async def _run(check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except TimeoutError:
            return "no answer"
        except HeadraceError as error:
            return type(error).__name__
        return None


@contextlib.asynccontextmanager
async def serve_health(health: Health, metrics: Metrics, host: str, port: int) -> AsyncIterator[int]:
    """Serve `/metrics /livez /readyz` while the block runs. Yields the port (0 asks for a free one)."""

    async def get_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def get_livez(_request: web.Request) -> web.Response:
        return web.json_response({"alive": health.alive}, status=200 if health.alive else 503)

    async def get_readyz(_request: web.Request) -> web.Response:
        problems = await health.problems()
        return web.json_response({"ready": not problems, "problems": dict(problems)}, status=503 if problems else 200)

    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", get_metrics),
            web.get("/livez", get_livez),
            web.get("/readyz", get_readyz),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def measure_loop_lag(metrics: Metrics) -> None:
    """Keep `event_loop_lag_seconds` current until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOP_PROBE_SECONDS
        await asyncio.sleep(LOOP_PROBE_SECONDS)
        metrics.event_loop_lag.set(max(0.0, loop.time() - due))
