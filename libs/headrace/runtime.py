"""How a service runs: start → run → drain → flush → commit → close, and how it is told to stop.

The start is repeated while what it needs is down or lets nobody in; a wrong configuration ends the process. The first
SIGTERM or SIGINT asks for a drain, bounded by one `Deadline`; the second ends the process at once.
Exit codes are the contract's: 0 ok, 1 failed, 2 bad usage or configuration.
"""

import asyncio
import contextlib
import gc
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvloop

from headrace.clock import Clock, SystemClock
from headrace.errors import AccessError, ConfigError, HeadraceError, RetryableError
from headrace.settings import METRICS_PORTS, Settings, load
from headrace.telemetry import log
from headrace.telemetry.cloudwatch import Publisher
from headrace.telemetry.health import Health, measure_loop_lag, serve_health
from headrace.telemetry.metrics import Metrics

START_AGAIN_SECONDS = 1.0
START_AGAIN_MAX_SECONDS = 5.0
"""Between two starts: also the most that is added to an outage when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A moment on the monotonic clock by which something must be over."""

    at: float
    clock: Clock

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.clock.monotonic())


class Shutdown:
    """The wish to stop, and the deadline that comes with it."""

    def __init__(self, seconds: float, clock: Clock | None = None) -> None:
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._asked = asyncio.Event()
        self._deadline: Deadline | None = None

    def request(self) -> None:
        """Start the drain; the deadline counts from the first call."""
        if self._deadline is None:
            self._deadline = Deadline(at=self._clock.monotonic() + self._seconds, clock=self._clock)
        self._asked.set()

    def part(self) -> "Shutdown":
        """The wish that a part of the process stops, which may come before the rest's. Their deadline is the same."""
        return _Part(self)

    @property
    def requested(self) -> bool:
        """Whether a drain was asked for."""
        return self._asked.is_set()

    @property
    def deadline(self) -> Deadline:
        """When the drain must be over; far away until it was asked for."""
        return self._deadline or Deadline(at=float("inf"), clock=self._clock)

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until asked to stop, or for `seconds`. True when asked: `while not await shutdown.wait(1)`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        return self.requested


class _Part(Shutdown):
    def __init__(self, whole: Shutdown) -> None:
        self._whole = whole
        self._asked = asyncio.Event()

    def request(self) -> None:
        self._asked.set()

    @property
    def deadline(self) -> Deadline:
        return self._whole.deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the runtime hands to a service."""

    settings: Settings
    metrics: Metrics
    health: Health
    shutdown: Shutdown
    clock: Clock


Main = Callable[[Context], Awaitable[None]]
"""Calls `context.health.started()` and works from then on, until `context.shutdown` is requested and all is drained.

Before that call it has no effect that lasts: it may be cancelled, and called again.
"""


def spare_the_collector() -> None:
    """Let the cycle collector run seldom. Records and counts make no cycles, and count as new objects all the same.

    With Python's own thresholds a batch of 100,000 events spends a third of its time in looking through itself.
    """
    gc.set_threshold(100_000, 20, 50)


def run_service(name: str, main: Main) -> None:
    """The body of every service's `__main__`. Never returns: exits 0, 1 or 2."""
    try:
        settings = load()
    except ConfigError as error:
        sys.stderr.write(f"{name}: wrong configuration\n" + "".join(f"  {problem}\n" for problem in error.problems))
        sys.exit(2)
    log.configure(name, level=settings.log_level, style=settings.log_format)
    spare_the_collector()
    sys.exit(uvloop.run(_run(name, settings, main)))


async def _run(name: str, settings: Settings, main: Main) -> int:
    logger = log.get_logger()
    clock = SystemClock()
    context = Context(
        settings=settings,
        metrics=Metrics(),
        health=Health(clock=clock),
        shutdown=Shutdown(settings.shutdown_seconds, clock),
        clock=clock,
    )
    _handle_signals(context.shutdown)
    probe = asyncio.create_task(measure_loop_lag(context.metrics))
    publisher = Publisher(name, context.metrics, namespace=settings.cloudwatch_namespace, clock=clock)
    try:
        async with publisher.running(), _health_server(name, context):
            logger.info("service.started", pid=os.getpid())
            await attend(main, context)
    except ConfigError as error:
        logger.error("service.misconfigured", problems=list(error.problems))  # noqa: TRY400 - no trace: the problem is told
        return 2
    except HeadraceError as error:
        logger.error("service.failed", kind=type(error).__name__, error=str(error))  # noqa: TRY400 - so is this
        return 1
    finally:
        probe.cancel()
    logger.info("service.stopped")
    return 0


async def attend(main: Main, context: Context) -> None:
    """Run `main` to its end. While its start fails for want of something that may come back, start it anew.

    A stop that is asked for meanwhile ends it at once. Raises what `main` raises once started, and before that all but
    `RetryableError` and `AccessError`.
    """
    wait = START_AGAIN_SECONDS
    while not context.shutdown.requested:
        try:
            await _start_and_run(main, context)
        except (RetryableError, AccessError) as error:
            if context.health.is_started:
                raise
            context.health.start_failed(error)
            log.get_logger().warning("service.waiting", kind=type(error).__name__, error=str(error), retry_in=wait)
            await context.shutdown.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(wait * 2, START_AGAIN_MAX_SECONDS)
        else:
            return


async def _start_and_run(main: Main, context: Context) -> None:
    running = asyncio.ensure_future(main(context))
    stop = asyncio.create_task(context.shutdown.wait())
    try:
        await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
        if running.done() or context.health.is_started:
            await running
    finally:
        stop.cancel()
        running.cancel()
        await asyncio.gather(running, stop, return_exceptions=True)


def _health_server(name: str, context: Context) -> contextlib.AbstractAsyncContextManager[object]:
    settings = context.settings
    port = settings.metrics_port if settings.metrics_port is not None else METRICS_PORTS.get(name)
    if name not in METRICS_PORTS or port is None:
        return contextlib.nullcontext()
    return serve_health(context.health, context.metrics, settings.host, port)


def _handle_signals(shutdown: Shutdown) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if shutdown.requested:
            log.get_logger().warning("service.killed", signal=signal.Signals(number).name)
            os._exit(1)
        log.get_logger().info("service.draining", signal=signal.Signals(number).name)
        shutdown.request()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
